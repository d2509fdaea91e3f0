/**
 * result-processor: writes every download result once into `xact_attachments`.
 *
 * It starts at Kafka's commit and lets the table trim what it has, although the table could say where to start: between
 * the commit and the table's offset there may be a record that was refused and whose dead letter nobody has acknowledged
 * yet. Reading a second of records twice costs nothing; skipping that one would lose it.
 */
import {
  assignTable,
  createTableMetrics,
  downloadsResults,
  findAheadOfLog,
  slicesOf,
  storeAccess,
  type TableMetrics,
  writeThrough,
  xactAttachments,
} from '@weir/contracts';
import { systemRandom } from '@weir/core';
import { openTableAt, type Table, TableAheadOfLogError } from '@weir/lake';
import { defineWorker } from '@weir/sdk';
import type { ObjectStore } from '@weir/storage';
import { resultProcessorConfig } from './config.ts';
import { attachmentRow } from './row.ts';

/** What the handler works with; a test may bring its own. */
export interface ResultProcessorResources {
  readonly store: ObjectStore;
  readonly table: Table;
  readonly tableMetrics: TableMetrics;
  readonly epoch: number;
}

export const resultProcessor = defineWorker({
  name: 'result-processor',
  consumes: downloadsResults,
  order: 'none',
  batch: { maxRecords: 100, maxWait: '5s' },
  // A store that is away is waited for in place (writeThrough), so that no record burns an attempt on it.
  timeout: '1h',
  dependencies: { tables: { timeout: '60s' } },
  scaling: { min: 1, catchUp: '5m' },
  config: resultProcessorConfig,

  async open({ config, log, clock, registry, epoch }): Promise<ResultProcessorResources> {
    const { TABLES_URL: url } = config;
    const spec = xactAttachments;
    const access = { ...storeAccess(url, config), clock, log, random: systemRandom };
    const { store, table } = await openTableAt(url, { spec, createIfMissing: true, ...access });
    return { store, table, tableMetrics: createTableMetrics(registry, spec.name, clock), epoch };
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
    const { table, tableMetrics, epoch } = ctx.resources;
    const slices = slicesOf(records, epoch, (record) => {
      try {
        return attachmentRow(record.value, record);
      } catch (error) {
        ctx.fail(record, error);
        return undefined;
      }
    });
    await writeThrough(
      (work) => ctx.call('tables', work),
      (signal) => tableMetrics.measure(() => table.append(slices, { signal })),
      ctx,
    );
  },
});
