import fc from 'fast-check';
import { expect, test } from 'vitest';
import { readVarints, writeVarint } from './varint.ts';

function written(numbers: readonly number[]): number[] {
  const bytes: number[] = [];
  for (const each of numbers) writeVarint(bytes, each);
  return bytes;
}

test('every safe integer is read as it was written', () => {
  fc.assert(
    fc.property(fc.array(fc.maxSafeNat()), (numbers) => {
      expect(readVarints(Uint8Array.from(written(numbers)))).toEqual(numbers);
    }),
  );
});

test('a number below 128 takes one byte, below 16,384 two', () => {
  expect(written([127])).toEqual([127]);
  expect(written([128])).toEqual([0x80, 1]);
  expect(written([16_383])).toHaveLength(2);
  expect(written([16_384])).toHaveLength(3);
});

test('what ends within a number, or holds one beyond the safe integers, is not read', () => {
  expect(readVarints(Uint8Array.of(5, 0x80))).toBeUndefined();
  expect(readVarints(Uint8Array.from(written([2 ** 53])))).toBeUndefined();
  expect(readVarints(Uint8Array.of(...Array<number>(200).fill(0xff), 1))).toBeUndefined();
});
