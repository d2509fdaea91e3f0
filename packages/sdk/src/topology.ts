/**
 * The topology: every worker of a deployment as plain data (group, topics, retry ladder, scaling policy), derived from
 * the declarations. retry-scheduler, dlq-handler and scaler read it from a file (`WEIR_TOPOLOGY`), so that services never
 * import each other. Names here are Kafka's own (with prefix).
 */
import { readFileSync } from 'node:fs';
import { z } from 'zod';
import type { Resolved, ResolvedTopic } from './config.ts';
import { TopologyInvalidError } from './errors.ts';
import type { TopicSpec } from './kafka/port.ts';

const topologyTopic = z.object({
  /** Kafka's name. */
  name: z.string(),
  /** Name in the declaration (no prefix). */
  declared: z.string(),
  partitions: z.number().int().positive(),
  maxMessageBytes: z.number().int().positive(),
});

const topologyWorker = z.object({
  name: z.string(),
  group: z.string(),
  order: z.enum(['none', 'key', 'partition']),
  consumes: z.array(topologyTopic),
  produces: z.array(topologyTopic),
  /** In the order of their delays; empty when the worker retries in place only. */
  retry: z.array(
    z.object({ name: z.string(), delayMs: z.number().positive(), partitions: z.number().int().positive() }),
  ),
  /** Undefined for a worker that has no dead letters of its own. */
  deadLetters: z.object({ name: z.string(), partitions: z.number().int().positive() }).optional(),
  concurrency: z.object({ start: z.number(), max: z.number() }),
  scaling: z.object({ min: z.number(), max: z.number(), catchUpMs: z.number() }),
});

export const topologySchema = z.object({
  version: z.literal(1),
  prefix: z.string(),
  workers: z.array(topologyWorker),
});

export type Topology = z.output<typeof topologySchema>;
export type TopologyWorker = z.output<typeof topologyWorker>;
export type TopologyTopic = z.output<typeof topologyTopic>;

/** @throws TopologyInvalidError when the file is missing, is not JSON, or is no topology */
export function readTopology(path: string): Topology {
  let text: string;
  try {
    text = readFileSync(path, 'utf8');
  } catch (error) {
    throw new TopologyInvalidError(path, 'cannot be read', { cause: error });
  }
  let data: unknown;
  try {
    data = JSON.parse(text);
  } catch (error) {
    throw new TopologyInvalidError(path, 'is not JSON', { cause: error });
  }
  const parsed = topologySchema.safeParse(data);
  if (!parsed.success) throw new TopologyInvalidError(path, z.prettifyError(parsed.error));
  return parsed.data;
}

/** Retry and dead-letter topics carry little: a few partitions let several schedulers share the work. */
export const RETRY_PARTITIONS = 3;

/** What `weir-*` headers may add to a record on its way to a retry or dead-letter topic. */
export const STORY_BYTES = 64 * 1024;

/**
 * The topology of these workers, as data for the file.
 * @throws TypeError when they do not share one prefix: they would not be one deployment
 */
export function topologyOf(resolved: readonly Resolved[]): Topology {
  const prefixes = [...new Set(resolved.map((each) => each.prefix))];
  if (prefixes.length > 1) throw new TypeError(`one topology has one prefix, not ${prefixes.join(' and ')}`);
  return {
    version: 1,
    prefix: prefixes[0] ?? 'xact',
    workers: resolved.map((each) => ({
      name: each.name,
      group: each.group,
      order: each.order,
      consumes: each.consumes.map(topologyTopicOf),
      produces: Object.values(each.produces).map(topologyTopicOf),
      retry: each.retry.map(({ topic, delayMs }) => ({ name: topic, delayMs, partitions: RETRY_PARTITIONS })),
      deadLetters: { name: each.deadLetters, partitions: RETRY_PARTITIONS },
      concurrency: { start: each.concurrency.start, max: each.concurrency.max },
      scaling: { ...each.scaling },
    })),
  };
}

/**
 * The smallest topology that a worker can be made from: one worker with a topic, a retry topic and dead letters. For what
 * has to be known of such a worker while there is no file.
 */
export function standInTopology(): Topology {
  const topic = { name: 'xact.any', declared: 'any', partitions: 1, maxMessageBytes: 1024 * 1024 };
  return {
    version: 1,
    prefix: 'xact',
    workers: [
      {
        name: 'any',
        group: 'xact-any',
        order: 'none',
        consumes: [topic],
        produces: [],
        retry: [{ name: 'xact.any.retry.5m', delayMs: 300_000, partitions: RETRY_PARTITIONS }],
        deadLetters: { name: 'xact.any.dlq', partitions: RETRY_PARTITIONS },
        concurrency: { start: 1, max: 1 },
        scaling: { min: 1, max: 1, catchUpMs: 300_000 },
      },
    ],
  };
}

function topologyTopicOf({ name, topic }: ResolvedTopic): TopologyTopic {
  return { name, declared: topic.name, partitions: topic.partitions, maxMessageBytes: topic.maxMessageBytes };
}

/**
 * Every topic these workers need: consumed, produced, retry ladder, dead letters. A topic that several of them name
 * comes once, with the larger of what each asks for.
 */
export function deriveTopics(resolved: Resolved | readonly Resolved[]): TopicSpec[] {
  const topics = new Map<string, { partitions: number; maxBytes: number }>();
  const add = (name: string, partitions: number, maxBytes: number) => {
    const known = topics.get(name);
    topics.set(name, {
      partitions: Math.max(partitions, known?.partitions ?? 0),
      maxBytes: Math.max(maxBytes, known?.maxBytes ?? 0),
    });
  };
  for (const each of Array.isArray(resolved) ? (resolved as readonly Resolved[]) : [resolved as Resolved]) {
    for (const { name, topic } of [...each.consumes, ...Object.values(each.produces)])
      add(name, topic.partitions, topic.maxMessageBytes);
    const origin = Math.max(...each.consumes.map(({ topic }) => topic.maxMessageBytes));
    for (const { topic } of each.retry) add(topic, RETRY_PARTITIONS, origin + STORY_BYTES);
    add(each.deadLetters, RETRY_PARTITIONS, origin + STORY_BYTES);
  }
  return [...topics].map(([topic, { partitions, maxBytes }]) => ({
    topic,
    partitions,
    config: { 'max.message.bytes': String(maxBytes) },
  }));
}
