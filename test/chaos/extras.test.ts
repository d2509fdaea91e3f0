/** Changes of hands in made-up histories: what each cost, what it might have, and whom it is put down to. */
import { describe, expect, test } from 'vitest';
import { commit } from './commit.fixture.ts';
import { takeovers } from './extras.ts';
import type { Fault, History, ProcessLog } from './history.ts';
import type { FaultName } from './schedule.ts';
import type { LoggedEvent } from './workers/event-log.ts';

const AT = { topic: 'in', partition: 0 };

/** Records 0 to 9 of one partition, each with an outcome in the broker at `sentAt`. */
function story(parts: Partial<History> & { sentAt?: (offset: number) => number | undefined }): History {
  const { sentAt = () => undefined, ...rest } = parts;
  const offsets = Array.from({ length: 10 }, (_, offset) => offset);
  return {
    subjects: [],
    acknowledged: [],
    records: offsets.map((offset) => ({ subject: 'tasks', id: `r${offset}`, ...AT, offset, at: 0 })),
    consequences: offsets.map((offset) => ({ subject: 'tasks', id: `r${offset}`, kind: 'sent', at: sentAt(offset) })),
    commits: [],
    generations: [],
    processes: [],
    rows: undefined,
    faults: [],
    gentle: false,
    troubles: [],
    ...rest,
  };
}

const process = (name: string, ...events: LoggedEvent[]): ProcessLog => ({ process: name, subject: 'tasks', events });
const assigned = (t: number): LoggedEvent => ({ e: 'assigned', ...AT, committed: 0, t });
const revoked = (t: number): LoggedEvent => ({ e: 'revoked', ...AT, t });

function call(e: 'begin' | 'done', offset: number, t: number): LoggedEvent {
  return { e, call: offset, attempt: 0, id: `r${offset}`, ...AT, offset, key: 'a', t } as LoggedEvent;
}
const handled = (offset: number, from: number, to: number) => [call('begin', offset, from), call('done', offset, to)];

function fault(name: FaultName, at: number, hit?: string, subject = 'tasks'): Fault {
  return { at, text: name, hit: { fault: name, subject, process: hit } };
}

describe('a change of hands', () => {
  /** Finished 0 and 2, at work on 1 and 3; its only commit called 0 done. Killed at 1,000. */
  const former = process(
    'p1',
    assigned(0),
    ...handled(0, 10, 20),
    call('begin', 1, 30),
    ...handled(2, 40, 200),
    call('begin', 3, 300),
  );
  const next = (...events: LoggedEvent[]) => process('p2', assigned(1_000), ...events);

  test('has in its bound what was in flight and what was finished since the commit, and counts what is handled again', () => {
    const found = takeovers(
      story({
        processes: [former, next(...handled(1, 1_010, 1_020), call('begin', 2, 1_015))],
        commits: [commit(1, 100)],
      }),
    );
    expect(found.takeovers).toEqual([{ fault: 'none', partition: 'in/0', inFlight: 2, sinceCommit: 1, extras: 2 }]);
    expect(found.excesses).toEqual([]);
  });

  test('leaves out what the commit calls done, in its skip map as well, and what was begun too late to matter', () => {
    const late = { ...former, events: [...former.events, call('begin', 4, 1_001)] };
    const found = takeovers(
      story({ processes: [late, next()], commits: [commit(1, 250, { ahead: [{ from: 2, to: 3 }] })] }),
    );
    expect(found.takeovers).toEqual([{ fault: 'none', partition: 'in/0', inFlight: 2, sinceCommit: 0, extras: 0 }]);
  });

  test('starts from the last commit that was stored before it: a refused or a later one tells the next owner nothing', () => {
    const commits = [commit(1, 100), commit(4, 900, { stored: false }), commit(4, 1_001)];
    const [found] = takeovers(story({ processes: [former, next()], commits })).takeovers;
    expect(found).toMatchObject({ inFlight: 2, sinceCommit: 1 });
  });

  test('costs nothing when the former owner had begun nothing, and is none for the first owner', () => {
    const idle = process('p1', assigned(0), revoked(900));
    expect(takeovers(story({ processes: [idle, next(...handled(0, 1_010, 1_020))] })).takeovers).toEqual([]);
    expect(takeovers(story({ processes: [former] })).takeovers).toEqual([]);
  });

  test('a zombie’s call that ends after the change is still its own, and was in flight', () => {
    const zombie = { ...former, events: [...former.events, revoked(1_500), call('done', 1, 1_600)] };
    const [found] = takeovers(story({ processes: [zombie, next(...handled(1, 1_010, 1_020))] })).takeovers;
    // No commit at all: 0 and 2 were finished, 1 and 3 were not.
    expect(found).toMatchObject({ inFlight: 2, sinceCommit: 2, extras: 1 });
  });

  test('three owners in a row are two changes, each held against the one before it', () => {
    const third = process('p3', assigned(2_000), ...handled(1, 2_010, 2_020));
    const found = takeovers(
      story({ processes: [third, former, next(call('begin', 1, 1_010))], commits: [commit(1, 100)] }),
    );
    expect(found.takeovers.map(({ inFlight, sinceCommit, extras }) => [inFlight, sinceCommit, extras])).toEqual([
      [2, 1, 1],
      [1, 0, 1],
    ]);
  });
});

describe('excess', () => {
  const former = process('p1', assigned(0), ...handled(0, 10, 20), ...handled(1, 10, 30));
  const next = process('p2', assigned(9_000), ...handled(0, 9_010, 9_020));
  const excesses = (commitAt: number, sentAt?: (offset: number) => number | undefined) =>
    takeovers(
      story({ processes: [former, next], commits: [commit(0, commitAt)], ...(sentAt ? { sentAt } : {}) }),
    ).excesses.map(({ id }) => id);

  test('is a record handled again although it was finished long before a later commit, which did not say so', () => {
    expect(excesses(8_000, () => 25)).toEqual(['r0']);
  });

  test('is none while the commit may have been put together before the acknowledgement came', () => {
    expect(excesses(3_000, () => 25)).toEqual([]);
    expect(excesses(8_000, () => 6_000)).toEqual([]);
    expect(
      excesses(8_000, () => 5),
      'what an earlier owner sent',
    ).toEqual([]);
  });

  test('cannot be seen where the cluster does not tell when something was stored', () => {
    expect(excesses(8_000)).toEqual([]);
  });

  test('is not the former owner’s when the commit was made before it had the partition', () => {
    const earlier = process('p0', assigned(-50), revoked(-5));
    const found = takeovers(story({ processes: [earlier, former, next], commits: [commit(0, -10)], sentAt: () => 25 }));
    expect(found.excesses).toEqual([]);
    expect(found.takeovers).toEqual([{ fault: 'none', partition: 'in/0', inFlight: 0, sinceCommit: 2, extras: 1 }]);
  });
});

describe('the fault that a change is put down to', () => {
  const former = process('p1', assigned(100), call('begin', 0, 150));
  const next = process('p2', assigned(1_000));
  const causeOf = (...faults: Fault[]) => takeovers(story({ processes: [former, next], faults })).takeovers[0]?.fault;

  test('is the last one that hit the former owner itself', () => {
    expect(causeOf(fault('freeze', 200, 'p1'), fault('kill', 300, 'p1'), fault('terminate', 400, 'p9'))).toBe('kill');
  });

  test('is else the last one of its kind of worker', () => {
    expect(causeOf(fault('scaleUp', 300), fault('visitor', 400), fault('kill', 500, 'x1', 'keys'))).toBe('visitor');
  });

  test('is none from before the ownership, or after the change', () => {
    expect(causeOf(fault('kill', 50, 'p1'), fault('kill', 1_001, 'p1'))).toBe('none');
  });
});
