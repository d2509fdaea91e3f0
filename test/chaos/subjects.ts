/**
 * The kinds of workers that are put to the test, as data: the topics and lanes of each, what its load looks like, and the
 * topology by which the retry-scheduler finds their retry topics. The workers themselves are in workers/.
 */
import { RETRY_PARTITIONS, type TopicSpec, type Topology } from '@weir/sdk';
import type { Subject } from './history.ts';
import type { Mix } from './load.ts';
import { PARTITIONS } from './workers/work.ts';

export const SUBJECT_NAMES = ['tasks', 'keys', 'rows', 'retries'] as const;
export type SubjectName = (typeof SUBJECT_NAMES)[number];

const LANES = { tasks: 'none', keys: 'key', rows: 'partition', retries: 'none' } as const;
/** Those that have retry topics, with the delays of these. */
const RETRYING = ['tasks', 'rows'] as const;
const DELAYS = { '1s': 1_000, '2s': 2_000 };
export const MIXES: Readonly<Record<Exclude<SubjectName, 'retries'>, Mix>> = {
  tasks: {
    perSecond: 120,
    failing: 0.03,
    broken: 0.01,
    garbage: 0.005,
    slow: 0.03,
    quickMs: 30,
    slowMs: 700,
    keys: 100,
  },
  keys: {
    perSecond: 80,
    failing: 0.002,
    broken: 0.005,
    garbage: 0.005,
    slow: 0.02,
    quickMs: 20,
    slowMs: 500,
    keys: 20,
  },
  rows: { perSecond: 80, failing: 0.01, broken: 0.005, garbage: 0.005, slow: 0.05, quickMs: 50, slowMs: 800, keys: 50 },
};

export function subjectOf(prefix: string, name: SubjectName): Subject {
  return {
    name,
    group: `${prefix}-${name === 'retries' ? 'retry-scheduler' : name}`,
    topics: name === 'retries' ? RETRYING.flatMap((each) => retryTopicsOf(prefix, each)) : [`${prefix}.${name}`],
    lane: LANES[name],
    table: name === 'rows',
  };
}

export function retryTopicsOf(prefix: string, name: string): string[] {
  return Object.keys(DELAYS).map((delay) => `${prefix}.${name}.retry.${delay}`);
}

/** Each topic once: the retry-scheduler reads those of workers that are not part of the run, too. */
export function topicsOf(prefix: string, names: readonly SubjectName[]): TopicSpec[] {
  const all = names.includes('retries') ? new Set([...names, ...RETRYING]) : new Set(names);
  return [...all].flatMap((name) => topicsOfOne(prefix, name));
}

function topicsOfOne(prefix: string, name: SubjectName): TopicSpec[] {
  if (name === 'retries') return [{ topic: `${prefix}.retry-scheduler.dlq`, partitions: RETRY_PARTITIONS }];
  const own = `${prefix}.${name}`;
  return [
    { topic: own, partitions: PARTITIONS },
    { topic: `${own}.done`, partitions: 2 },
    ...[...retryTopicsOf(prefix, name), `${own}.dlq`].map((topic) => ({ topic, partitions: RETRY_PARTITIONS })),
  ];
}

/** For the retry-scheduler: whose retry topics there are. */
export function topologyOf(prefix: string): Topology {
  const topicOf = (name: string, partitions: number) => {
    return { name: `${prefix}.${name}`, declared: name, partitions, maxMessageBytes: 1024 * 1024 };
  };
  return {
    version: 1,
    prefix,
    workers: RETRYING.map((name) => ({
      name,
      group: `${prefix}-${name}`,
      order: 'none',
      consumes: [topicOf(name, PARTITIONS)],
      produces: [topicOf(`${name}.done`, 2)],
      retry: Object.entries(DELAYS).map(([delay, delayMs]) => ({
        name: `${prefix}.${name}.retry.${delay}`,
        delayMs,
        partitions: RETRY_PARTITIONS,
      })),
      concurrency: { start: 8, max: 8 },
      scaling: { min: 1, max: PARTITIONS, catchUpMs: 60_000 },
    })),
  };
}
