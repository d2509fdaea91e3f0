/** Reading a table back, file by file: for verification, listings and tests, not for queries (docs: DuckDB, Spark). */
import type { AddFile } from './actions.ts';
import { readParquet } from './data-file.ts';
import type { TableLog } from './log.ts';
import { dateText } from './row.ts';
import type { ColumnSpec, TableSpec } from './spec.ts';

export interface ScanOptions {
  /** All unless told. */
  readonly columns?: readonly string[];
  /** Partition columns and the text of their value ('2026-01-31'); other partitions are not read at all. */
  readonly where?: Readonly<Record<string, string | null>>;
  /** Files in the reverse order of writing; rows within a file keep theirs. */
  readonly newestFirst?: boolean;
}

/**
 * long: number when exact, else bigint. timestamp: Date. date: 'YYYY-MM-DD'. list<string>: array. Missing: null.
 */
export type ReadRow = Record<string, unknown>;

export async function* scanFiles(
  log: TableLog,
  spec: TableSpec,
  files: Iterable<AddFile>,
  options: ScanOptions,
): AsyncGenerator<ReadRow> {
  const columns = spec.columns.filter(({ name }) => options.columns?.includes(name) ?? true);
  const inFile = columns.filter(({ name }) => !spec.partitionBy.includes(name));
  // A file is asked for one column at least, so that its rows can be counted.
  const first = spec.columns.find(({ name }) => !spec.partitionBy.includes(name));
  const asked = inFile.length > 0 ? inFile.map(({ name }) => name) : first ? [first.name] : [];
  const wanted = Object.entries(options.where ?? {});
  const direction = options.newestFirst ? -1 : 1;
  const matching = [...files]
    .filter((file) => wanted.every(([name, value]) => (file.partitionValues[name] ?? null) === value))
    .sort((a, b) => direction * (a.modificationTime - b.modificationTime));
  for (const file of matching) {
    for (const stored of await readParquet(log.store, log.fileKey(file.path), file.size, asked)) {
      const row: ReadRow = {};
      for (const column of columns) {
        row[column.name] = spec.partitionBy.includes(column.name)
          ? fromPartition(column, file.partitionValues[column.name] ?? null)
          : fromFile(column, stored[column.name] ?? null);
      }
      yield row;
    }
  }
}

function fromFile({ type }: ColumnSpec, value: unknown): unknown {
  if (typeof value === 'bigint') return exact(value);
  if (type === 'date' && value instanceof Date) return dateText(value.getTime() / 86_400_000);
  if (type === 'list<string>' && Array.isArray(value)) return value.map((item: unknown) => item ?? null);
  return value;
}

function fromPartition({ type }: ColumnSpec, text: string | null): unknown {
  if (text === null) return null;
  if (type === 'int') return Number(text);
  if (type === 'long') return exact(BigInt(text));
  return type === 'boolean' ? text === 'true' : text;
}

const exact = (value: bigint): number | bigint => (Number.isSafeInteger(Number(value)) ? Number(value) : value);
