/**
 * Where the records are, read from Kafka alone: committed positions and ends of every topic of the topology. Nothing is
 * left to do when every position equals its end, provided the positions were read before the ends: whatever is being
 * handled is not committed yet, and whatever it causes is in its topic before it is.
 */

import type { Admin, Topology, TopologyWorker } from '@weir/sdk';
import type { LagAge } from './lag-age.ts';

export interface WorkerLag {
  readonly worker: string;
  /** Records written and not committed. */
  readonly lag: number;
  /** How long the oldest of them has waited, seconds. */
  readonly lagSeconds: number;
}

export interface Whereabouts {
  readonly lags: readonly WorkerLag[];
  /** Every group has done everything there is. */
  readonly idle: boolean;
  /** Finished, by topic as Kafka names it. */
  readonly done: ReadonlyMap<string, number>;
  /** Ever written, by topic. */
  readonly written: ReadonlyMap<string, number>;
  readonly retried: number;
  readonly deadLetters: number;
}

export async function lookAround(options: {
  admin: Admin;
  topology: Topology;
  ages: LagAge;
  /** Milliseconds of a clock that does not go back. */
  at: number;
}): Promise<Whereabouts> {
  const { admin, topology, ages } = options;
  const names = new Set<string>();
  for (const worker of topology.workers) {
    for (const topic of topicsOf(worker)) names.add(topic);
  }
  const committed = await Promise.all(
    topology.workers.map(async (worker) => ({
      worker,
      positions: await admin.committed(
        worker.group,
        worker.consumes.map(({ name }) => name),
      ),
    })),
  );
  const ends = new Map<string, Map<number, { start: number; end: number }>>();
  for (const { topic, partition, start, end } of await admin.offsets([...names])) {
    let partitions = ends.get(topic);
    if (!partitions) {
      partitions = new Map();
      ends.set(topic, partitions);
    }
    partitions.set(partition, { start, end });
  }
  const written = new Map<string, number>();
  for (const [topic, partitions] of ends) written.set(topic, sum([...partitions.values()].map(({ end }) => end)));

  const done = new Map<string, number>();
  const lags = committed.map(({ worker, positions }) => {
    let lag = 0;
    let lagSeconds = 0;
    for (const { name } of worker.consumes) {
      for (const [partition, { start, end }] of ends.get(name) ?? []) {
        const position = positions.find((each) => each.topic === name && each.partition === partition);
        const at = Math.max(start, position?.offset ?? -1);
        lag += end - at;
        lagSeconds = Math.max(lagSeconds, ages.observe(`${worker.name} ${name}/${partition}`, options.at, end, at));
        done.set(name, (done.get(name) ?? 0) + at);
      }
    }
    return { worker: worker.name, lag, lagSeconds };
  });
  const retryTopics = topology.workers.flatMap(({ retry }) => retry.map(({ name }) => name));
  const deadTopics = topology.workers.flatMap(({ deadLetters }) => (deadLetters ? [deadLetters.name] : []));
  return {
    lags,
    idle: lags.every(({ lag }) => lag === 0),
    done,
    written,
    retried: sum(retryTopics.map((topic) => written.get(topic) ?? 0)),
    deadLetters: sum(deadTopics.map((topic) => written.get(topic) ?? 0)),
  };
}

function topicsOf(worker: TopologyWorker): string[] {
  return [
    ...worker.consumes.map(({ name }) => name),
    ...worker.produces.map(({ name }) => name),
    ...worker.retry.map(({ name }) => name),
    ...(worker.deadLetters ? [worker.deadLetters.name] : []),
  ];
}

function sum(numbers: readonly number[]): number {
  return numbers.reduce((total, number) => total + number, 0);
}
