/**
 * Rows on their way into a file. A row is checked and converted once, when it is handed in, to the values that Parquet
 * stores (`bigint` for long and timestamp, days for date), so that cutting a batch again after a lost race costs nothing,
 * and a row that does not fit is named before anything is written.
 */
import { RowInvalidError } from './errors.ts';
import { type ColumnSpec, type ColumnType, isNullable, type TableSpec } from './spec.ts';

/**
 * A row by column name. string: text. long: whole number or bigint. int: 32 bits. double: number. boolean. timestamp:
 * Date, milliseconds or ISO 8601 text with a zone. date: 'YYYY-MM-DD' or Date (its UTC day). list<string>: array of text or null.
 */
export type Row = Readonly<Record<string, unknown>>;

/** As stored; null for none. Lists hold text and nulls. */
export type Stored = string | number | bigint | boolean | readonly (string | null)[] | null;

export interface EncodedRow {
  readonly offset: number;
  /** In the order of the declared columns. */
  readonly values: readonly Stored[];
  /** Undefined when the table has no key. */
  readonly key: string | undefined;
  /** Where its file goes: 'event_date=2026-01-31', empty for a table without partitions. */
  readonly folder: string;
}

const DAY_MS = 86_400_000;
const LONG_MIN = -(2n ** 63n);
const LONG_MAX = 2n ** 63n - 1n;
/** Years 1 to 9999: what every reader of a Delta table can show. */
const TIME_MIN = -62_135_596_800_000;
const TIME_MAX = 253_402_300_799_999;

/** The name that Hive, Spark and Delta give the folder of rows without a value. */
const NO_VALUE = '__HIVE_DEFAULT_PARTITION__';
const LONGEST_FOLDER = 250;

export class RowEncoder {
  readonly #spec: TableSpec;
  readonly #known: ReadonlySet<string>;
  readonly #keyIndexes: readonly number[];
  readonly #partitions: readonly { readonly column: ColumnSpec; readonly index: number }[];

  constructor(spec: TableSpec) {
    this.#spec = spec;
    this.#known = new Set(spec.columns.map(({ name }) => name));
    const find = (name: string) => spec.columns.findIndex((column) => column.name === name);
    this.#keyIndexes = spec.key.map(find);
    this.#partitions = spec.partitionBy.map((name) => ({
      column: spec.columns[find(name)] as ColumnSpec,
      index: find(name),
    }));
  }

  /** The partition values of a row, as Delta writes them. */
  partitionValues(row: EncodedRow): Record<string, string | null> {
    return Object.fromEntries(
      this.#partitions.map(({ column, index }) => [column.name, partitionText(column, row.values[index] ?? null)]),
    );
  }

  /** @throws RowInvalidError naming the column */
  encode(row: Row, offset: number, source?: { topic: string; partition: number }): EncodedRow {
    const at = source ? { ...source, offset } : undefined;
    const values = this.#spec.columns.map((column) => {
      const value = row[column.name];
      if (value === null || value === undefined) {
        if (isNullable(column)) return null;
        throw new RowInvalidError(this.#spec.name, column.name, 'it must have a value', at);
      }
      const stored = store(column.type, value);
      if (stored === undefined) {
        throw new RowInvalidError(this.#spec.name, column.name, `${describe(value)} is not a ${column.type}`, at);
      }
      return stored;
    });
    for (const name in row) {
      if (!this.#known.has(name) && row[name] !== undefined) {
        throw new RowInvalidError(this.#spec.name, name, 'the table has no such column', at);
      }
    }
    const key = this.#keyIndexes.length === 0 ? undefined : keyText(this.#keyIndexes.map((index) => values[index]));
    const folders = this.#partitions.map(({ column, index }) => {
      const text = partitionText(column, values[index] ?? null);
      const folder = `${column.name}=${text === null ? NO_VALUE : folderText(text)}`;
      if (folder.length > LONGEST_FOLDER) {
        throw new RowInvalidError(this.#spec.name, column.name, 'it is too long to be a folder', at);
      }
      return folder;
    });
    return { offset, values, key, folder: folders.join('/') };
  }
}

/** Values of the key columns as one text; the same from a row that comes in and from a file that is read. */
export function keyText(values: readonly unknown[]): string {
  return values.length === 1 ? String(values[0]) : values.map((value) => String(value)).join('\u0000');
}

/** Undefined when the value does not fit. */
function store(kind: ColumnType, value: unknown): Stored | undefined {
  switch (kind) {
    case 'string':
      // Half a surrogate pair has no UTF-8; in the log it would be JSON that other readers refuse.
      return typeof value === 'string' ? value.toWellFormed() : undefined;
    case 'boolean':
      return typeof value === 'boolean' ? value : undefined;
    case 'double':
      return typeof value === 'number' ? value : undefined;
    case 'int':
      return typeof value === 'number' && (value | 0) === value ? value : undefined;
    case 'long':
      if (typeof value === 'number') return Number.isSafeInteger(value) ? BigInt(value) : undefined;
      return typeof value === 'bigint' && value >= LONG_MIN && value <= LONG_MAX ? value : undefined;
    case 'timestamp': {
      const ms = milliseconds(value);
      return ms === undefined ? undefined : BigInt(ms) * 1_000n;
    }
    case 'date': {
      if (typeof value === 'string') {
        const ms = /^\d{4}-\d{2}-\d{2}$/.test(value) ? Date.parse(value) : Number.NaN;
        return Number.isNaN(ms) || ms < TIME_MIN ? undefined : ms / DAY_MS;
      }
      const ms = value instanceof Date ? milliseconds(value) : undefined;
      return ms === undefined ? undefined : Math.floor(ms / DAY_MS);
    }
    case 'list<string>': {
      if (!Array.isArray(value)) return undefined;
      const items = value.map((item: unknown) => (typeof item === 'string' ? item.toWellFormed() : (item ?? null)));
      return items.every((item): item is string | null => item === null || typeof item === 'string')
        ? items
        : undefined;
    }
    default: {
      kind satisfies never;
      return undefined;
    }
  }
}

function milliseconds(value: unknown): number | undefined {
  let ms: number;
  if (value instanceof Date) ms = value.getTime();
  else if (typeof value === 'number') ms = value;
  else if (typeof value === 'string' && /T.*(Z|[+-]\d{2}:?\d{2})$/i.test(value)) ms = Date.parse(value);
  else return undefined;
  return Number.isInteger(ms) && ms >= TIME_MIN && ms <= TIME_MAX ? ms : undefined;
}

/** The kind of a value, never the value: it may be personal, and it goes into logs and headers. */
function describe(value: unknown): string {
  if (value instanceof Date) return 'an invalid or distant Date';
  if (Array.isArray(value)) return 'a list';
  return typeof value === 'number' && !Number.isInteger(value) ? 'a fraction' : `a ${typeof value}`;
}

/** 'YYYY-MM-DD' of days since the epoch. */
export const dateText = (days: number): string => new Date(days * DAY_MS).toISOString().slice(0, 10);

/** A value as a folder name: what separates or means something in a path or a URI is escaped. */
const folderText = (text: string): string =>
  encodeURIComponent(text).replace(/[!'()*]/g, (char) => `%${char.charCodeAt(0).toString(16).toUpperCase()}`);

/** What Delta writes for the value of a partition column; null and empty text are both null there. */
function partitionText(column: ColumnSpec, value: Stored): string | null {
  if (value === null || value === '') return null;
  return column.type === 'date' ? dateText(value as number) : String(value);
}
