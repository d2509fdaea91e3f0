/**
 * A small table whose rows say where they came from, so that a test can tell a row that is missing or there twice
 * without knowing who wrote it in which batch.
 */
import type { ReadRow } from '../scan.ts';
import type { TableSpec } from '../spec.ts';
import type { SourcedSlice } from '../table.ts';

export interface ModelRow {
  readonly partition: number;
  readonly offset: number;
  /** Offsets with the same key are the same result, produced twice. */
  readonly key: string;
}

export const modelSpec: TableSpec = {
  name: 'model',
  partitionBy: ['event_date'],
  key: ['id', 'replays'],
  columns: [
    { name: 'id', type: 'string', nullable: false },
    { name: 'replays', type: 'int', nullable: false },
    { name: 'text', type: 'string' },
    { name: 'event_date', type: 'date', nullable: false },
    { name: 'source_partition', type: 'int', nullable: false },
    { name: 'source_offset', type: 'long', nullable: false },
  ],
};

/** Records first to last of a partition; `keyOf` gives records of one result the same key. */
export function sliceOf(
  partition: number,
  first: number,
  last: number,
  keyOf: (offset: number) => string = (offset) => `${partition}-${offset}`,
): SourcedSlice {
  const rows = Array.from({ length: last - first + 1 }, (_, index) => {
    const offset = first + index;
    const row = {
      id: keyOf(offset),
      replays: 0,
      text: `record ${offset}`,
      event_date: `2026-01-0${1 + (offset % 3)}`,
      source_partition: partition,
      source_offset: offset,
    };
    return { offset, row };
  });
  return { source: { topic: 'results', partition, epoch: 'one' }, rows, lastOffset: last };
}

export function rowsOf(rows: readonly ReadRow[]): ModelRow[] {
  return rows
    .map((row) => ({
      partition: row.source_partition as number,
      offset: row.source_offset as number,
      key: row.id as string,
    }))
    .sort((a, b) => a.partition - b.partition || a.offset - b.offset);
}
