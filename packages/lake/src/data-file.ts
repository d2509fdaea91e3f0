/**
 * One Parquet file of a table: rows of one partition, with the statistics that let a reader skip it. The Parquet
 * libraries are loaded at first use.
 */

import type { ObjectStore } from '@weir/storage';
import type { AsyncBuffer, SchemaElement } from 'hyparquet';
import type { EncodedRow } from './row.ts';
import { type ColumnSpec, isNullable, type TableSpec } from './spec.ts';
import { type FileColumn, statisticsOf } from './statistics.ts';

/** Files up to this size are read in one request, larger ones in ranges. */
const WHOLE_READ_BYTES = 8 * 1024 * 1024;

export class FileEncoder {
  readonly #columns: readonly FileColumn[];
  readonly #schema: SchemaElement[];
  readonly #keys: ReadonlySet<string>;

  constructor(spec: TableSpec) {
    this.#keys = new Set(spec.key);
    this.#columns = spec.columns.flatMap((column, index) =>
      spec.partitionBy.includes(column.name) ? [] : [{ column, index }],
    );
    this.#schema = [
      { name: 'schema', num_children: this.#columns.length },
      ...this.#columns.flatMap(({ column }) => schemaElements(column)),
    ];
  }

  async encode(rows: readonly EncodedRow[]): Promise<{ bytes: Uint8Array; stats: string }> {
    const { parquetWriteBuffer } = await import('hyparquet-writer');
    const columnData = this.#columns.map(({ column, index }) => ({
      name: column.name,
      data: rows.map((row) => row.values[index]) as unknown[],
      // The library orders text as JavaScript does, not by bytes: its bounds could hide rows. Delta's own (statistics.ts)
      // are by bytes, and there is one row group to skip, the file.
      ...(column.type === 'string' || column.type === 'list<string>' ? { statistics: false } : {}),
      // Keys differ: looking for a dictionary is wasted work.
      ...(this.#keys.has(column.name) ? { encoding: 'PLAIN' as const } : {}),
    }));
    const bytes = new Uint8Array(
      parquetWriteBuffer({ columnData, schema: this.#schema, createdBy: 'weir', rowGroupSize: 100_000 }),
    );
    return { bytes, stats: statisticsOf(this.#columns, rows) };
  }
}

function schemaElements(column: ColumnSpec): SchemaElement[] {
  const { name } = column;
  const repetition_type = isNullable(column) ? 'OPTIONAL' : 'REQUIRED';
  const text = { type: 'BYTE_ARRAY', converted_type: 'UTF8', logical_type: { type: 'STRING' } } as const;
  switch (column.type) {
    case 'string':
      return [{ name, repetition_type, ...text }];
    case 'long':
      return [{ name, repetition_type, type: 'INT64' }];
    case 'int':
      return [{ name, repetition_type, type: 'INT32' }];
    case 'double':
      return [{ name, repetition_type, type: 'DOUBLE' }];
    case 'boolean':
      return [{ name, repetition_type, type: 'BOOLEAN' }];
    case 'date':
      return [{ name, repetition_type, type: 'INT32', converted_type: 'DATE', logical_type: { type: 'DATE' } }];
    case 'timestamp':
      return [
        {
          name,
          repetition_type,
          type: 'INT64',
          converted_type: 'TIMESTAMP_MICROS',
          logical_type: { type: 'TIMESTAMP', isAdjustedToUTC: true, unit: 'MICROS' },
        },
      ];
    case 'list<string>':
      return [
        { name, repetition_type, num_children: 1, converted_type: 'LIST', logical_type: { type: 'LIST' } },
        { name: 'list', repetition_type: 'REPEATED', num_children: 1 },
        { name: 'element', repetition_type: 'OPTIONAL', ...text },
      ];
    default:
      column.type satisfies never;
      return [];
  }
}

/** Rows of any Parquet file in the store (ours, a checkpoint, another tool's), as objects of the asked columns. */
export async function readParquet(
  store: ObjectStore,
  key: string,
  size: number | undefined,
  columns?: readonly string[],
): Promise<Record<string, unknown>[]> {
  const [{ parquetReadObjects }, { DEFAULT_PARSERS }, { compressors }] = await Promise.all([
    import('hyparquet'),
    import('hyparquet/src/convert.js'),
    import('hyparquet-compressors'),
  ]);
  const file = await openBuffer(store, key, size);
  return parquetReadObjects({
    file,
    compressors,
    parsers: { ...DEFAULT_PARSERS, stringFromBytes: textOf },
    ...(columns === undefined ? {} : { columns: [...columns] }),
  }) as Promise<Record<string, unknown>[]>;
}

/** The library's own decoder takes a leading U+FEFF for a byte order mark and drops it. */
const textOf = (bytes: Uint8Array | undefined): string | undefined =>
  bytes && Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength).toString('utf8');

async function openBuffer(store: ObjectStore, key: string, size: number | undefined): Promise<AsyncBuffer> {
  if (size === undefined || size <= WHOLE_READ_BYTES) {
    const bytes = await store.get(key);
    const buffer = bytes.buffer.slice(bytes.byteOffset, bytes.byteOffset + bytes.byteLength) as ArrayBuffer;
    return { byteLength: buffer.byteLength, slice: (start, end) => buffer.slice(start, end) };
  }
  return {
    byteLength: size,
    slice: async (start, end = size) => {
      const from = start < 0 ? size + start : start;
      const part = await store.get(key, { range: { start: from, length: end - from } });
      return part.buffer.slice(part.byteOffset, part.byteOffset + part.byteLength) as ArrayBuffer;
    },
  };
}
