/**
 * A table as data: its columns, what it is partitioned by, and what makes a row the same row. From it come the Delta
 * schema, the check against a table that exists already, and the conversion of rows.
 */
import { SchemaDiffersError, TableSpecInvalidError } from './errors.ts';

export type ColumnType = 'string' | 'long' | 'int' | 'double' | 'boolean' | 'timestamp' | 'date' | 'list<string>';

export interface ColumnSpec {
  readonly name: string;
  readonly type: ColumnType;
  /** True unless told. */
  readonly nullable?: boolean;
  readonly description?: string;
}

export interface TableSpec {
  readonly name: string;
  readonly description?: string;
  readonly columns: readonly ColumnSpec[];
  /** Columns whose values become folders: event_date=2026-01-31. */
  readonly partitionBy: readonly string[];
  /** Columns that identify a row; a second row of a key is dropped (within KeyIndex's bound). Empty: no such check. */
  readonly key: readonly string[];
}

const DELTA_TYPES: Record<ColumnType, unknown> = {
  string: 'string',
  long: 'long',
  int: 'integer',
  double: 'double',
  boolean: 'boolean',
  timestamp: 'timestamp',
  date: 'date',
  'list<string>': { type: 'array', elementType: 'string', containsNull: true },
};
const PARTITION_TYPES: readonly ColumnType[] = ['string', 'date', 'int', 'long', 'boolean'];
const KEY_TYPES: readonly ColumnType[] = ['string', 'int', 'long'];

/** Rows of a table that has this column are told apart by the Kafka partition they came from. */
export const SOURCE_PARTITION = 'source_partition';

interface DeltaField {
  readonly name: string;
  readonly type: unknown;
  readonly nullable: boolean;
}

export const isNullable = (column: ColumnSpec): boolean => column.nullable !== false;

/** @throws TableSpecInvalidError naming what does not fit */
export function checkSpec(spec: TableSpec): void {
  const refuse = (problem: string): never => {
    throw new TableSpecInvalidError(spec.name, problem);
  };
  if (!/^[A-Za-z0-9_.-]+$/.test(spec.name)) refuse('the name may have letters, digits, _ . -');
  const columns = new Map<string, ColumnSpec>();
  for (const column of spec.columns) {
    if (!/^[A-Za-z_][A-Za-z0-9_]*$/.test(column.name)) refuse(`column "${column.name}": letters, digits and _ only`);
    if (!(column.type in DELTA_TYPES)) refuse(`column ${column.name}: no type "${column.type}"`);
    // Delta column names are compared without case.
    const name = column.name.toLowerCase();
    if (columns.has(name)) refuse(`column ${column.name} is there twice`);
    columns.set(name, column);
  }
  const find = (name: string) => columns.get(name.toLowerCase());
  for (const name of spec.partitionBy) {
    const column = find(name) ?? refuse(`partition column ${name} is not among the columns`);
    if (!PARTITION_TYPES.includes(column.type)) refuse(`column ${name}: a ${column.type} cannot partition a table`);
  }
  if (spec.partitionBy.length >= spec.columns.length) refuse('every column is a partition column; one must hold data');
  for (const name of spec.key) {
    const column = find(name) ?? refuse(`key column ${name} is not among the columns`);
    if (!KEY_TYPES.includes(column.type)) refuse(`column ${name}: a ${column.type} cannot be part of the key`);
    if (spec.partitionBy.includes(name)) refuse(`column ${name}: a partition column cannot be part of the key`);
  }
}

/** The schema as Delta's metaData action holds it. */
export function schemaString(spec: TableSpec): string {
  return JSON.stringify({
    type: 'struct',
    fields: spec.columns.map((column) => ({
      name: column.name,
      type: DELTA_TYPES[column.type],
      nullable: isNullable(column),
      metadata: column.description ? { comment: column.description } : {},
    })),
  });
}

/**
 * May rows of this declaration be appended to a table of that schema? Extra columns of the table are fine when they may
 * be null: an older worker goes on while a newer one has added a column.
 * @throws SchemaDiffersError with every difference
 */
export function checkSchema(
  spec: TableSpec,
  table: { schemaString: string; partitionColumns: readonly string[] },
  location: string,
): void {
  const fields = (JSON.parse(table.schemaString) as { fields: readonly DeltaField[] }).fields;
  const existing = new Map(fields.map((field) => [field.name, field]));
  const differences: string[] = [];
  for (const column of spec.columns) {
    const field = existing.get(column.name);
    if (!field) {
      differences.push(`column ${column.name} (${column.type}) is missing from the table`);
      continue;
    }
    if (!sameType(field.type, column.type)) {
      differences.push(
        `column ${column.name} is ${shown(field.type)} in the table and ${column.type} in the declaration`,
      );
    } else if (!field.nullable && isNullable(column)) {
      differences.push(`column ${column.name} may not be null in the table but may in the declaration`);
    }
  }
  const declared = new Set(spec.columns.map(({ name }) => name));
  for (const field of fields) {
    if (!declared.has(field.name) && !field.nullable) {
      differences.push(`column ${field.name} of the table must have a value and is not in the declaration`);
    }
  }
  if (table.partitionColumns.join() !== spec.partitionBy.join()) {
    differences.push(
      `the table is partitioned by (${table.partitionColumns.join(', ')}), the declaration by (${spec.partitionBy.join(', ')})`,
    );
  }
  if (differences.length > 0) throw new SchemaDiffersError(spec.name, location, differences);
}

function sameType(delta: unknown, type: ColumnType): boolean {
  if (type !== 'list<string>') return delta === DELTA_TYPES[type];
  const list = delta as { type?: unknown; elementType?: unknown } | null;
  return typeof list === 'object' && list?.type === 'array' && list.elementType === 'string';
}

const shown = (type: unknown): string => (typeof type === 'string' ? type : JSON.stringify(type));
