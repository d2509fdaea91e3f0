import { describe, expect, test } from 'vitest';
import { SchemaDiffersError, TableSpecInvalidError } from './errors.ts';
import { type ColumnSpec, checkSchema, checkSpec, schemaString, type TableSpec } from './spec.ts';

const spec = (change: Partial<TableSpec> = {}): TableSpec => ({
  name: 'events',
  columns: [
    { name: 'id', type: 'string', nullable: false },
    { name: 'day', type: 'date' },
    { name: 'tags', type: 'list<string>' },
  ],
  partitionBy: ['day'],
  key: ['id'],
  ...change,
});
const tableOf = (declared: TableSpec) => ({
  schemaString: schemaString(declared),
  partitionColumns: declared.partitionBy,
});
const differences = (declared: TableSpec, existing: TableSpec): readonly string[] => {
  try {
    checkSchema(declared, tableOf(existing), 'file:///t');
  } catch (error) {
    if (error instanceof SchemaDiffersError) return error.differences;
    throw error;
  }
  return [];
};

describe('a table spec', () => {
  test.each<[string, Partial<TableSpec>, string]>([
    ['a strange name', { name: 'a b' }, 'name'],
    ['a column twice, by case', { columns: [...spec().columns, { name: 'ID', type: 'int' }] }, 'ID is there twice'],
    ['an unknown type', { columns: [{ name: 'id', type: 'uuid' as ColumnSpec['type'] }] }, 'no type "uuid"'],
    ['a partition column that is not there', { partitionBy: ['week'] }, 'week'],
    ['a partition by list', { partitionBy: ['tags'] }, 'cannot partition'],
    ['a key that is not there', { key: ['nope'] }, 'nope'],
    ['a key that is a partition column', { key: ['day'] }, 'day'],
    ['only partition columns', { columns: [{ name: 'day', type: 'date' }], key: [] }, 'must hold data'],
  ])('with %s is refused', (_, change, words) => {
    expect(() => checkSpec(spec(change))).toThrow(TableSpecInvalidError);
    expect(() => checkSpec(spec(change))).toThrow(words);
  });

  test('a sound one passes, and its own schema is no difference', () => {
    checkSpec(spec());
    expect(differences(spec(), spec())).toEqual([]);
  });

  test('a column that the table lacks, another type, another nullability and another partition are all named', () => {
    const declared = spec({
      columns: [
        { name: 'id', type: 'long' },
        { name: 'day', type: 'date' },
        { name: 'added', type: 'string' },
      ],
    });
    expect(differences(declared, spec({ partitionBy: [] }))).toEqual([
      'column id is string in the table and long in the declaration',
      'column added (string) is missing from the table',
      'the table is partitioned by (), the declaration by (day)',
    ]);
    expect(
      differences(spec({ columns: [{ name: 'id', type: 'string' }], partitionBy: [] }), spec({ partitionBy: [] })),
    ).toEqual(['column id may not be null in the table but may in the declaration']);
  });

  test('a column that only the table has is fine when it may be null', () => {
    const older = spec();
    const newer = spec({ columns: [...older.columns, { name: 'added', type: 'string' }] });
    const strict = spec({ columns: [...older.columns, { name: 'added', type: 'string', nullable: false }] });
    expect(differences(older, newer)).toEqual([]);
    expect(differences(older, strict)).toEqual([
      'column added of the table must have a value and is not in the declaration',
    ]);
  });
});
