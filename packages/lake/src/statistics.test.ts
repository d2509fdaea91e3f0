import { seededRandom } from '@weir/core';
import { describe, expect, test } from 'vitest';
import type { EncodedRow, Stored } from './row.ts';
import type { ColumnType } from './spec.ts';
import { isTextBelow, statisticsOf } from './statistics.ts';

const of = (type: ColumnType, values: readonly Stored[]) => {
  const rows = values.map((value, offset): EncodedRow => ({ offset, values: [value], key: undefined, folder: '' }));
  return statisticsOf([{ column: { name: 'c', type }, index: 0 }], rows);
};
const bounds = (type: ColumnType, values: readonly Stored[]) => {
  const { minValues, maxValues, nullCount } = JSON.parse(of(type, values));
  return [minValues.c, maxValues.c, nullCount.c];
};

describe('statistics of a file', () => {
  test.each<[ColumnType, readonly Stored[], readonly unknown[]]>([
    ['int', [3, null, -1], [-1, 3, 1]],
    ['boolean', [true, false], [false, true, 0]],
    ['double', [0.5, Number.POSITIVE_INFINITY], [0.5, Number.MAX_VALUE, 0]],
    ['double', [0.5, Number.NaN, 7], [-Number.MAX_VALUE, Number.MAX_VALUE, 0]],
    ['timestamp', [1_700_000_000_123_000n], ['2023-11-14T22:13:20.123Z', '2023-11-14T22:13:20.123Z', 0]],
    ['date', [-1, 19782], ['1969-12-31', '2024-02-29', 0]],
    ['string', ['b', '', 'a'], ['', 'b', 0]],
    ['string', [null, null], [undefined, undefined, 2]],
    ['list<string>', [['a']], [undefined, undefined, undefined]],
  ])('%s %o', (type, values, expected) => {
    expect(bounds(type, values)).toEqual(expected);
  });

  test('a long keeps all its digits', () => {
    expect(of('long', [2n ** 63n - 1n, 1n])).toContain('"maxValues":{"c":9223372036854775807}');
  });

  test('bounds of text hold for every value, in the order of its bytes, however it is cut', () => {
    const random = seededRandom(7);
    const alphabet = ['a', 'b', 'ü', '\u0000', '\ufffd', '\ue000', '😀', '\u{10ffff}', '日'];
    for (let round = 0; round < 300; round++) {
      const values = Array.from({ length: 4 }, () =>
        Array.from({ length: random.below(80) }, () => alphabet[random.below(round % 2 ? 2 : alphabet.length)]).join(
          '',
        ),
      );
      const [min, max] = bounds('string', values);
      for (const value of values) {
        expect(Buffer.compare(Buffer.from(min), Buffer.from(value))).toBeLessThanOrEqual(0);
        expect(Buffer.compare(Buffer.from(max), Buffer.from(value))).toBeGreaterThanOrEqual(0);
        expect(isTextBelow(value, max)).toBe(Buffer.compare(Buffer.from(value), Buffer.from(max)) < 0);
      }
    }
  });
});
