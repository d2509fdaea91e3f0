/**
 * What can be known of a run, and how it becomes a history: commits and what the processes say while it goes on, the logs and
 * the table when it is over (for code that is broken on purpose the logs every now and then: the first broken promise ends it).
 * A run is over when its groups have committed everything, or when nothing moves any more.
 */
import { setTimeout as wait } from 'node:timers/promises';
import { pathToFileURL } from 'node:url';
import { openTable, readRows } from '@weir/lake';
import { openStore } from '@weir/storage';
import type { Admin } from 'kafkajs';
import { check } from './checker.ts';
import type { Cluster } from './cluster.ts';
import type { Fleet } from './fleet.ts';
import type { Consequence, History, LogRecord, Subject } from './history.ts';
import type { Load } from './load.ts';
import { readLogs } from './read-logs.ts';
import { retryTopicsOf, type SubjectName, topicsOf } from './subjects.ts';
import { nowMs } from './workers/event-log.ts';
import { TABLE } from './workers/table.ts';

const WATCH_MS = 300;
const KINDS: Readonly<Record<string, Consequence['kind']>> = { done: 'sent', retry: 'retry', dlq: 'dead' };
/** What the error of a dead letter says that nobody's handler failed with. */
const SUSPECTED = 'WEIR_RECORD_POISONOUS';
/** A busy machine may take its time, as long as something moves. */
const STILL_MS = 40_000;
const FINISH_DEADLINE_MS = 180_000;

/** What can be known of a run while it goes on. */
export interface Observed {
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
export async function watch(
  observed: Observed,
  prefix: string,
  cut: AbortController,
  over: AbortSignal,
): Promise<void> {
  while (!over.aborted && !cut.signal.aborted) {
    await wait(WATCH_MS);
    // First what was promised, then what is stored: a promise may not be older than what would keep it.
    const { commits, processes, ...rest } = historyOf(observed, { records: [], consequences: [], rows: undefined });
    const known = { ...rest, commits: [...commits], processes };
    const stored = await storedIn(observed, prefix).catch(() => undefined);
    if (stored !== undefined && check({ ...known, ...stored }, false).violations.length > 0) cut.abort();
  }
}

export async function gather(
  observed: Observed,
  { prefix, tables }: { prefix: string; tables: string },
): Promise<History> {
  const rows = observed.subjects.some(({ table }) => table) ? await rowsOf(tables) : [];
  return historyOf(observed, { ...(await storedIn(observed, prefix)), rows });
}

/** What the logs have. */
async function storedIn({ cluster, subjects }: Observed, prefix: string): Promise<Omit<Stored, 'rows'>> {
  const records: LogRecord[] = [];
  const consequences: Consequence[] = [];
  const names = subjects.map(({ name }) => name as SubjectName);
  const topics = topicsOf(prefix, names).map(({ topic }) => topic);
  const owner = new Map(subjects.flatMap(({ name, topics: own }) => own.map((topic) => [topic, name] as const)));
  for (const { topic, partition, offset, id, error } of await readLogs(cluster.client(), topics)) {
    const at = cluster.appendedAt(topic, partition, offset);
    const [subject = '', ...rest] = topic.slice(prefix.length + 1).split('.');
    const consumer = owner.get(topic);
    if (consumer !== undefined) records.push({ subject: consumer, id, topic, partition, offset, at });
    if (rest.length > 0) {
      const kind = KINDS[rest[0]!] ?? 'sent';
      consequences.push({ subject, id, kind, at, suspected: kind === 'dead' && error.includes(SUSPECTED) });
    }
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

/** What is still not committed when nothing has moved for so long, one for each partition. */
export async function untilHandled(
  cluster: Cluster,
  subjects: readonly Subject[],
): Promise<History['troubles'][number][]> {
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

export async function until(deadlineMs: number, isSo: () => boolean | Promise<boolean>): Promise<boolean> {
  for (const deadline = nowMs() + deadlineMs; nowMs() < deadline; await wait(100)) if (await isSo()) return true;
  return false;
}
