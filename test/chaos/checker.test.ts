/** Each rule against a made-up history that breaks it and nothing else, beside one that keeps them all. */
import { describe, expect, test } from 'vitest';
import { check } from './checker.ts';
import { commit } from './commit.fixture.ts';
import type { Commit, History, Subject } from './history.ts';
import type { LoggedEvent } from './workers/event-log.ts';

const KEYED: Subject = { name: 'keys', group: 'g', topics: ['in'], lane: 'key', table: false };

/** Two records of one key, 0 and 1, appended at 1 and 2. */
function story(parts: Partial<History> = {}): History {
  return {
    subjects: [KEYED],
    acknowledged: [],
    records: [record(0), record(1)],
    consequences: [sent(0, 5), sent(1, 8)],
    commits: [],
    generations: [{ group: 'g', generation: 1, owners: new Map([['m', new Set(['in/0'])]]), at: 0 }],
    processes: [],
    rows: [],
    faults: [],
    gentle: false,
    troubles: [],
    ...parts,
  };
}

const record = (offset: number) => ({
  subject: 'keys',
  id: `r${offset}`,
  topic: 'in',
  partition: 0,
  offset,
  at: offset + 1,
});
const sent = (offset: number, at: number) => ({ subject: 'keys', id: `r${offset}`, kind: 'sent' as const, at });

const assigned = (t: number): LoggedEvent => ({ e: 'assigned', topic: 'in', partition: 0, committed: 0, t });
const revoked = (t: number): LoggedEvent => ({ e: 'revoked', topic: 'in', partition: 0, t });
function step(e: 'begin' | 'done' | 'failed', offset: number, call: number, t: number, key = 'a'): LoggedEvent {
  return { e, call, attempt: 0, error: '', id: `r${offset}`, topic: 'in', partition: 0, offset, key, t } as LoggedEvent;
}
const one = (...events: LoggedEvent[]): Partial<History> => ({
  processes: [{ process: 'p1', subject: 'keys', events }],
});
const two = (first: LoggedEvent[], second: LoggedEvent[]): Partial<History> => ({
  processes: [
    { process: 'p1', subject: 'keys', events: first },
    { process: 'p2', subject: 'keys', events: second },
  ],
});
const rulesOf = (history: History) => check(history).violations.map(({ rule, id }) => [rule, id]);

describe('what keeps every promise', () => {
  test('two records one after the other, committed when they were settled', () => {
    const events = [
      assigned(3),
      step('begin', 0, 1, 4),
      step('done', 0, 1, 5),
      step('begin', 1, 2, 6),
      step('done', 1, 2, 8),
    ];
    const verdict = check(story({ ...one(...events), commits: [commit(1, 6), commit(2, 9)] }));
    expect(verdict).toMatchObject({ violations: [], records: 2, repeats: 0, terms: 1 });
  });

  test('a record that was in hand when its process died is handled again: counted, no more', () => {
    const verdict = check(
      story({
        ...two([assigned(3), step('begin', 0, 1, 4)], [assigned(6), step('begin', 0, 1, 7), step('done', 0, 1, 8)]),
        consequences: [sent(0, 8), sent(1, 9)],
      }),
    );
    expect(verdict).toMatchObject({ violations: [], repeats: 1 });
  });

  test('a failed record comes again in its place', () => {
    const events = [
      assigned(3),
      step('begin', 0, 1, 4),
      step('failed', 0, 1, 5),
      step('begin', 0, 2, 6),
      step('done', 0, 2, 7),
    ];
    expect(rulesOf(story(one(...events, step('begin', 1, 3, 8))))).toEqual([]);
  });

  test('another owner begins at the commit, however far the former one was', () => {
    const former = [
      assigned(3),
      step('begin', 0, 1, 4),
      step('done', 0, 1, 5),
      step('begin', 1, 2, 6),
      step('done', 1, 2, 7),
      revoked(8),
    ];
    expect(rulesOf(story(two(former, [assigned(9), step('begin', 0, 1, 10)])))).toEqual([]);
  });

  test('a refused commit may say what it likes', () => {
    const commits = [commit(2, 9), commit(0, 10, { stored: false, memberId: 'zombie' })];
    expect(rulesOf(story({ commits }))).toEqual([]);
  });
});

describe('what breaks one', () => {
  test('lost: a record without an outcome', () => {
    const forgotten = { consequences: [sent(0, 5)], commits: [commit(2, 9)] };
    expect(rulesOf(story(forgotten))).toContainEqual(['lost', 'r1']);
    expect(check(story(forgotten), false).violations.map(({ rule }) => rule)).not.toContain('lost');
  });

  test('a record that nobody has called done is not lost yet', () => {
    expect(rulesOf(story({ consequences: [sent(0, 5)], commits: [commit(1, 9)] }))).toEqual([]);
  });

  test('lost: a record that was acknowledged and is not in the log', () => {
    expect(rulesOf(story({ acknowledged: [{ subject: 'keys', id: 'gone' }] }))).toEqual([['lost', 'gone']]);
  });

  test('early-commit: the watermark passes a record before its outcome is in the broker', () => {
    expect(rulesOf(story({ commits: [commit(2, 7)] }))).toEqual([['early-commit', 'r1']]);
  });

  test('early-commit: the skip map tells of one that is not done', () => {
    const commits = [commit(0, 7, { ahead: [{ from: 1, to: 2 }] })];
    expect(rulesOf(story({ commits }))).toEqual([['early-commit', 'r1']]);
  });

  test('early-commit: an outcome from before the record was appended is of another delivery', () => {
    const again = { ...record(1), id: 'r0', at: 7 };
    const history = story({ records: [record(0), again], consequences: [sent(0, 5)], commits: [commit(2, 9)] });
    expect(rulesOf(history)).toEqual([
      ['lost', 'r0'],
      ['early-commit', 'r0'],
    ]);
  });

  test('rewind: a stored commit goes back', () => {
    expect(rulesOf(story({ commits: [commit(2, 9), commit(1, 10)] }))).toEqual([['rewind', 'r1']]);
  });

  test('foreign: a member of the generation commits a partition of another', () => {
    const owners = new Map([
      ['m', new Set(['in/0'])],
      ['other', new Set<string>()],
    ]);
    const history = story({
      generations: [{ group: 'g', generation: 1, owners, at: 0 }],
      commits: [commit(2, 9, { memberId: 'other' })],
    });
    expect(rulesOf(history)).toEqual([['foreign', 'r1']]);
  });

  test('repeated: below the watermark', () => {
    const commits = [commit(1, 6)];
    expect(rulesOf(story({ ...one(assigned(7), step('begin', 0, 1, 8)), commits }))).toEqual([['repeated', 'r0']]);
  });

  test('repeated: in the skip map', () => {
    const commits = [commit(0, 9, { ahead: [{ from: 1, to: 2 }] })];
    expect(rulesOf(story({ ...one(assigned(10), step('begin', 1, 1, 11)), commits }))).toEqual([['repeated', 'r1']]);
  });

  test('twice: finished, and begun again by the same owner', () => {
    const events = [assigned(3), step('begin', 0, 1, 4), step('done', 0, 1, 5), step('begin', 0, 2, 6)];
    expect(rulesOf(story(one(...events)))).toEqual([['twice', 'r0']]);
  });

  test('twice: begun again while in hand', () => {
    const none: Subject = { ...KEYED, lane: 'none' };
    const events = [assigned(3), step('begin', 0, 1, 4), step('begin', 0, 2, 5)];
    expect(rulesOf(story({ ...one(...events), subjects: [none] }))).toEqual([['twice', 'r0']]);
  });

  test('handed-over: any second handling when every fault was gentle', () => {
    const processes = two([assigned(3), step('begin', 0, 1, 4)], [assigned(6), step('begin', 0, 1, 7)]);
    expect(rulesOf(story({ ...processes, gentle: true }))).toEqual([['handed-over', 'r0']]);
  });

  test('inverted: an earlier record of the key after a later one', () => {
    const events = [assigned(3), step('begin', 1, 1, 4), step('done', 1, 1, 5), step('begin', 0, 2, 6)];
    expect(rulesOf(story(one(...events)))).toEqual([['inverted', 'r0']]);
  });

  test('inverted: a failed record comes back after its lane has gone on', () => {
    const events = [
      assigned(3),
      step('begin', 0, 1, 4),
      step('failed', 0, 1, 5),
      step('begin', 1, 2, 6),
      step('done', 1, 2, 7),
      step('begin', 0, 3, 8),
    ];
    expect(rulesOf(story(one(...events)))).toEqual([['inverted', 'r0']]);
  });

  test('overlap: two records of a key at once; of two keys it is fine', () => {
    const events = (key: string) => [assigned(3), step('begin', 0, 1, 4), step('begin', 1, 2, 5, key)];
    expect(rulesOf(story(one(...events('a'))))).toEqual([['overlap', 'r1']]);
    expect(rulesOf(story(one(...events('b'))))).toEqual([]);
  });

  test('overlap: two batches of a partition at once; one batch of both is fine', () => {
    const batches: Subject = { ...KEYED, lane: 'partition' };
    const events = (call: number) => [assigned(3), step('begin', 0, 1, 4), step('begin', 1, call, 5, 'b')];
    expect(rulesOf(story({ ...one(...events(2)), subjects: [batches] }))).toEqual([['overlap', 'r1']]);
    expect(rulesOf(story({ ...one(...events(1)), subjects: [batches] }))).toEqual([]);
  });

  test('unowned: begun before it was assigned, or after it was revoked', () => {
    expect(rulesOf(story(one(step('begin', 0, 1, 4))))).toEqual([['unowned', 'r0']]);
    expect(rulesOf(story(one(assigned(3), revoked(4), step('begin', 0, 1, 5))))).toEqual([['unowned', 'r0']]);
  });

  test('row: twice, or not at all', () => {
    const subjects = [{ ...KEYED, table: true }];
    const row = (id: string) => ({ subject: 'keys', id });
    expect(rulesOf(story({ subjects, rows: [row('r0'), row('r0')] }))).toEqual([
      ['row', 'r0'],
      ['row', 'r1'],
    ]);
    expect(rulesOf(story({ subjects, rows: undefined })), 'nobody has looked').toEqual([]);
  });

  test('accused: a dead letter for three deaths, when not so many owners died', () => {
    const dead = { ...sent(0, 50), kind: 'dead' as const, suspected: true };
    const by = (writer: string, at: number, more: Partial<Commit> = {}) => commit(0, at, { writer, ...more });
    const of = (...commits: Commit[]) => rulesOf(story({ consequences: [dead, sent(1, 8)], commits }));
    const died = [by('w1', 10), by('w2', 20), by('w3', 30)];
    expect(of(...died, by('w4', 40))).toEqual([]);
    expect(of(...died)).toEqual([['accused', 'r0']]);
    expect(of(by('w1', 10, { left: true }), ...died.slice(1), by('w4', 40))).toEqual([['accused', 'r0']]);
    expect(of(...died, by('w4', 40), by('w1', 45, { partition: 1, generation: 9 })), 'one of them was away').toEqual([
      ['accused', 'r0'],
    ]);
    expect(
      of(...died, by('w4', 40), by('w1', 55, { partition: 1, generation: 9 })),
      'nobody knew that it would come back',
    ).toEqual([]);
    expect(of(by('w0', -20), by('w1', 0.5), ...died.slice(2), by('w4', 40)), 'it was not there yet').toEqual([
      ['accused', 'r0'],
    ]);
    expect(rulesOf(story({ consequences: [{ ...dead, suspected: false }, sent(1, 8)] })), 'its handler failed').toEqual(
      [],
    );
  });

  test('what the runner saw itself is passed on', () => {
    expect(rulesOf(story({ troubles: [{ rule: 'crash', text: 'p1 ended with 1' }] }))).toEqual([['crash', undefined]]);
  });
});
