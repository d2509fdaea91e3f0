/**
 * One Parquet file of a table: rows of one partition, with the statistics that let a reader skip it. The Parquet
 * libraries are loaded at first use.
 */

import type { ObjectStore } from '@weir/storage';
import type { AsyncBuffer, SchemaElement } from 'hyparquet';
import { dateText, type EncodedRow, type Stored } from './row.ts';
import { type ColumnSpec, isNullable, type TableSpec } from './spec.ts';

/** Readers compare statistics of text in their own ways; only keys, which are short, have any. */
const LONGEST_TEXT_STATISTIC = 32;
/** Files up to this size are read in one request, larger ones in ranges. */
const WHOLE_READ_BYTES = 8 * 1024 * 1024;

interface FileColumn {
  readonly column: ColumnSpec;
  readonly index: number;
  readonly hasTextStatistics: boolean;
}

export class FileEncoder {
  readonly #columns: readonly FileColumn[];
  readonly #schema: SchemaElement[];

  constructor(spec: TableSpec) {
    this.#columns = spec.columns.flatMap((column, index) =>
      spec.partitionBy.includes(column.name)
        ? []
        : [{ column, index, hasTextStatistics: spec.key.includes(column.name) }],
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
    }));
    const bytes = new Uint8Array(
      parquetWriteBuffer({ columnData, schema: this.#schema, createdBy: 'weir', rowGroupSize: 100_000 }),
    );
    return { bytes, stats: this.#statistics(rows) };
  }

  #statistics(rows: readonly EncodedRow[]): string {
    const minValues: Record<string, unknown> = {};
    const maxValues: Record<string, unknown> = {};
    const nullCount: Record<string, number> = {};
    for (const { column, index, hasTextStatistics } of this.#columns) {
      if (column.type === 'list<string>') continue;
      let nulls = 0;
      let min: Stored = null;
      let max: Stored = null;
      let comparable = column.type !== 'boolean' && (column.type !== 'string' || hasTextStatistics);
      for (const row of rows) {
        const value = row.values[index] as Exclude<Stored, readonly (string | null)[]>;
        if (value === null) nulls++;
        else if (comparable) {
          // NaN has no place in an order, and a cut text would need rounding: no bounds then.
          if (typeof value === 'number' && !Number.isFinite(value)) comparable = false;
          // A long past what JSON numbers hold exactly here would be rounded.
          if (typeof value === 'bigint' && column.type === 'long' && !Number.isSafeInteger(Number(value)))
            comparable = false;
          if (typeof value === 'string' && (value.length > LONGEST_TEXT_STATISTIC || !isAscii(value)))
            comparable = false;
          if (min === null || value < min) min = value;
          if (max === null || value > max) max = value;
        }
      }
      nullCount[column.name] = nulls;
      if (comparable && min !== null && max !== null) {
        minValues[column.name] = shownStatistic(column, min);
        maxValues[column.name] = shownStatistic(column, max);
      }
    }
    return JSON.stringify({ numRecords: rows.length, minValues, maxValues, nullCount });
  }
}

// biome-ignore lint/suspicious/noControlCharactersInRegex: the range of ASCII
const isAscii = (text: string) => /^[\u0000-\u007f]*$/.test(text);

function shownStatistic(column: ColumnSpec, value: Stored): unknown {
  if (column.type === 'timestamp') return new Date(Number((value as bigint) / 1_000n)).toISOString();
  if (column.type === 'date') return dateText(value as number);
  return typeof value === 'bigint' ? Number(value) : value;
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
  const [{ parquetReadObjects }, { compressors }] = await Promise.all([
    import('hyparquet'),
    import('hyparquet-compressors'),
  ]);
  const file = await openBuffer(store, key, size);
  return parquetReadObjects({
    file,
    compressors,
    ...(columns === undefined ? {} : { columns: [...columns] }),
  }) as Promise<Record<string, unknown>[]>;
}

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
