/**
 * dlq-handler: indexes every other worker's dead letters in the table `dead_letters`, so that people can list, view,
 * replay and resolve them (desk.ts). The bytes stay in Kafka, the table tells the story.
 *
 * Ordered by partition, which means that failures are tried in place: a retry topic would write its own story over the
 * one that is to be recorded. A table that is away is waited for; no letter is ever given up for it.
 */
import { deadLetters } from '@weir/contracts';
import { bytes, defineWorker, rawStory, type Topology, topic } from '@weir/sdk';
import { TableSink } from '@weir/table-sink';
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

    open: (init) => TableSink.open(deadLetters, init),
    close: (sink) => sink.close(),
    assigned: (partitions, { resources: sink }) => sink.assigned(partitions),

    handleBatch: (records, ctx) =>
      ctx.resources.write(records, ctx, (record) => {
        const worker = byTopic.get(record.topic)?.worker ?? record.topic;
        return letterRow(letterOf(record, worker, rawStory(record)));
      }),
  });
}
