/**
 * A worker's table, from `open` to `close`: what each hook of a declaration does when its records become rows.
 *
 *   open --> assigned: refuse a table that contradicts the log, load the keys of these partitions
 *              --> handleBatch: write, which returns when the rows are in the table (or were already)
 *                    --> revoked: forget the keys --> close
 *
 * Such a worker starts at Kafka's commit and never at the table's own offset, which it could ask for: between the two there
 * may be a record that was refused and whose dead letter nobody has acknowledged yet, or whose sends are not out. Reading
 * a second of records twice costs nothing, the table drops the rows that it has; skipping that one would lose it.
 */
import { storeAccess } from '@weir/contracts';
import { type Clock, systemClock } from '@weir/core';
import { openTableAt, type Row, type Table, TableAheadOfLogError, type TableSpec } from '@weir/lake';
import type { AssignedPosition, KafkaRecord, OpenInit, TopicPartition } from '@weir/sdk';
import type { ObjectStore } from '@weir/storage';
import type { Registry } from 'prom-client';
import { createTableMetrics, type TableMetrics } from './metrics.ts';
import { assignTable, findAheadOfLog } from './positions.ts';
import { slicesOf, type WaitContext, writeThrough } from './write.ts';

/** `TABLES_URL` is `file:///folder` or `s3://bucket/prefix`; the rest is `storeAccessSettings` of @weir/contracts. */
export type TableSinkSettings = { readonly TABLES_URL: string } & Parameters<typeof storeAccess>[1];

export interface TableSinkParts {
  readonly store: ObjectStore;
  readonly table: Table;
  /** Where the metrics of the table's writes are registered. */
  readonly registry: Registry;
  /** `WEIR_EPOCH`; 0 unless told. */
  readonly epoch?: number;
  readonly clock?: Clock;
}

/** A batch handler's context, of a worker that declares the dependency `tables`. */
export interface WriteContext extends WaitContext {
  call<T>(dependency: 'tables', work: (signal: AbortSignal) => Promise<T>): Promise<T>;
  fail(record: KafkaRecord, error: unknown): void;
}

export class TableSink {
  readonly table: Table;
  readonly #store: ObjectStore;
  readonly #metrics: TableMetrics;
  readonly #epoch: number;

  /** Takes over what it is given: `close` closes both. */
  constructor({ store, table, registry, epoch = 0, clock = systemClock }: TableSinkParts) {
    this.table = table;
    this.#store = store;
    this.#metrics = createTableMetrics(registry, table.spec.name, clock);
    this.#epoch = epoch;
  }

  /**
   * For `open`. The table is made when it is missing.
   * @throws what `openTableAt` throws; nothing stays open then
   */
  static async open(spec: TableSpec, init: OpenInit<TableSinkSettings>): Promise<TableSink> {
    const { config, log, clock, registry, epoch } = init;
    const access = { ...storeAccess(config.TABLES_URL, config), clock, log };
    const parts = await openTableAt(config.TABLES_URL, { spec, createIfMissing: true, ...access });
    return new TableSink({ ...parts, registry, epoch, clock });
  }

  /**
   * For `assigned`.
   * @throws TableAheadOfLogError when the table has rows of offsets that the log or the group does not know
   */
  async assigned(partitions: readonly AssignedPosition[]): Promise<void> {
    const ahead = await findAheadOfLog(this.table, partitions, this.#epoch);
    if (ahead) throw new TableAheadOfLogError(ahead);
    await assignTable(this.table, partitions, this.#epoch);
  }

  /** For `revoked` of a worker with one topic: frees the memory of these partitions' keys. */
  revoked(partitions: readonly TopicPartition[]): void {
    // It may wait behind an append, and nothing waits for it.
    void this.table.release(partitions.map((each) => each.partition));
  }

  /**
   * For `handleBatch`: returns when the row of every record is in the table. While the store is away it waits (give the
   * worker a long `timeout`). A record whose row cannot be made fails by itself.
   * @param rowOf  undefined for a record that has no row
   * @throws DependencyDownError, to be passed on; RowInvalidError when a row does not fit the table's columns
   */
  async write<V>(
    records: readonly KafkaRecord<V>[],
    ctx: WriteContext,
    rowOf: (record: KafkaRecord<V>) => Row | undefined,
  ): Promise<void> {
    const slices = slicesOf(records, this.#epoch, (record) => {
      try {
        return rowOf(record);
      } catch (error) {
        ctx.fail(record, error);
        return undefined;
      }
    });
    await writeThrough(
      (work) => ctx.call('tables', work),
      (signal) => this.#metrics.measure(() => this.table.append(slices, { signal })),
      ctx,
    );
  }

  /** For `close`. */
  async close(): Promise<void> {
    await this.table.close();
    await this.#store.close();
  }
}
