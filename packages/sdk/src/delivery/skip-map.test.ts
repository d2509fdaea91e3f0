import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { type DoneRange, decodeSkipMap, encodeSkipMap } from './skip-map.ts';

const ranges = (watermark: number, steps: readonly (readonly [number, number])[]): DoneRange[] => {
  let at = watermark;
  return steps.map(([gap, length]) => {
    const from = at + gap;
    at = from + length;
    return { from, to: at };
  });
};
const anyRanges = (most: number) =>
  fc.tuple(
    fc.integer({ min: 0, max: 2 ** 50 }),
    fc.array(fc.tuple(fc.integer({ min: 1, max: most }), fc.integer({ min: 1, max: most })), { maxLength: 300 }),
  );

describe('skip map', () => {
  test('nothing done ahead is nothing written', () => {
    expect(encodeSkipMap(10, [], 1000)).toEqual({ text: '', whole: true });
    expect(decodeSkipMap(10, '')).toEqual([]);
  });

  test('what is written is read back, for scattered and for long runs', () => {
    for (const most of [3, 100_000])
      fc.assert(
        fc.property(anyRanges(most), ([watermark, steps]) => {
          const done = ranges(watermark, steps);
          const { text, whole } = encodeSkipMap(watermark, done, 100_000);
          expect(whole).toBe(true);
          expect(decodeSkipMap(watermark, text)).toEqual(done);
        }),
      );
  });

  test('a map that does not fit is cut at its end, and what is left is true', () => {
    fc.assert(
      fc.property(anyRanges(5_000), fc.integer({ min: 2, max: 60 }), ([watermark, steps], room) => {
        const done = ranges(watermark, steps);
        const { text, whole } = encodeSkipMap(watermark, done, room);
        expect(text.length).toBeLessThanOrEqual(room);
        const read = decodeSkipMap(watermark, text)!;
        expect(read).toEqual(done.slice(0, read.length));
        expect(whole).toBe(read.length === done.length);
      }),
    );
  });

  test('scattered work takes a bit a record, long runs a few bytes each', () => {
    const every = Array.from({ length: 3_000 }, () => [1, 1] as const);
    expect(encodeSkipMap(0, ranges(0, every), 4_000).text.length).toBeLessThan(1_010);
    expect(encodeSkipMap(0, ranges(0, [[1, 1_000_000]]), 4_000).text.length).toBeLessThan(10);
  });

  test('what is no map is refused, never thrown', () => {
    for (const text of ['x', 'zAAAA', 'r!!', 'rgICA', 'rAA', 'b=']) expect(() => decodeSkipMap(5, text)).not.toThrow();
    expect(decodeSkipMap(5, 'zAAAA')).toBeUndefined();
    expect(decodeSkipMap(5, 'rgICA')).toBeUndefined();
    fc.assert(fc.property(fc.string(), (text) => void decodeSkipMap(5, `r${text}`)));
  });
});
