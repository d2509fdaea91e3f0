/**
 * What is handled again when a partition changes hands, held against its bound: what the former owner had in flight, and what it
 * had finished since the commit that the next owner starts from. Pure.
 *
 *   former owner     |--- finished ---|commit|--- finished ---|in flight|   end
 *   next owner                                 may be handled again          a record from before the commit may not
 *
 * Every change of hands is put down to the fault before it, so that a run can say what each kind of fault costs.
 */
import type { Commit, Fault, History } from './history.ts';
import type { FaultName } from './schedule.ts';

export interface Takeover {
  readonly fault: FaultName | 'none';
  readonly partition: string;
  /** Of the former owner, and not called done by the commit that the next one started from. */
  readonly inFlight: number;
  readonly sinceCommit: number;
  /** Handled again by the next owner. */
  readonly extras: number;
}

/** A record that was handled again although it was finished before a later commit of its owner. */
export interface Excess {
  readonly id: string;
  readonly text: string;
}

/**
 * A commit is put together before the broker has it, and a record counts as finished for its owner when the acknowledgement of
 * what it caused has arrived: up to so much later than the broker stored it (slow and lost answers).
 */
const SLACK_MS = 3_000;

interface Handled {
  readonly id: string;
  readonly begun: number;
  done: number | undefined;
}

interface Ownership {
  readonly process: string;
  readonly partition: string;
  readonly subject: string;
  readonly since: number;
  readonly records: Map<number, Handled>;
}

export function takeovers(history: History): { takeovers: Takeover[]; excesses: Excess[] } {
  const commits = Map.groupBy(
    history.commits.filter(({ stored }) => stored),
    ({ topic, partition }) => `${topic}/${partition}`,
  );
  const settledAt = settlements(history);
  const found: Takeover[] = [];
  const excesses: Excess[] = [];
  for (const [partition, chain] of ownerships(history))
    for (let at = 1; at < chain.length; at++) {
      const [former, next] = [chain[at - 1]!, chain[at]!];
      if (former.records.size === 0) continue;
      const from = (commits.get(partition) ?? []).findLast((commit) => commit.at < next.since);
      const counted = { inFlight: 0, sinceCommit: 0, extras: 0 };
      for (const [offset, record] of former.records) {
        if (record.begun >= next.since || isCalledDone(from, offset)) continue;
        const isDone = record.done !== undefined && record.done < next.since;
        if (isDone) counted.sinceCommit++;
        else counted.inFlight++;
        if (!next.records.has(offset)) continue;
        counted.extras++;
        if (!isDone || from === undefined || from.at < former.since) continue;
        const settled = settledAt.get(`${partition}/${offset}`)?.find((each) => each >= record.begun);
        // On a cluster without a journal a commit is seen when it is asked for, long after it was put together: nothing to hold against.
        if (settled === undefined) continue;
        const finished = Math.max(record.done!, settled);
        if (finished + SLACK_MS < from.at)
          excesses.push({
            id: record.id,
            text: `${next.process} handled ${partition}/${offset} again, which ${former.process} had finished ${Math.round(from.at - finished)} ms before its last commit`,
          });
      }
      found.push({ fault: causeOf(history.faults, former, next), partition, ...counted });
    }
  return { takeovers: found, excesses };
}

function isCalledDone(commit: Commit | undefined, offset: number): boolean {
  if (commit === undefined) return false;
  return offset < commit.offset || commit.ahead.some(({ from, to }) => from <= offset && offset < to);
}

/** When the consequences of each place were in the broker, where that is known; each handling has its own. */
function settlements(history: History): ReadonlyMap<string, readonly number[]> {
  const known = new Map<string, number[]>();
  for (const { subject, id, at } of history.consequences) {
    if (at === undefined) continue;
    const times = known.get(`${subject} ${id}`);
    if (times === undefined) known.set(`${subject} ${id}`, [at]);
    else times.push(at);
  }
  for (const times of known.values()) times.sort((a, b) => a - b);
  return new Map(
    history.records.map(({ subject, id, topic, partition, offset }) => [
      `${topic}/${partition}/${offset}`,
      known.get(`${subject} ${id}`) ?? [],
    ]),
  );
}

/** Who owned each partition, one after the other. */
function ownerships(history: History): ReadonlyMap<string, Ownership[]> {
  const chains = new Map<string, Ownership[]>();
  for (const { process, subject, events } of history.processes) {
    const current = new Map<string, Ownership>();
    for (const event of events) {
      if (event.e === 'dying') continue;
      const partition = `${event.topic}/${event.partition}`;
      if (event.e === 'assigned') {
        const ownership = { process, partition, subject, since: event.t, records: new Map<number, Handled>() };
        current.set(partition, ownership);
        const chain = chains.get(partition);
        if (chain === undefined) chains.set(partition, [ownership]);
        else chain.push(ownership);
      } else if (event.e === 'begin')
        current.get(partition)?.records.set(event.offset, { id: event.id, begun: event.t, done: undefined });
      else if (event.e === 'done') {
        const handled = current.get(partition)?.records.get(event.offset);
        if (handled !== undefined) handled.done = event.t;
      }
      // A zombie's calls go on after `revoked`: they are still its own, so the ownership stays current until the next.
    }
  }
  for (const chain of chains.values()) chain.sort((a, b) => a.since - b.since);
  return chains;
}

/** What hit the former owner itself, else the last fault of its kind of worker. */
function causeOf(faults: readonly Fault[], former: Ownership, next: Ownership): Takeover['fault'] {
  const hits = faults.flatMap(({ at, hit }) =>
    hit?.subject === former.subject && at <= next.since && at >= former.since ? [hit] : [],
  );
  const own = hits.findLast(({ process }) => process === former.process);
  const some = hits.findLast(({ process }) => process === undefined || process !== former.process);
  return (own ?? some)?.fault ?? 'none';
}
