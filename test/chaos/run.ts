/**
 * One run: a cluster, the worker processes, the load, the schedule of faults, then quiet until everything is handled, then the
 * history. The processes are real; only the clock of the schedule is this process's.
 */
import { rmSync } from 'node:fs';
import { mkdir, mkdtemp, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { monitorEventLoopDelay } from 'node:perf_hooks';
import { pathToFileURL } from 'node:url';
import { seededRandom } from '@weir/core';
import { check, type Verdict } from './checker.ts';
import { type Cluster, startDevCluster, startRealCluster } from './cluster.ts';
import { Faults } from './faults.ts';
import { Fleet } from './fleet.ts';
import type { Fault, History } from './history.ts';
import { Load, type Mix } from './load.ts';
import { gather, type Observed, until, untilHandled, watch } from './observed.ts';
import { FAULT_NAMES, FAULTS, type FaultName, isGentle, type Step, schedule } from './schedule.ts';
import { MIXES, type SubjectName, subjectOf, topicsOf, topologyOf } from './subjects.ts';
import { nowMs } from './workers/event-log.ts';

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
/** How long a broken guarantee may take to show after the last fault: a session has to end, and somebody to take over. */
const AFTERMATH_MS = 30_000;
const START_DEADLINE_MS = 40_000;
const END_DEADLINE_MS = 20_000;

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
  await cluster.createTopics(topicsOf(prefix, options.subjects));
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
