/**
 * The topology: every worker of a deployment as plain data (group, topics, retry ladder, scaling policy), derived from
 * the declarations. retry-scheduler, dlq-handler and scaler read it from a file (`WEIR_TOPOLOGY`), so that services never
 * import each other. Names here are Kafka's own (with prefix).
 */
import { readFileSync } from 'node:fs';
import { z } from 'zod';
import { TopologyInvalidError } from './errors.ts';

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
