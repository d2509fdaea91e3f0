/**
 * event-ingester: writes every event once into `xact_events` and makes one download task per attachment.
 *
 *   read all --> append the rows, once by offset and by key --> send the tasks --> offsets are committed
 *
 * Rows come before tasks and both before the offset. A crash between the two brings the records again: their rows are
 * trimmed by the table, their tasks are sent again (and their results fall together by key).
 */
import { downloadsPending, eventsRaw, xactEvents } from '@weir/contracts';
import { defineWorker } from '@weir/sdk';
import { TableSink } from '@weir/table-sink';
import { ingesterConfig } from './config.ts';
import { createMetrics, type IngesterMetrics } from './metrics.ts';
import { type Reading, readEvent } from './reading.ts';
import { eventRow } from './row.ts';
import { tasksOf } from './tasks.ts';

/** What the handler works with; a test may bring its own. */
export interface IngesterResources {
  readonly sink: TableSink;
  readonly metrics: IngesterMetrics;
}

export const eventIngester = defineWorker({
  name: 'event-ingester',
  consumes: eventsRaw,
  produces: { tasks: downloadsPending },
  order: 'none',
  batch: { maxRecords: 100, maxWait: '1s' },
  // A store that is away is waited for in place, so that no record burns an attempt on it.
  timeout: '1h',
  dependencies: { tables: { timeout: '60s' } },
  scaling: { min: 1, catchUp: '5m' },
  config: ingesterConfig,

  async open(init): Promise<IngesterResources> {
    return { sink: await TableSink.open(xactEvents, init), metrics: createMetrics(init.registry) };
  },

  close: ({ sink }) => sink.close(),
  assigned: (partitions, { resources: { sink } }) => sink.assigned(partitions),
  revoked: (partitions, { resources: { sink } }) => sink.revoked(partitions),

  async handleBatch(records, ctx) {
    const { sink, metrics } = ctx.resources;
    const now = ctx.clock.now();
    const readings = new Map<(typeof records)[number], Reading>();
    await sink.write(records, ctx, (record) => {
      const reading = readEvent(record.value);
      const row = eventRow(reading, { ...record, now });
      readings.set(record, reading);
      return row;
    });
    for (const [record, reading] of readings) {
      for (const reason of reading.skipped) metrics.skipped(reason);
      for (const task of tasksOf(reading, record.timestamp)) await ctx.send('tasks', task);
    }
  },
});
