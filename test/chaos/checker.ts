/**
 * The promises of docs/delivery.md, held against the history of a run. Pure. Each rule names the record that broke it, so
 * that its timeline can be told.
 *
 *   lost          a record that was acknowledged is not in the log, or its group has gone past it and it is neither done, nor
 *                 waiting in a retry topic, nor a dead letter
 *   stuck         a group did not finish, although nothing was in its way any more: found by the runner, as is `crash`
 *   early-commit  a commit covers a record (watermark or skip map) whose consequence was not in the broker yet
 *   rewind        a stored commit lies below the one before it: somebody moved another owner's offset
 *   foreign       a stored commit is of a member that did not own the partition in that generation
 *   repeated      a record was handled again although the commit that its owner started from called it done
 *   twice         an owner handled a record again that it had finished, or had in hand, in the same term
 *   handed-over   a record was handled twice although every fault was gentle
 *   inverted      within a term, a lane went back to an earlier record after a later one had begun
 *   overlap       within a term, two calls of one lane were under way at the same time
 *   excess        a record was handled again that its former owner had finished long before a later commit, which did not say so
 *   unowned       a handler began for a partition that its process had not been given
 *   accused       a record is a dead letter for what processes died of, although fewer than three owners of its partition died,
 *                 or left without a word, since it was there
 *   row           a record is not in the table exactly once
 *
 * A term is one ownership of a partition by one process, from `assigned` to `revoked`.
 */
import { type Takeover, takeovers } from './extras.ts';
import type { Commit, Consequence, History, LogRecord, ProcessLog, Subject } from './history.ts';
import type { LoggedEvent } from './workers/event-log.ts';

export interface Violation {
  readonly rule: string;
  readonly text: string;
  /** The record that broke it; undefined when it was none in particular. */
  readonly id: string | undefined;
}

export interface Verdict {
  readonly violations: readonly Violation[];
  readonly records: number;
  /** Handler calls that a record had beyond its first, those with an attempt counted left out. */
  readonly repeats: number;
  readonly commits: number;
  readonly terms: number;
  /** Dead letters for what processes died of. */
  readonly suspected: number;
  /** What each change of hands cost, and what it might have. */
  readonly takeovers: readonly Takeover[];
}

type Handling = Extract<LoggedEvent, { e: 'begin' | 'done' | 'failed' }>;

/** @param isOver  false for a run that was cut short: what is not handled yet is not lost */
export function check(history: History, isOver = true): Verdict {
  const violations: Violation[] = history.troubles.map(({ rule, text, id }) => ({ rule, text, id }));
  const found = (rule: string, text: string, id?: string) => violations.push({ rule, text, id });
  const evidence = new Evidence(history);
  if (isOver) checkNothingLost(history, evidence, found);
  checkCommits(history, evidence, found);
  const { terms, begins } = checkTerms(history, evidence, found);
  if (history.rows !== undefined) checkRows(history, history.rows, found);
  const suspected = history.consequences.filter((each) => each.suspected);
  for (const each of suspected) checkAccused(history, each, found);
  const handed = takeovers(history);
  for (const { id, text } of handed.excesses) found('excess', text, id);
  let repeats = 0;
  for (const [place, calls] of begins) {
    if (calls.length < 2) continue;
    repeats += calls.length - 1;
    if (history.gentle && !calls.some((call) => call.attempt > 0))
      found('handed-over', `${place} was handled ${calls.length} times although nobody was hurried`, calls[0]?.id);
  }
  return {
    violations,
    records: history.records.length,
    repeats,
    commits: history.commits.length,
    terms,
    suspected: suspected.length,
    takeovers: handed.takeovers,
  };
}

type Found = (rule: string, text: string, id?: string) => void;

/** What was in the broker, and since when. */
class Evidence {
  readonly consequences = new Map<string, Consequence[]>();
  /** By place `topic/partition/offset`, and of each partition in offset order. */
  readonly records = new Map<string, LogRecord>();
  readonly byPartition = new Map<string, LogRecord[]>();
  readonly subjects = new Map<string, Subject>();

  constructor(history: History) {
    for (const subject of history.subjects) for (const topic of subject.topics) this.subjects.set(topic, subject);
    for (const each of history.consequences) push(this.consequences, `${each.subject} ${each.id}`, each);
    for (const record of history.records) {
      this.records.set(`${record.topic}/${record.partition}/${record.offset}`, record);
      push(this.byPartition, `${record.topic}/${record.partition}`, record);
    }
    for (const records of this.byPartition.values()) records.sort((a, b) => a.offset - b.offset);
  }

  of(record: LogRecord): readonly Consequence[] {
    return this.consequences.get(`${record.subject} ${record.id}`) ?? [];
  }

  /** Whether something that the record caused was in the broker by then. */
  isSettled(record: LogRecord, by: number): boolean {
    return this.of(record).some(
      ({ at }) => at === undefined || (at <= by && (record.at === undefined || at >= record.at)),
    );
  }

  /** Records of a partition with offsets in [from, to). */
  *between(partition: string, from: number, to: number): Generator<LogRecord> {
    const records = this.byPartition.get(partition) ?? [];
    let low = 0;
    for (let high = records.length; low < high; ) {
      const middle = (low + high) >> 1;
      if (records[middle]!.offset < from) low = middle + 1;
      else high = middle;
    }
    for (let at = low; at < records.length && records[at]!.offset < to; at++) yield records[at]!;
  }
}

function checkNothingLost(history: History, evidence: Evidence, found: Found): void {
  const inLog = new Set(history.records.map(({ subject, id }) => `${subject} ${id}`));
  for (const { subject, id } of history.acknowledged)
    if (!inLog.has(`${subject} ${id}`))
      found('lost', `${id} was acknowledged to its producer and is not in the log`, id);
  const last = new Map<string, Commit>();
  for (const commit of history.commits) if (commit.stored) last.set(`${commit.topic}/${commit.partition}`, commit);
  // What nobody has called done is still to be handled; that nobody did is `stuck`.
  const isPassed = ({ topic, partition, offset }: LogRecord) => {
    const commit = last.get(`${topic}/${partition}`);
    if (commit === undefined) return false;
    return offset < commit.offset || commit.ahead.some(({ from, to }) => from <= offset && offset < to);
  };
  for (const record of history.records)
    if (isPassed(record) && !evidence.isSettled(record, Number.POSITIVE_INFINITY))
      found(
        'lost',
        `${placeOf(record)} (${record.id}) is neither done, nor to be retried, nor a dead letter`,
        record.id,
      );
}

function checkCommits(history: History, evidence: Evidence, found: Found): void {
  const owners = new Map(history.generations.map((each) => [`${each.group} ${each.generation}`, each.owners]));
  const last = new Map<string, Commit>();
  const toldDone = new Set<string>();
  for (const commit of history.commits) {
    if (!commit.stored) continue;
    const partition = `${commit.topic}/${commit.partition}`;
    const before = last.get(partition);
    const said = `commit of ${partition} to ${commit.offset} by ${commit.memberId} in generation ${commit.generation}`;
    if (before !== undefined && commit.offset < before.offset) {
      const [record] = evidence.between(partition, commit.offset, before.offset);
      found('rewind', `${said} moved it back from ${before.offset} (${before.memberId})`, record?.id);
    }
    const owned = owners.get(`${commit.group} ${commit.generation}`)?.get(commit.memberId);
    if (owners.has(`${commit.group} ${commit.generation}`) && !owned?.has(partition)) {
      const [record] = evidence.between(partition, commit.offset - 1, commit.offset + 1);
      found('foreign', `${said} was stored, but the partition was not its own`, record?.id);
    }
    const covered = [{ from: before?.offset ?? 0, to: commit.offset }, ...commit.ahead];
    for (const { from, to } of covered)
      for (const record of evidence.between(partition, from, to)) {
        if (toldDone.has(placeOf(record)) || evidence.isSettled(record, commit.at)) continue;
        found('early-commit', `${said} covers ${placeOf(record)}, which had no outcome yet`, record.id);
        toldDone.add(placeOf(record));
      }
    last.set(partition, commit);
  }
}

/** What one process did in one ownership of a partition. */
class Term {
  readonly partition: string;
  readonly since: number;
  readonly calls = new Map<number, Set<number>>();
  readonly done = new Set<number>();
  /** By lane: the calls under way, and the highest offset begun that was not put back. */
  readonly lanes = new Map<string, { open: Map<number, Set<number>>; done: number }>();

  constructor(partition: string, since: number) {
    this.partition = partition;
    this.since = since;
  }
}

function checkTerms(history: History, evidence: Evidence, found: Found) {
  const begins = new Map<string, Extract<LoggedEvent, { e: 'begin' }>[]>();
  const commits = new Map<string, Commit[]>();
  for (const commit of history.commits) if (commit.stored) push(commits, `${commit.topic}/${commit.partition}`, commit);
  let terms = 0;
  for (const process of history.processes) {
    const current = new Map<string, Term>();
    const byCall = new Map<string, Term>();
    for (const event of process.events) {
      if (event.e === 'dying') continue;
      const partition = `${event.topic}/${event.partition}`;
      switch (event.e) {
        case 'assigned':
          terms++;
          current.set(partition, new Term(partition, event.t));
          break;
        case 'revoked':
          current.delete(partition);
          break;
        case 'begin': {
          push(begins, `${partition}/${event.offset}`, event);
          const term = current.get(partition);
          if (term === undefined) {
            found('unowned', `${process.process} began ${partition}/${event.offset} without owning it`, event.id);
            break;
          }
          byCall.set(`${event.call} ${partition}`, term);
          checkRepeat(event, term, commits.get(partition) ?? [], process, found);
          checkLane(event, term, evidence.subjects.get(event.topic), process, found);
          break;
        }
        default: {
          const term = byCall.get(`${event.call} ${partition}`);
          if (term === undefined) break;
          if (event.e === 'done') term.done.add(event.offset);
          ended(event, term, evidence.subjects.get(event.topic));
        }
      }
    }
  }
  return { terms, begins };
}

function checkRepeat(
  event: Handling,
  term: Term,
  commits: readonly Commit[],
  { process }: ProcessLog,
  found: Found,
): void {
  const place = `${term.partition}/${event.offset}`;
  if (term.done.has(event.offset))
    found('twice', `${process} handled ${place} again after it had finished it`, event.id);
  for (const [call, offsets] of term.calls)
    if (call !== event.call && offsets.has(event.offset))
      found('twice', `${process} began ${place} again while it was at work on it`, event.id);
  let from: Commit | undefined;
  for (const commit of commits) if (commit.at < term.since) from = commit;
  if (from === undefined) return;
  if (event.offset < from.offset || from.ahead.some((range) => range.from <= event.offset && event.offset < range.to))
    found('repeated', `${process} handled ${place}, which the commit it started from calls done`, event.id);
}

function laneOf(event: Handling, subject: Subject | undefined): string | undefined {
  if (subject === undefined || subject.lane === 'none') return undefined;
  return subject.lane === 'key' ? `key ${event.key}` : 'all';
}

function checkLane(
  event: Handling,
  term: Term,
  subject: Subject | undefined,
  { process }: ProcessLog,
  found: Found,
): void {
  const call = term.calls.get(event.call) ?? new Set();
  term.calls.set(event.call, call.add(event.offset));
  const name = laneOf(event, subject);
  if (name === undefined) return;
  const lane = term.lanes.get(name) ?? { open: new Map<number, Set<number>>(), done: -1 };
  term.lanes.set(name, lane);
  const place = `${term.partition}/${event.offset}`;
  const what = subject?.lane === 'key' ? `key ${event.key}` : `partition ${term.partition}`;
  let top = lane.done;
  for (const [other, offsets] of lane.open) {
    for (const offset of offsets) top = Math.max(top, offset);
    if (other === event.call) continue;
    found('overlap', `${process} began ${place} while another call of ${what} was under way`, event.id);
  }
  if (event.offset < top) found('inverted', `${process} began ${place} of ${what} after offset ${top}`, event.id);
  const own = lane.open.get(event.call) ?? new Set();
  lane.open.set(event.call, own.add(event.offset));
}

/** A failed call gives its records back: they may come again, and nothing later may have passed them. */
function ended(event: Handling, term: Term, subject: Subject | undefined): void {
  const call = term.calls.get(event.call);
  call?.delete(event.offset);
  if (call?.size === 0) term.calls.delete(event.call);
  const name = laneOf(event, subject);
  const lane = name === undefined ? undefined : term.lanes.get(name);
  if (lane === undefined) return;
  const open = lane.open.get(event.call);
  open?.delete(event.offset);
  if (open?.size === 0) lane.open.delete(event.call);
  if (event.e === 'done') lane.done = Math.max(lane.done, event.offset);
}

function checkRows(history: History, rows: NonNullable<History['rows']>, found: Found): void {
  for (const subject of history.subjects) {
    if (!subject.table) continue;
    const count = new Map<string, number>();
    for (const row of rows) if (row.subject === subject.name) count.set(row.id, (count.get(row.id) ?? 0) + 1);
    for (const [id, times] of count) if (times > 1) found('row', `${id} is in the table ${times} times`, id);
    const sent = new Set(
      history.consequences.filter((each) => each.subject === subject.name && each.kind === 'sent').map(({ id }) => id),
    );
    for (const id of sent) if (!count.has(id)) found('row', `${id} was sent on, but it is not in the table`, id);
  }
}

/** So many unclean ends with it in hand make a record a dead letter (docs/delivery.md). */
const DEATHS = 3;

/**
 * An end is unclean when the next owner commits although the last one had not said that it leaves; unless that one is heard of
 * again, which shows that it was away.
 */
function checkAccused(history: History, { subject, id, at }: Consequence, found: Found): void {
  const buriedAt = at ?? Number.POSITIVE_INFINITY;
  const stored = history.commits.filter((commit) => commit.stored && commit.at <= buriedAt);
  const heardOf = new Map(stored.map((commit) => [commit.writer, commit.at]));
  let most = 0;
  for (const { topic, partition, at: appended = 0 } of history.records.filter(
    (record) => record.subject === subject && record.id === id,
  )) {
    const commits = stored.filter((commit) => commit.topic === topic && commit.partition === partition);
    const ends = commits.filter((commit, number) => {
      const next = commits[number + 1];
      if (next === undefined || next.writer === commit.writer || commit.left) return false;
      return appended < next.at && heardOf.get(commit.writer)! < next.at;
    });
    most = Math.max(most, ends.length);
  }
  if (most < DEATHS)
    found(
      'accused',
      `${id} is a dead letter for ${DEATHS} deaths, but only ${most} owners died since it was there`,
      id,
    );
}

function placeOf({ topic, partition, offset }: { topic: string; partition: number; offset: number }): string {
  return `${topic}/${partition}/${offset}`;
}

function push<K, V>(map: Map<K, V[]>, key: K, value: V): void {
  const list = map.get(key);
  if (list === undefined) map.set(key, [value]);
  else list.push(value);
}
