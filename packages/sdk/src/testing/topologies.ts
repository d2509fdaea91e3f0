/** Topologies for tests of what reads one: plain workers with retry topics and dead letters. */
import type { Topology, TopologyTopic, TopologyWorker } from '../topology.ts';

export const topicOf = (declared: string, partitions = 6): TopologyTopic => ({
  name: `xact.${declared}`,
  declared,
  partitions,
  maxMessageBytes: 1024 * 1024,
});

export const workerOf = (name: string, over: Partial<TopologyWorker> = {}): TopologyWorker => ({
  name,
  group: `xact-${name}`,
  order: 'none',
  consumes: [topicOf(`${name}.in`)],
  produces: [],
  retry: [
    { name: `xact.${name}.retry.5m`, delayMs: 300_000, partitions: 3 },
    { name: `xact.${name}.retry.10m`, delayMs: 600_000, partitions: 3 },
  ],
  deadLetters: { name: `xact.${name}.dlq`, partitions: 3 },
  concurrency: { start: 10, max: 64 },
  scaling: { min: 1, max: 6, catchUpMs: 300_000 },
  ...over,
});

export const topologyOfWorkers = (...workers: readonly TopologyWorker[]): Topology => ({
  version: 1,
  prefix: 'xact',
  workers: [...workers],
});
