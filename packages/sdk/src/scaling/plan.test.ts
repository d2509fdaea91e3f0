import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import type { Signal } from '../metadata.ts';
import { signalOf } from '../signal.fixture.ts';
import { nudged, type PlanInput, type PlanPartition, plan } from './plan.ts';

const NOW = Date.UTC(2026, 0, 1);
const TOPIC = 'xact.downloads.pending';

function signal(partition: number, over: Partial<Signal> = {}): Signal {
  return signalOf({ writer: `worker-${partition % 4}`, sentAt: NOW - 1000, ...over });
}

/** A worker manages 100/s: 10 lanes of 10/s each. */
function group(options: {
  partitions?: number;
  running?: number;
  state?: string;
  arrival?: number;
  behind?: number;
  min?: number;
  max?: number;
  signals?: Partial<Signal> | 'none' | ((partition: number) => Partial<Signal>);
  behindOf?: (partition: number) => number;
  memory?: PlanInput['memory'];
}): PlanInput {
  const { partitions = 24, running = 4 } = options;
  const all: PlanPartition[] = Array.from({ length: partitions }, (_, partition) => ({
    topic: TOPIC,
    partition,
    behind: options.behindOf?.(partition) ?? (options.behind ?? 0) / partitions,
    signal:
      options.signals === 'none'
        ? undefined
        : signal(partition, {
            arrivalPerSecond: (options.arrival ?? 0) / partitions,
            ...(typeof options.signals === 'function' ? options.signals(partition) : options.signals),
          }),
  }));
  return {
    now: NOW,
    scaling: { min: options.min ?? 1, max: options.max ?? 24, catchUpMs: 300_000 },
    group: {
      state: options.state ?? (running === 0 ? 'Empty' : 'Stable'),
      members: Array.from({ length: running }, (_, member) =>
        all
          .filter(({ partition }) => partition % running === member)
          .map(({ topic, partition }) => ({ topic, partition })),
      ),
    },
    partitions: all,
    ...(options.memory ? { memory: options.memory } : {}),
  };
}

describe('need', () => {
  const cases: [name: string, input: PlanInput, desired: number, reason: string][] = [
    ['nothing to do is the minimum', group({ min: 2 }), 2, 'idle'],
    ['nothing to do with a minimum of zero is zero', group({ min: 0 }), 0, 'idle'],
    ['a trickle keeps one worker, though the minimum is zero', group({ min: 0, arrival: 0.5 }), 1, 'steady'],
    ['arrivals alone need enough workers at 90 %', group({ running: 8, arrival: 700 }), 8, 'steady'],
    ['more arrivals than the workers manage need more', group({ running: 4, arrival: 1000 }), 12, 'steady'],
    ['a backlog is cleared within catchUp', group({ running: 1, arrival: 10, behind: 60_000 }), 3, 'catch-up'],
    ['what cannot be cleared in time takes what there is', group({ arrival: 100, behind: 5e6 }), 24, 'at-max'],
    ['the maximum is a maximum', group({ arrival: 2000, max: 10 }), 10, 'at-max'],
    [
      'fewer partitions than the maximum bound the answer',
      group({ partitions: 6, arrival: 540, behind: 1e5, max: 24 }),
      6,
      'at-max',
    ],
  ];
  for (const [name, input, desired, reason] of cases)
    test(name, () => {
      const made = plan(input);
      expect(made.desired).toBe(desired);
      expect(made.reason).toBe(reason);
    });

  test('fewer workers must fit with more room than those that run', () => {
    // 660/s: six are 110 % loaded, eight (three partitions each) 82.5 %: kept where they run, not gone down to.
    expect(plan(group({ running: 8, arrival: 660 })).desired).toBe(8);
    expect(plan(group({ running: 12, arrival: 660 })).desired).toBe(12);
    expect(plan(group({ running: 12, arrival: 630 })).desired).toBe(8);
  });

  test('a number of workers that leaves the heaviest as heavy is not asked for', () => {
    // 24 partitions of 42/s: two each are 84 %, so 12 will do, and 13 to 23 would be no faster.
    for (let running = 1; running <= 12; running++) expect(plan(group({ running, arrival: 24 * 42 })).desired).toBe(12);
    expect(plan(group({ running: 13, arrival: 24 * 42 })).desired).toBe(12);
  });

  test('what a worker has shown bounds what its slots promise', () => {
    const made = plan(group({ running: 4, arrival: 300, signals: { bestRate: 40, limit: 64, lanes: 64 } }));
    expect(made.workerPerSecond).toBe(40);
    expect(made.workerBound).toBe('shown');
    expect(made.desired).toBeGreaterThan(8);
  });

  test('lanes bound an ordered worker: few records at a time need few workers, not many', () => {
    // One lane of 10/s for each of 24 partitions, 6/s in each: two workers with ten slots each do it at 72 %.
    const made = plan(group({ running: 24, arrival: 24 * 6, signals: { lanes: 1 } }));
    expect(made.desired).toBe(2);
    expect(made.reason).toBe('steady');
  });

  test('today’s real assignment counts while as many run', () => {
    const input = group({ running: 4, arrival: 300 });
    const members = [input.partitions.slice(0, 12), input.partitions.slice(12, 16), input.partitions.slice(16, 20)];
    const uneven = { ...input, group: { state: 'Stable', members: [...members, input.partitions.slice(20)] } };
    expect(plan(input)).toMatchObject({ desired: 4, rebalance: false });
    expect(plan(uneven).heaviest).toBeGreaterThan(1);
  });
});

describe('a load that is uneven', () => {
  /** 300/s over 24 partitions, for four workers of 100/s: dealt evenly 75 % each, here the first one has half. */
  const uneven = (over: Partial<Parameters<typeof group>[0]> = {}): PlanInput => {
    const input = group({ running: 4, arrival: 300, ...over });
    const members = [0, 12, 16, 20, 24].map((from, at, all) => input.partitions.slice(from, all[at + 1])).slice(0, 4);
    return { ...input, group: { state: over.state ?? 'Stable', members } };
  };

  test('wants the same workers, and the partitions dealt anew', () => {
    const made = plan(uneven());
    expect(made).toMatchObject({ desired: 4, signalValue: 4, reason: 'rebalance-wanted', rebalance: true });
    expect(made.why).toContain('The heaviest of 4 workers is asked for 150 % of what it can do');
  });

  test('is waited with for a minute; then workers are added', () => {
    const since = (ms: number) => ({ unstableSince: undefined, asked: 4, unevenSince: NOW - ms });
    expect(plan(uneven({ memory: since(60_000) }))).toMatchObject({ desired: 4, reason: 'rebalance-wanted' });
    const late = plan(uneven({ memory: since(60_001) }));
    expect(late.desired).toBeGreaterThan(4);
    expect(late).toMatchObject({ reason: 'steady', rebalance: true });
  });

  test('asks for more at once when they are needed however it is dealt', () => {
    const made = plan(uneven({ arrival: 600 }));
    expect(made.desired).toBeGreaterThan(4);
    expect(made).toMatchObject({ rebalance: false });
  });

  test('is dealt anew also where there can be no more workers and it does not fit, if that helps much', () => {
    const made = plan(uneven({ arrival: 600, max: 4 }));
    expect(made).toMatchObject({ desired: 4, reason: 'rebalance-wanted', rebalance: true });
    expect(plan(group({ running: 4, arrival: 600, max: 4 }))).toMatchObject({ reason: 'at-max', rebalance: false });
  });

  test('stays as it is behind an open breaker, and cannot be told while the group moves', () => {
    expect(plan(uneven({ signals: { paused: 'breaker' } })).rebalance).toBe(false);
    expect(plan(uneven({ state: 'PreparingRebalance' })).rebalance).toBeUndefined();
    expect(plan(uneven({ signals: 'none' })).rebalance).toBeUndefined();
  });
});

describe('a catchUp that is less than nine rebalances', () => {
  test('is not planned with: nine rebalances are, and it is said', () => {
    // 30 s and 7,000 waiting: 333/s more for one catchUp of 300 s would be 23/s.
    const short = (rebalanceSeconds: number) => {
      const input = group({ running: 4, arrival: 100, behind: 7_000, signals: { rebalanceSeconds } });
      return plan({ ...input, scaling: { ...input.scaling, catchUpMs: 30_000 } });
    };
    const brief = short(3);
    expect(brief).toMatchObject({ catchUpMs: 30_000, rebalanceSeconds: 3 });
    expect(brief.why).not.toContain('rebalances');
    const long = short(15);
    expect(long).toMatchObject({ catchUpMs: 135_000, rebalanceSeconds: 15 });
    expect(long.why).toContain(
      'A catchUp of 30 s is less than nine rebalances of 15 s each, and would feed on them: 135 s is planned with.',
    );
    expect(long.desired).toBeLessThan(brief.desired);
  });

  test('the usual rebalance of the fleet counts, not one member’s, and unknown ones not at all', () => {
    const one = group({ running: 4, signals: (partition) => ({ rebalanceSeconds: partition % 4 === 0 ? 60 : 2 }) });
    expect(plan(one).rebalanceSeconds).toBe(2);
    const most = group({ running: 4, signals: (partition) => ({ rebalanceSeconds: partition % 4 === 0 ? 5 : 0 }) });
    expect(plan(most).rebalanceSeconds).toBe(5);
    expect(plan(group({ running: 4 })).rebalanceSeconds).toBe(0);
  });
});

describe('bounds of partitions', () => {
  test('a partition beyond its lanes is named, and does not take every worker with it', () => {
    const made = plan(
      group({ running: 2, signals: (partition) => ({ lanes: 1, arrivalPerSecond: partition === 7 ? 25 : 1 }) }),
    );
    expect(made.reason).toBe('partition-bound');
    expect(made.bound).toEqual([{ topic: TOPIC, partition: 7, arrivalPerSecond: 25, capacityPerSecond: 10 }]);
    expect(made.partitionsNeeded).toBe(67);
    expect(made.desired).toBe(1);
    expect(made.why).toContain(`${TOPIC}/7`);
  });

  test('of a partition beyond its lanes a worker is asked for what the lanes can do, not for what arrives', () => {
    const hot = (partition: number) => ({ lanes: 1, arrivalPerSecond: partition === 0 ? 60 : 1 });
    expect(plan(group({ partitions: 4, running: 1, signals: hot }))).toMatchObject({
      desired: 1,
      reason: 'partition-bound',
    });
  });

  test('a backlog that its own lanes cannot clear in time asks for no more than they can do', () => {
    const made = plan(
      group({
        running: 2,
        behindOf: (partition) => (partition === 7 ? 1e6 : 0),
        signals: { lanes: 1, arrivalPerSecond: 1 },
      }),
    );
    expect(made.desired).toBeLessThan(3);
    expect(made.why).toContain('1 partition takes longer, however many there are');
  });
});

describe('backlog', () => {
  test('records of a retry topic that are not due are none', () => {
    const waiting = group({ min: 0, behind: 50_000, signals: { dueAt: NOW + 60_000, arrivalPerSecond: 0 } });
    expect(plan(waiting)).toMatchObject({ backlog: 0, desired: 0, reason: 'idle' });
  });

  test('they wake a group that was scaled to zero when they are due', () => {
    const asleep = (dueAt: number) =>
      group({ min: 0, running: 0, behind: 500, signals: { sentAt: NOW - 3_600_000, dueAt } });
    expect(plan(asleep(NOW + 1)).desired).toBe(0);
    expect(plan(asleep(NOW)).desired).toBe(1);
  });

  test('what is done ahead of the watermark, or put back, is none', () => {
    expect(plan(group({ behind: 2400, signals: { doneAhead: 60, deferred: 30 } })).backlog).toBe(240);
  });

  test('its age is that of the record whose turn is next, also when its owner has gone', () => {
    const told = (ageMs: number, sentAgoMs = 1_000) =>
      plan(
        group({
          arrival: 240,
          behindOf: (partition) => (partition < 2 ? 1_200 : 0),
          signals: (partition) => ({
            sentAt: NOW - sentAgoMs,
            oldestAt: NOW - (partition === 0 ? ageMs : 10),
          }),
        }),
      ).lagSeconds;
    // From the arrivals, of which there were few before the burst, it would be 120 s.
    expect(told(3_000)).toBe(3);
    expect(told(-3_000)).toBe(0.01);
    expect(told(600_000, 300_000)).toBe(600);
    // Nothing waited 1 s ago: what does now has come since. Of 300 s ago that says nothing.
    expect(told(1_000, 1_000)).toBe(1);
    expect(told(300_000, 300_000)).toBeUndefined();
  });

  test('where no owner has told its age it is estimated from the arrivals', () => {
    expect(plan(group({ arrival: 240, behind: 2400 })).lagSeconds).toBeCloseTo(10);
    expect(plan(group({ arrival: 0, behind: 2400 })).lagSeconds).toBeUndefined();
    expect(plan(group({ arrival: 240 })).lagSeconds).toBe(0);
  });
});

describe('holds', () => {
  test('a moving group keeps its members, for three minutes at most', () => {
    const since = (ms: number) =>
      plan(
        group({ state: 'PreparingRebalance', arrival: 2000, memory: { unstableSince: NOW - ms, asked: undefined } }),
      );
    expect(since(20_000)).toMatchObject({ desired: 4, reason: 'rebalancing' });
    expect(since(180_000)).toMatchObject({ desired: 4, reason: 'rebalancing' });
    expect(since(181_000)).toMatchObject({ desired: 24, reason: 'steady' });
  });

  test('a moving group does not take back what was asked for before it moved', () => {
    const memory = { unstableSince: NOW - 5000, asked: 12 };
    expect(plan(group({ state: 'CompletingRebalance', memory })).desired).toBe(12);
  });

  test('an empty group is not moving: it is woken by what waits', () => {
    const empty = (behind: number, min = 0) =>
      plan(group({ running: 0, min, behind, signals: { sentAt: NOW - 600_000 } }));
    expect(empty(0)).toMatchObject({ desired: 0, signalValue: 0, reason: 'idle' });
    expect(empty(1)).toMatchObject({ desired: 1, signalValue: 1, reason: 'catch-up' });
    expect(empty(5300)).toMatchObject({ desired: 6, reason: 'catch-up' });
    expect(empty(0, 2)).toMatchObject({ desired: 2, reason: 'idle' });
  });

  test('an open breaker on most of the load asks for no more workers, and takes none away', () => {
    const open = (broken: number, running: number) =>
      plan(
        group({
          running,
          arrival: 1000,
          behind: 100_000,
          signals: (partition) => ({ arrivalPerSecond: 40, ...(partition < broken ? { paused: 'breaker' } : {}) }),
        }),
      );
    expect(open(24, 4)).toMatchObject({ desired: 4, reason: 'downstream-open' });
    expect(open(13, 4)).toMatchObject({ desired: 4, reason: 'downstream-open' });
    expect(open(6, 4).desired).toBeGreaterThan(4);
  });

  test('old signals give the plain lag rule', () => {
    const old = plan(group({ running: 2, behind: 5300, signals: { sentAt: NOW - 91_000 } }));
    expect(old).toMatchObject({ desired: 6, reason: 'stale-signal', workerPerSecond: undefined });
    const staleUpTo = (count: number) => (partition: number) => ({
      sentAt: partition < count ? NOW - 91_000 : NOW,
      arrivalPerSecond: 10,
    });
    expect(plan(group({ signals: staleUpTo(12) })).reason).toBe('steady');
    expect(plan(group({ signals: staleUpTo(13) })).reason).toBe('stale-signal');
  });

  test('a group that has measured nothing yet grows by the plain lag rule and loses nobody', () => {
    const first = (behind: number, signals: Partial<Signal> | 'none') => plan(group({ running: 3, behind, signals }));
    for (const signals of ['none', { laneRate: 0 }] as const) {
      expect(first(500, signals)).toMatchObject({ desired: 3, reason: 'catch-up' });
      expect(first(9100, signals)).toMatchObject({ desired: 10, reason: 'catch-up' });
    }
  });
});

describe('the nudge', () => {
  test('it goes past the tolerance of the HPA, upwards only', () => {
    expect(nudged(24, 22)).toBeCloseTo(24.21);
    expect(nudged(12, 11)).toBeCloseTo(12.11);
    expect(nudged(20, 22)).toBe(20);
    expect(nudged(8, 4)).toBe(8);
    expect(nudged(1, 0)).toBe(1);
  });

  test('whatever is wanted above what runs, the HPA moves, and by one to spare at most', () => {
    fc.assert(
      fc.property(fc.integer({ min: 1, max: 1000 }), fc.integer({ min: 1, max: 1000 }), (running, more) => {
        const value = nudged(running + more, running);
        expect(value / running).toBeGreaterThan(1.1);
        expect(Math.ceil(value)).toBeGreaterThanOrEqual(running + more);
        expect(Math.ceil(value)).toBeLessThanOrEqual(Math.max(running + more, Math.ceil(1.1 * running + 0.01)));
      }),
    );
  });
});

describe('for any group', () => {
  const inputs = fc
    .record({
      partitions: fc.integer({ min: 1, max: 40 }),
      running: fc.integer({ min: 0, max: 45 }),
      state: fc.constantFrom('Stable', 'Stable', 'PreparingRebalance', 'Dead'),
      arrivals: fc.array(fc.double({ min: 0, max: 500, noNaN: true }), { minLength: 40, maxLength: 40 }),
      behinds: fc.array(fc.nat(1_000_000), { minLength: 40, maxLength: 40 }),
      lanes: fc.integer({ min: 0, max: 20 }),
      laneRate: fc.double({ min: 0, max: 100, noNaN: true }),
      ages: fc.array(fc.integer({ min: 0, max: 120_000 }), { minLength: 40, maxLength: 40 }),
      bestRate: fc.double({ min: 0, max: 1000, noNaN: true }),
      min: fc.integer({ min: 0, max: 10 }),
      max: fc.integer({ min: 1, max: 50 }),
    })
    .map((made) =>
      group({
        ...made,
        behindOf: (partition) => made.behinds[partition]!,
        signals: (partition) => ({
          arrivalPerSecond: made.arrivals[partition]!,
          sentAt: NOW - made.ages[partition]!,
          lanes: made.lanes,
          laneRate: made.laneRate,
          bestRate: made.bestRate,
        }),
      }),
    );

  test('the answer is within its bounds, finite and in words', () => {
    fc.assert(
      fc.property(inputs, (input) => {
        const made = plan(input);
        const top = Math.min(input.scaling.max, input.partitions.length);
        expect(made.desired).toBeGreaterThanOrEqual(Math.min(input.scaling.min, top));
        expect(made.desired).toBeLessThanOrEqual(top);
        expect(Number.isInteger(made.desired)).toBe(true);
        expect(made.signalValue).toBeGreaterThanOrEqual(made.desired);
        for (const number of [made.backlog, made.arrivalPerSecond, made.heaviest ?? 0, made.lagSeconds ?? 0])
          expect(Number.isFinite(number)).toBe(true);
        expect(made.why).toMatch(/^[A-Z0-9].*\.$/);
        expect(made.why).not.toMatch(/NaN|undefined|Infinity/);
      }),
    );
  });

  test('the order in which partitions and members are read does not matter', () => {
    fc.assert(
      fc.property(inputs, fc.infiniteStream(fc.nat()), (input, order) => {
        const shuffled = <T>(values: readonly T[]) =>
          values
            .map((value) => ({ value, at: order.next().value! }))
            .sort((a, b) => a.at - b.at)
            .map(({ value }) => value);
        const other = {
          ...input,
          partitions: shuffled(input.partitions),
          group: { state: input.group.state, members: shuffled(input.group.members).map(shuffled) },
        };
        expect(plan(other)).toEqual(plan(input));
      }),
    );
  });

  test('more load never asks for fewer workers', () => {
    fc.assert(
      fc.property(
        fc.record({
          partitions: fc.integer({ min: 1, max: 40 }),
          running: fc.integer({ min: 0, max: 40 }),
          lanes: fc.integer({ min: 1, max: 20 }),
          arrival: fc.double({ min: 0, max: 5000, noNaN: true }),
          behind: fc.nat(1_000_000),
          more: fc.double({ min: 0, max: 1000, noNaN: true }),
          moreBehind: fc.nat(100_000),
        }),
        ({ more, moreBehind, lanes, ...rest }) => {
          const less = plan(
            group({ ...rest, max: 100, signals: { lanes, arrivalPerSecond: rest.arrival / rest.partitions } }),
          );
          const arrival = rest.arrival + more;
          const behind = rest.behind + moreBehind;
          const over = group({
            ...rest,
            behind,
            max: 100,
            signals: { lanes, arrivalPerSecond: arrival / rest.partitions },
          });
          expect(plan(over).desired).toBeGreaterThanOrEqual(less.desired);
        },
      ),
    );
  });
});
