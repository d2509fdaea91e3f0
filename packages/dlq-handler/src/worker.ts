/**
 * dlq-handler: indexes every other worker's dead letters in the table `dead_letters`, so that people can list, view,
 * replay and resolve them (desk.ts). The bytes stay in Kafka, the table tells the story.
 *
 * Ordered by partition, which means that failures are tried in place: a retry topic would write its own story over the
 * one that is to be recorded. A table that is away is waited for; no letter is ever given up for it.
 */
import {
  assignTable,
  createTableMetrics,
  deadLetters,
  findAheadOfLog,
  slicesOf,
  storeAccess,
  type TableMetrics,
  writeThrough,
} from '@weir/contracts';
import { systemRandom } from '@weir/core';
import { openTableAt, type Table, TableAheadOfLogError } from '@weir/lake';
import { bytes, defineWorker, rawStory, type Topology, topic } from '@weir/sdk';
import type { ObjectStore } from '@weir/storage';
import { dlqHandlerConfig } from './config.ts';
import { letterOf } from './letter.ts';
import { routesOf } from './routes.ts';
import { letterRow } from './row.ts';

export {
  DeadLetterDesk,
  type DeskOptions,
  type LetterFilter,
  type ReplayOptions,
  type ReplayOutcome,
  type ViewedLetter,
} from './desk.ts';
export { DeadLetterGoneError, DeadLetterIdError, DeadLetterUnknownError, ERRORS } from './errors.ts';
export { type Letter, letterId, type Place, parseLetterId } from './letter.ts';

/** What the handler works with; a test may bring its own. */
export interface DlqHandlerResources {
  readonly store: ObjectStore;
  readonly table: Table;
  readonly tableMetrics: TableMetrics;
  readonly epoch: number;
}

const NAME = 'dlq-handler';

/** @throws TopologyInvalidError when no worker of the topology has dead letters */
export function dlqHandler(topology: Topology) {
  const routes = routesOf(topology, NAME);
  const byTopic = new Map(routes.map((route) => [route.topic, route]));

  return defineWorker({
    name: NAME,
    consumes: routes.map(({ declared, partitions, maxMessageBytes }) =>
      topic(declared, bytes, { partitions, maxMessageBytes }),
    ),
    order: 'partition',
    batch: { maxRecords: 100, maxWait: '2s' },
    timeout: '12h',
    dependencies: { tables: { timeout: '60s' } },
    scaling: { min: 1 },
    config: dlqHandlerConfig,

    async open({ config, log, clock, registry, epoch }): Promise<DlqHandlerResources> {
      const { TABLES_URL: url } = config;
      const spec = deadLetters;
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

    async handleBatch(records, ctx) {
      const { table, tableMetrics, epoch } = ctx.resources;
      const slices = slicesOf(records, epoch, (record) => {
        const worker = byTopic.get(record.topic)?.worker ?? record.topic;
        return letterRow(letterOf(record, worker, rawStory(record)));
      });
      await writeThrough(
        (work) => ctx.call('tables', work),
        (signal) => tableMetrics.measure(() => table.append(slices, { signal })),
        ctx,
      );
    },
  });
}
