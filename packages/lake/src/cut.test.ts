import { describe, expect, test } from 'vitest';
import { cut, type EncodedSlice } from './cut.ts';
import type { EncodedRow } from './row.ts';

const row = (offset: number, key?: string): EncodedRow => ({ offset, values: [], key, folder: '' });
const slice = (rows: EncodedRow[], lastOffset: number, appId: string | undefined = 'a'): EncodedSlice => ({
  appId,
  partition: 0,
  rows,
  lastOffset,
});
const none = () => undefined;
const never = () => false;
const offsets = (kept: readonly (readonly EncodedRow[])[]) => kept.map((rows) => rows.map(({ offset }) => offset));

describe('a cut', () => {
  test('drops rows at or below the committed offset and keeps the rest', () => {
    const found = cut([slice([row(3), row(4), row(5)], 6)], () => 4, never);
    expect(offsets(found.kept)).toEqual([[5]]);
    expect(found.droppedByOffset).toEqual([2]);
    expect([...found.progress]).toEqual([['a', 6]]);
  });

  test('never moves a transaction backwards', () => {
    const found = cut([slice([row(3)], 3)], () => 9, never);
    expect(offsets(found.kept)).toEqual([[]]);
    expect(found.progress.size).toBe(0);
  });

  test('two overlapping slices of one source in a commit are one', () => {
    const found = cut([slice([row(0), row(1)], 1), slice([row(1), row(2)], 2)], none, never);
    expect(offsets(found.kept)).toEqual([[0, 1], [2]]);
  });

  test('offset 0 is new when there is no transaction', () => {
    expect(offsets(cut([slice([row(0)], 0)], none, never).kept)).toEqual([[0]]);
  });

  test('a key that the table has, or that came earlier in the commit, is dropped', () => {
    const rows = [row(0, 'known'), row(1, 'x'), row(2, 'x'), row(3, 'y')];
    const found = cut([slice(rows, 3), slice([row(9, 'y')], 9, 'b')], none, (_, key) => key === 'known');
    expect(offsets(found.kept)).toEqual([[1, 3], []]);
    expect(found.droppedByKey).toEqual([2, 1]);
  });

  test('several rows of one record stay together', () => {
    expect(offsets(cut([slice([row(5), row(5)], 5)], () => 4, never).kept)).toEqual([[5, 5]]);
  });

  test('rows without a source are kept as they are', () => {
    const found = cut(
      [{ appId: undefined, partition: -1, rows: [row(0, 'k'), row(0, 'k')], lastOffset: -1 }],
      none,
      () => true,
    );
    expect(found.kept[0]).toHaveLength(2);
    expect(found.progress.size).toBe(0);
  });
});
