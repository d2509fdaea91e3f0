/**
 * event-ingester: writes every event once into `xact_events` and makes one download task per attachment.
 *
 *   read all --> append the rows, once by offset and by key --> send the tasks --> offsets are committed
 *
 * Rows come before tasks and both before the offset. A crash between the two brings the records again: their rows are
 * trimmed by the table, their tasks are sent again (and their results fall together by key). That is why this worker
 * starts at Kafka's commit and never at the table's own offset, which knows nothing of the tasks.
 */
import {
  assignTable,
  createTableMetrics,
  downloadsPending,
  eventsRaw,
  findAheadOfLog,
  slicesOf,
  storeAccess,
  type TableMetrics,
  writeThrough,
  xactEvents,
} from '@weir/contracts';
import { systemRandom } from '@weir/core';
import { openTableAt, type Table, TableAheadOfLogError } from '@weir/lake';
import { defineWorker } from '@weir/sdk';
import type { ObjectStore } from '@weir/storage';
import { ingesterConfig } from './config.ts';
import { createMetrics, type IngesterMetrics } from './metrics.ts';
import { type Reading, readEvent } from './reading.ts';
import { eventRow } from './row.ts';
import { tasksOf } from './tasks.ts';

/** What the handler works with; a test may bring its own. */
export interface IngesterResources {
  readonly store: ObjectStore;
  readonly table: Table;
  readonly tableMetrics: TableMetrics;
  readonly metrics: IngesterMetrics;
  readonly epoch: number;
}

export const eventIngester = defineWorker({
  name: 'event-ingester',
  consumes: eventsRaw,
  produces: { tasks: downloadsPending },
  order: 'none',
  batch: { maxRecords: 100, maxWait: '1s' },
  // A store that is away is waited for in place (writeThrough), so that no record burns an attempt on it.
  timeout: '1h',
  dependencies: { tables: { timeout: '60s' } },
  scaling: { min: 1, catchUp: '5m' },
  config: ingesterConfig,

  async open({ config, log, clock, registry, epoch }): Promise<IngesterResources> {
    const { TABLES_URL: url } = config;
    const spec = xactEvents;
    const access = { ...storeAccess(url, config), clock, log, random: systemRandom };
    const { store, table } = await openTableAt(url, { spec, createIfMissing: true, ...access });
    const tableMetrics = createTableMetrics(registry, spec.name, clock);
    return { store, table, tableMetrics, metrics: createMetrics(registry), epoch };
  },

  async close({ table, store }) {
    await table.close();
    await store.close();
  },

  async assigned(partitions, { resources: { table, epoch } }) {
    const ahead = await findAheadOfLog(table, partitions, epoch);
    if (ahead) throw new TableAheadOfLogError(ahead);
    await assignTable(table, partitions, epoch);
  },

  revoked(partitions, { resources: { table } }) {
    // Frees memory, no more: it may wait behind an append, and nothing waits for it.
    void table.release(partitions.map((each) => each.partition));
  },

  async handleBatch(records, ctx) {
    const { table, tableMetrics, metrics, epoch } = ctx.resources;
    const readings = new Map<(typeof records)[number], Reading>();
    for (const record of records) {
      try {
        readings.set(record, readEvent(record.value));
      } catch (error) {
        ctx.fail(record, error);
      }
    }
    const now = ctx.clock.now();
    const slices = slicesOf(records, epoch, (record) => {
      const reading = readings.get(record);
      return reading && eventRow(reading, { ...record, now });
    });
    await writeThrough(
      (work) => ctx.call('tables', work),
      (signal) => tableMetrics.measure(() => table.append(slices, { signal })),
      ctx,
    );
    for (const [record, reading] of readings) {
      for (const reason of reading.skipped) metrics.skipped(reason);
      for (const task of tasksOf(reading, record.timestamp)) await ctx.send('tasks', task);
    }
  },
});
