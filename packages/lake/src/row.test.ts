import { describe, expect, test } from 'vitest';
import { RowInvalidError } from './errors.ts';
import { RowEncoder } from './row.ts';
import type { ColumnType, TableSpec } from './spec.ts';

const encoderOf = (type: ColumnType, nullable = true) =>
  new RowEncoder({ name: 't', columns: [{ name: 'c', type, nullable }], partitionBy: [], key: [] });
const stored = (type: ColumnType, value: unknown) => encoderOf(type).encode({ c: value }, 0).values[0];

describe('values on their way into a table', () => {
  test.each<[ColumnType, unknown, unknown]>([
    ['string', '', ''],
    ['long', 5, 5n],
    ['long', -(2n ** 63n), -(2n ** 63n)],
    ['int', -2147483648, -2147483648],
    ['int', -0, -0],
    ['double', Number.NaN, Number.NaN],
    ['boolean', false, false],
    ['timestamp', new Date(1_700_000_000_123), 1_700_000_000_123_000n],
    ['timestamp', -1, -1_000n],
    ['timestamp', '2024-02-29T12:00:00.5+02:00', 1_709_200_800_500_000n],
    ['date', '1970-01-02', 1],
    ['date', '2024-02-29', 19782],
    ['date', new Date(-1), -1],
    ['list<string>', ['a', undefined, null], ['a', null, null]],
    ['list<string>', [], []],
    ['string', null, null],
    ['string', undefined, null],
  ])('%s: %o is stored', (type, value, expected) => {
    expect(stored(type, value)).toEqual(expected);
  });

  test.each<[ColumnType, unknown]>([
    ['string', 5],
    ['long', 1.5],
    ['long', 2 ** 60],
    ['long', 2n ** 63n],
    ['long', '5'],
    ['int', 2147483648],
    ['int', 0.5],
    ['int', Number.NaN],
    ['double', '1'],
    ['boolean', 'true'],
    ['timestamp', new Date(Number.NaN)],
    ['timestamp', '2024-02-29'],
    ['timestamp', '2024-02-29T12:00:00'],
    ['timestamp', 'Tuesday'],
    ['timestamp', 8.64e15],
    ['date', '2024-13-01'],
    ['date', '2024-2-1'],
    ['date', 19782],
    ['list<string>', 'a'],
    ['list<string>', ['a', 5]],
  ])('%s: %o is refused by the name of the column, without the value', (type, value) => {
    expect(() => stored(type, value)).toThrow(RowInvalidError);
    expect(() => stored(type, value)).toThrow('c:');
  });

  test('a missing value, a column too many, and the record they came from are named', () => {
    expect(() => encoderOf('string', false).encode({}, 7, { topic: 'x', partition: 3 })).toThrow(
      /record x\/3\/7.*c: it must have a value/,
    );
    expect(() => encoderOf('string').encode({ d: 1 }, 0)).toThrow('d: the table has no such column');
  });

  test('a value that is personal does not show in the refusal', () => {
    expect(() => stored('int', 'jane@example.com')).not.toThrow('jane');
  });
});

describe('folders and keys', () => {
  const spec: TableSpec = {
    name: 't',
    columns: [
      { name: 'id', type: 'string' },
      { name: 'n', type: 'int' },
      { name: 'day', type: 'date' },
      { name: 'kind', type: 'string' },
    ],
    partitionBy: ['day', 'kind'],
    key: ['id', 'n'],
  };
  const rows = new RowEncoder(spec);

  test('partition values become folders and nothing in them can leave the table', () => {
    const row = rows.encode({ id: 'x', n: 1, day: '2026-01-31', kind: '../a=b/ü %' }, 0);
    expect(row.folder).toBe('day=2026-01-31/kind=..%2Fa%3Db%2F%C3%BC%20%25');
    expect(rows.partitionValues(row)).toEqual({ day: '2026-01-31', kind: '../a=b/ü %' });
  });

  test('no value, and empty text, are null', () => {
    const row = rows.encode({ id: 'x', n: 1, kind: '' }, 0);
    expect(row.folder).toBe('day=__HIVE_DEFAULT_PARTITION__/kind=__HIVE_DEFAULT_PARTITION__');
    expect(rows.partitionValues(row)).toEqual({ day: null, kind: null });
  });

  test('keys of different columns never run together', () => {
    const key = (id: string, n: number) => rows.encode({ id, n }, 0).key;
    expect(key('a1', 1)).not.toBe(key('a', 11));
    expect(key('a', 1)).toBe(key('a', 1));
  });

  test('a folder that no file system would take is refused', () => {
    expect(() => rows.encode({ id: 'x', n: 1, kind: 'x'.repeat(300) }, 0)).toThrow(RowInvalidError);
  });
});
