/**
 * One run: a cluster, the worker processes, the load, the schedule of faults, then quiet until everything is handled, then the
 * history. The processes are real; only the clock of the schedule is this process's.
 */

import { rmSync } from 'node:fs';
import { mkdir, mkdtemp, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { monitorEventLoopDelay } from 'node:perf_hooks';
import { setTimeout as wait } from 'node:timers/promises';
import { pathToFileURL } from 'node:url';
import { seededRandom } from '@weir/core';
import { openTable, readRows } from '@weir/lake';
import { RETRY_PARTITIONS, type TopicSpec, type Topology } from '@weir/sdk';
import { openStore } from '@weir/storage';
import type { Admin } from 'kafkajs';
import { check, type Verdict } from './checker.ts';
import { type Cluster, startDevCluster, startRealCluster } from './cluster.ts';
import { Faults } from './faults.ts';
import { Fleet } from './fleet.ts';
import type { Consequence, Fault, History, LogRecord, Subject } from './history.ts';
import { Load, type Mix } from './load.ts';
import { readLogs } from './read-logs.ts';
import { FAULT_NAMES, FAULTS, type FaultName, isGentle, type Step, schedule } from './schedule.ts';
import { nowMs } from './workers/event-log.ts';
import { TABLE } from './workers/table.ts';
import { PARTITIONS } from './workers/work.ts';

export const SUBJECT_NAMES = ['tasks', 'keys', 'rows', 'retries'] as const;
export type SubjectName = (typeof SUBJECT_NAMES)[number];

export interface RunOptions {
  readonly seed: number;
  readonly durationMs: number;
  readonly subjects: readonly SubjectName[];
  /** All that the cluster can, unless told. */
  readonly faults?: readonly FaultName[] | undefined;
  readonly kafka: boolean;
  /** Environment of the workers beside what the runner sets. */
  readonly env?: Readonly<Record<string, string>>;
  readonly mix?: Partial<Mix>;
  readonly nodeArgs?: readonly string[];
  readonly say?: (line: string) => void;
  /** Keeps the folder with the logs, also when nothing was wrong. */
  readonly keep?: boolean;
  /** Ends at the first broken promise that shows: for code that is broken on purpose. Nobody waits for the rest to be handled. */
  readonly untilBroken?: boolean;
}

export interface RunResult {
  readonly options: RunOptions;
  readonly steps: readonly Step[];
  readonly verdict: Verdict;
  readonly history: History;
  readonly seconds: number;
  /** Logs of every process; gone when nothing was wrong. */
  readonly folder: string;
  /** The longest that a timer of the runner was late while the workers ran: the machine's share in what happened. */
  readonly latestMs: number;
}

const MOST_PROCESSES = 3;
const WATCH_MS = 300;
/** How long a broken guarantee may take to show after the last fault: a session has to end, and somebody to take over. */
const AFTERMATH_MS = 30_000;
const KINDS: Readonly<Record<string, Consequence['kind']>> = { done: 'sent', retry: 'retry', dlq: 'dead' };
const START_DEADLINE_MS = 40_000;
/** A busy machine may take its time, as long as something moves. */
const STILL_MS = 40_000;
const FINISH_DEADLINE_MS = 180_000;
const END_DEADLINE_MS = 20_000;

const LANES = { tasks: 'none', keys: 'key', rows: 'partition', retries: 'none' } as const;
/** Those that have retry topics, with the delays of these. */
const RETRYING = ['tasks', 'rows'] as const;
const DELAYS = { '1s': 1_000, '2s': 2_000 };
const MIXES: Readonly<Record<Exclude<SubjectName, 'retries'>, Mix>> = {
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

/** @returns undefined when a real Kafka is asked for and there is none */
export async function runOnce(options: RunOptions): Promise<RunResult | undefined> {
  const cluster = options.kafka ? await startRealCluster() : await startDevCluster();
  if (cluster === undefined) return undefined;
  try {
    return await runOn(cluster, options);
  } finally {
    await cluster.stop();
  }
}

async function runOn(cluster: Cluster, options: RunOptions): Promise<RunResult> {
  const { seed, durationMs, say = () => undefined } = options;
  const startedMs = nowMs();
  const random = seededRandom(seed);
  const faults = (options.faults ?? FAULT_NAMES).filter((name) => !options.kafka || FAULTS[name].kafka);
  const gentle = isGentle(faults);
  const sessionTimeoutMs = gentle ? 12_000 : options.kafka ? 6_000 : 2_000;
  const steps = schedule(random, { durationMs, subjects: options.subjects, faults, sessionTimeoutMs });
  const folder = await mkdtemp(join(tmpdir(), 'weir-chaos-'));
  const prefix = `chaos-${seed}-${process.pid.toString(36)}-${Math.floor(startedMs).toString(36)}`;
  const subjects = options.subjects.map((name) => subjectOf(prefix, name));
  await cluster.createTopics(options.subjects.flatMap((name) => topicsOf(prefix, name)));
  await cluster.watch(subjects);

  const tables = join(folder, 'tables');
  await mkdir(tables);
  const storeFails = join(folder, 'store-fails');
  const deathWarrant = join(folder, 'die-between');
  const topology = join(folder, 'topology.json');
  await writeFile(topology, JSON.stringify(topologyOf(prefix)));
  let ending = false;
  const fleet = new Fleet({
    folder,
    nodeArgs: options.nodeArgs ?? [],
    env: {
      KAFKA_BROKERS: cluster.brokers.join(','),
      WEIR_TOPIC_PREFIX: prefix,
      WEIR_TOPOLOGY: topology,
      METRICS_PORT: '0',
      KAFKA_SESSION_TIMEOUT_MS: String(sessionTimeoutMs),
      KAFKA_HEARTBEAT_INTERVAL_MS: options.kafka ? '500' : '250',
      KAFKA_MAX_POLL_INTERVAL_MS: gentle ? '15000' : options.kafka ? '8000' : '4000',
      KAFKA_FETCH_MAX_WAIT_MS: '200',
      WEIR_SIGNAL_INTERVAL_MS: '300',
      WEIR_BREAKER_COOL_DOWN_MS: '1000',
      DRAIN_TIMEOUT_MS: '10000',
      TABLES_URL: pathToFileURL(tables).href,
      STORE_FAILS: storeFails,
      CHAOS_DIE: deathWarrant,
      ...options.env,
    },
    onDeath: (subject) => {
      if (!ending) setTimeout(() => void (ending || fleet.start(subject)), 300);
    },
  });
  const told: Fault[] = [];
  const tell = (text: string, hit?: Fault['hit']) => {
    told.push({ at: nowMs(), text, ...(hit ? { hit } : {}) });
    say(`${((nowMs() - startedMs) / 1000).toFixed(1).padStart(6)} s  ${text}`);
  };
  const load = new Load(
    cluster.brokers,
    random,
    options.subjects
      .filter((name) => name !== 'retries')
      .map((name) => ({ subject: name, topic: `${prefix}.${name}`, mix: { ...MIXES[name], ...options.mix } })),
  );
  const troubles: History['troubles'][number][] = [];
  const lateness = monitorEventLoopDelay({ resolution: 20 });
  lateness.enable();
  const cut = new AbortController();
  const observed: Observed = { cluster, subjects, fleet, load, told, gentle, troubles };
  const over = new AbortController();
  const watching = options.untilBroken ? watch(observed, prefix, cut, over.signal) : Promise.resolve();
  try {
    await load.start();
    for (const { name } of subjects)
      for (let count = 0; count < (name === 'retries' ? 1 : 2); count++) fleet.start(name);
    await until(START_DEADLINE_MS, () =>
      subjects.every(({ name }) => fleet.of(name).every((member) => fleet.isUp(member))),
    );
    tell('workers are up');
    const harm = new Faults({
      cluster,
      fleet,
      load,
      subjects,
      mostProcesses: MOST_PROCESSES,
      storeFails,
      deathWarrant,
      tell,
    });
    await harm.run(steps, cut.signal);
    if (options.untilBroken) await until(AFTERMATH_MS, () => cut.signal.aborted);
    await load.stop();
    await harm.end();
    if (options.untilBroken) fleet.killAll();
    else {
      for (const { name } of subjects) if (fleet.of(name).length === 0) fleet.start(name);
      tell('faults are over; waiting until everything is handled');
      for (const left of await untilHandled(cluster, subjects)) troubles.push(left);
    }
  } finally {
    over.abort();
    await watching;
    ending = true;
    await fleet.stop(END_DEADLINE_MS);
    lateness.disable();
  }
  tell('workers are down; reading the logs');
  const history = await gather(observed, { prefix, tables });
  const verdict = check(history, !options.untilBroken);
  const seconds = (nowMs() - startedMs) / 1000;
  await writeFile(
    join(folder, 'run.json'),
    JSON.stringify({ seed, steps, told, violations: verdict.violations }, null, 1),
  );
  if (verdict.violations.length === 0 && options.keep !== true) rmSync(folder, { recursive: true, force: true });
  return { options, steps, verdict, history, seconds, folder, latestMs: lateness.max / 1e6 };
}

function subjectOf(prefix: string, name: SubjectName): Subject {
  return {
    name,
    group: `${prefix}-${name === 'retries' ? 'retry-scheduler' : name}`,
    topics: name === 'retries' ? RETRYING.flatMap((each) => retryTopicsOf(prefix, each)) : [`${prefix}.${name}`],
    lane: LANES[name],
    table: name === 'rows',
  };
}

function retryTopicsOf(prefix: string, name: string): string[] {
  return Object.keys(DELAYS).map((delay) => `${prefix}.${name}.retry.${delay}`);
}

function topicsOf(prefix: string, name: SubjectName): TopicSpec[] {
  if (name === 'retries') return [{ topic: `${prefix}.retry-scheduler.dlq`, partitions: RETRY_PARTITIONS }];
  const own = `${prefix}.${name}`;
  return [
    { topic: own, partitions: PARTITIONS },
    { topic: `${own}.done`, partitions: 2 },
    ...[...retryTopicsOf(prefix, name), `${own}.dlq`].map((topic) => ({ topic, partitions: RETRY_PARTITIONS })),
  ];
}

/** For the retry-scheduler: whose retry topics there are. */
function topologyOf(prefix: string): Topology {
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

async function until(deadlineMs: number, isSo: () => boolean | Promise<boolean>): Promise<boolean> {
  for (const deadline = nowMs() + deadlineMs; nowMs() < deadline; await wait(100)) if (await isSo()) return true;
  return false;
}

/** What is still not committed when nothing has moved for so long, one for each partition. */
async function untilHandled(cluster: Cluster, subjects: readonly Subject[]): Promise<History['troubles'][number][]> {
  const admin = cluster.client().admin();
  await admin.connect();
  let behind: string[] = [];
  let movedMs = nowMs();
  try {
    await until(FINISH_DEADLINE_MS, async () => {
      const before = behind.join();
      behind = [];
      for (const { group, topics } of subjects)
        for (const topic of topics) behind.push(...(await behindOn(admin, group, topic)));
      if (behind.join() !== before) movedMs = nowMs();
      return behind.length === 0 || nowMs() - movedMs > STILL_MS;
    });
  } finally {
    await admin.disconnect();
  }
  const still = Math.round((nowMs() - movedMs) / 1000);
  return behind.map((text) => ({ rule: 'stuck', text: `${text}; nothing has moved for ${still} s` }));
}

async function behindOn(admin: Admin, group: string, topic: string): Promise<string[]> {
  try {
    const ends = await admin.fetchTopicOffsets(topic);
    const [committed] = await admin.fetchOffsets({ groupId: group, topics: [topic] });
    const offsets = new Map(committed?.partitions.map(({ partition, offset }) => [partition, Number(offset)]) ?? []);
    return ends
      .map(({ partition, high }) => ({ partition, end: Number(high), at: Math.max(0, offsets.get(partition) ?? 0) }))
      .filter(({ end, at }) => at < end)
      .map(({ partition, end, at }) => `${topic}/${partition} is committed to ${at} of ${end}`);
  } catch (error) {
    return [`${topic} could not be asked for: ${String(error)}`];
  }
}

/** What can be known of a run while it goes on. */
interface Observed {
  readonly cluster: Cluster;
  readonly subjects: readonly Subject[];
  readonly fleet: Fleet;
  readonly load: Load;
  readonly told: History['faults'];
  readonly gentle: boolean;
  readonly troubles: History['troubles'];
}

type Stored = Pick<History, 'records' | 'consequences' | 'rows'>;

function historyOf(observed: Observed, stored: Stored): History {
  const { cluster, subjects, fleet, load, told, gentle, troubles } = observed;
  return {
    ...stored,
    subjects,
    acknowledged: load.acknowledged,
    commits: cluster.commits,
    generations: cluster.generations,
    processes: fleet.logs(),
    faults: told,
    gentle,
    troubles: [...fleet.troubles, ...troubles],
  };
}

/** Cuts the run short when something shows that is broken. */
async function watch(observed: Observed, prefix: string, cut: AbortController, over: AbortSignal): Promise<void> {
  while (!over.aborted && !cut.signal.aborted) {
    await wait(WATCH_MS);
    // First what was promised, then what is stored: a promise may not be older than what would keep it.
    const { commits, processes, ...rest } = historyOf(observed, { records: [], consequences: [], rows: undefined });
    const known = { ...rest, commits: [...commits], processes };
    const stored = await storedIn(observed, prefix).catch(() => undefined);
    if (stored !== undefined && check({ ...known, ...stored }, false).violations.length > 0) cut.abort();
  }
}

async function gather(observed: Observed, { prefix, tables }: { prefix: string; tables: string }): Promise<History> {
  const rows = observed.subjects.some(({ table }) => table) ? await rowsOf(tables) : [];
  return historyOf(observed, { ...(await storedIn(observed, prefix)), rows });
}

/** What the logs have. */
async function storedIn({ cluster, subjects }: Observed, prefix: string): Promise<Omit<Stored, 'rows'>> {
  const records: LogRecord[] = [];
  const consequences: Consequence[] = [];
  const names = subjects.map(({ name }) => name as SubjectName);
  const topics = names.flatMap((name) => topicsOf(prefix, name)).map(({ topic }) => topic);
  const owner = new Map(subjects.flatMap(({ name, topics: own }) => own.map((topic) => [topic, name] as const)));
  for (const { topic, partition, offset, id } of await readLogs(cluster.client(), topics)) {
    const at = cluster.appendedAt(topic, partition, offset);
    const [subject = '', ...rest] = topic.slice(prefix.length + 1).split('.');
    const consumer = owner.get(topic);
    if (consumer !== undefined) records.push({ subject: consumer, id, topic, partition, offset, at });
    if (rest.length > 0) consequences.push({ subject, id, kind: KINDS[rest[0]!] ?? 'sent', at });
    // What the retry-scheduler causes is the record in its topic once more.
    else if (owner.has(retryTopicsOf(prefix, subject)[0]!))
      consequences.push({ subject: 'retries', id, kind: 'sent', at });
  }
  return { records, consequences };
}

async function rowsOf(tables: string): Promise<NonNullable<History['rows']>> {
  const store = await openStore(pathToFileURL(tables).href);
  const table = await openTable({ store, path: TABLE.name, spec: TABLE });
  try {
    return (await readRows(table, { columns: ['id'] })).map(({ id }) => ({ subject: 'rows', id: String(id) }));
  } finally {
    await table.close();
    await store.close();
  }
}
