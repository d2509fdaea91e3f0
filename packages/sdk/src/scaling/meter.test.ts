import { ManualClock } from '@weir/core/testing';
import { describe, expect, test } from 'vitest';
import { LoadMeter, type SignalFacts } from './meter.ts';

const tp = { topic: 'xact.downloads.pending', partition: 3 };
const facts: SignalFacts = {
  writer: 'a',
  counter: 1,
  offset: 5,
  lanes: 10,
  limit: 10,
  limitProven: true,
  paused: undefined,
  doneAhead: 0,
  deferred: 0,
  dueAt: undefined,
  oldestAt: undefined,
};

async function arriving(meter: LoadMeter, clock: ManualClock, perSecond: number, seconds: number, everyMs = 1000) {
  let end = 0;
  meter.observeEnd(tp, end);
  for (let ms = everyMs; ms <= seconds * 1000; ms += everyMs) {
    await clock.advance(everyMs);
    end = (perSecond * ms) / 1000;
    meter.observeEnd(tp, end);
  }
}

describe('arrival rate', () => {
  test('it is the growth of the end offset, however often it is looked at', async () => {
    for (const everyMs of [250, 1000, 7000]) {
      const clock = new ManualClock();
      const meter = new LoadMeter({ clock });
      meter.assigned(tp);
      await arriving(meter, clock, 40, 70, everyMs);
      expect(meter.arrivalPerSecond(tp)).toBeCloseTo(40, 6);
    }
  });

  test('half of a change shows after one half-life', async () => {
    const clock = new ManualClock();
    const meter = new LoadMeter({ clock });
    meter.assigned(tp);
    await arriving(meter, clock, 40, 1000, 5000);
    await clock.advance(30_000);
    meter.observeEnd(tp, 40_000);
    expect(meter.arrivalPerSecond(tp)).toBeCloseTo(20, 1);
  });

  test('one burst in the first second is not taken for a rate', async () => {
    const clock = new ManualClock();
    const meter = new LoadMeter({ clock });
    meter.assigned(tp);
    meter.observeEnd(tp, 0);
    await clock.advance(1000);
    meter.observeEnd(tp, 1000);
    expect(meter.arrivalPerSecond(tp)).toBeLessThan(120);
  });

  test('a new owner goes on from the rate of the former one', async () => {
    const clock = new ManualClock();
    const meter = new LoadMeter({ clock });
    const previous = {
      ...facts,
      sentAt: 0,
      arrivalPerSecond: 40,
      laneRate: 5,
      bestRate: 50,
      p95Seconds: 0.4,
      rebalanceSeconds: 2,
    };
    meter.assigned(tp, previous);
    expect(meter.arrivalPerSecond(tp)).toBeCloseTo(40, 9);
    expect(meter.laneRate).toBe(5);
    expect(meter.p95Seconds).toBe(0.4);
    meter.handled(tp, 1, 0.1);
    expect(meter.laneRate).toBeCloseTo(10);
  });

  test('a topic that was made anew starts over instead of a negative rate', async () => {
    const clock = new ManualClock();
    const meter = new LoadMeter({ clock });
    meter.assigned(tp);
    await arriving(meter, clock, 40, 60);
    meter.observeEnd(tp, 0, clock.monotonic() + 1000);
    expect(meter.arrivalPerSecond(tp)).toBeCloseTo(40, 6);
  });

  test('a partition that left is forgotten', () => {
    const meter = new LoadMeter({ clock: new ManualClock() });
    meter.assigned(tp, {
      ...facts,
      sentAt: 0,
      arrivalPerSecond: 40,
      laneRate: 0,
      bestRate: 0,
      p95Seconds: 0,
      rebalanceSeconds: 0,
    });
    meter.released(tp);
    meter.observeEnd(tp, 10);
    expect(meter.arrivalPerSecond(tp)).toBe(0);
  });

  test('a short catch-up averages over less time', async () => {
    const clock = new ManualClock();
    const meter = new LoadMeter({ clock, catchUpMs: 10_000 });
    meter.assigned(tp);
    await arriving(meter, clock, 40, 300);
    await clock.advance(5000);
    meter.observeEnd(tp, 12_000);
    expect(meter.arrivalPerSecond(tp)).toBeCloseTo(20, 4);
  });
});

describe('lane rate', () => {
  test('it is 1 / mean seconds of handling, and unknown before the first call', () => {
    const meter = new LoadMeter({ clock: new ManualClock() });
    expect(meter.laneRate).toBe(0);
    for (const seconds of [0.1, 0.2, 0.3]) meter.handled(tp, 1, seconds);
    expect(meter.laneRate).toBeCloseTo(5);
  });

  test('new handling times replace old ones within minutes, idle time changes nothing', async () => {
    const clock = new ManualClock();
    const meter = new LoadMeter({ clock });
    const second = async (calls: number, seconds: number) => {
      for (let call = 0; call < calls; call++) meter.handled(tp, 1, seconds);
      await clock.advance(1000);
      meter.sample(false, 10);
    };
    for (let at = 0; at < 60; at++) await second(10, 0.1);
    await clock.advance(24 * 3600_000);
    meter.sample(false, 10);
    expect(meter.laneRate).toBeCloseTo(10);
    for (let at = 0; at < 300; at++) await second(10, 0.5);
    expect(meter.laneRate).toBeCloseTo(2, 0);
  });

  test('small batches under little load do not look like a slow worker', () => {
    const meter = new LoadMeter({ clock: new ManualClock(), batchRecords: 100 });
    // 0.5 s for the commit, 5 ms for each record: a full batch takes 1 s.
    for (const count of [1, 2, 3, 5, 8, 2, 1]) meter.handled(tp, count, 0.5 + 0.005 * count);
    expect(meter.laneRate).toBeCloseTo(100, 3);
  });

  test('batches of one size give the plain mean', () => {
    const meter = new LoadMeter({ clock: new ManualClock(), batchRecords: 100 });
    for (let call = 0; call < 5; call++) meter.handled(tp, 10, 0.5);
    expect(meter.laneRate).toBeCloseTo(20);
  });

  test('p95 is within a fifth of the truth', () => {
    const meter = new LoadMeter({ clock: new ManualClock() });
    for (let at = 1; at <= 1000; at++) meter.handled(tp, 1, at / 1000);
    expect(meter.p95Seconds).toBeGreaterThan(0.95);
    expect(meter.p95Seconds).toBeLessThan(0.95 * 1.2);
  });
});

describe('best rate', () => {
  const run = async (meter: LoadMeter, clock: ManualClock, seconds: number, perSecond: number, saturated: boolean) => {
    for (let at = 0; at < seconds; at++) {
      for (let call = 0; call < perSecond; call++) meter.handled(tp, 1, 0.1);
      await clock.advance(1000);
      meter.sample(saturated, 10);
    }
  };

  test('only ten saturated seconds on end count', async () => {
    const clock = new ManualClock();
    const meter = new LoadMeter({ clock });
    await run(meter, clock, 60, 80, false);
    await run(meter, clock, 9, 80, true);
    await run(meter, clock, 1, 80, false);
    expect(meter.bestRate).toBe(0);
    await run(meter, clock, 11, 70, true);
    expect(meter.bestRate).toBeCloseTo(70);
  });

  test('the best is kept for an hour and then forgotten', async () => {
    const clock = new ManualClock();
    const meter = new LoadMeter({ clock });
    await run(meter, clock, 11, 90, true);
    await run(meter, clock, 11, 30, true);
    expect(meter.bestRate).toBeCloseTo(90);
    await clock.advance(50 * 60_000);
    meter.sample(false, 10);
    expect(meter.bestRate).toBeCloseTo(90);
    await clock.advance(11 * 60_000);
    meter.sample(false, 10);
    expect(meter.bestRate).toBe(0);
  });

  test('a higher limit makes what was shown under the lower one void', async () => {
    const clock = new ManualClock();
    const meter = new LoadMeter({ clock });
    await run(meter, clock, 11, 90, true);
    meter.sample(false, 20);
    expect(meter.bestRate).toBe(0);
  });
});

test('lanes are the most seen at once in the last half to whole minute, within the limit', async () => {
  const clock = new ManualClock();
  const meter = new LoadMeter({ clock });
  meter.assigned(tp);
  const seen = (lanes: number, limit = 10) => meter.signal(tp, { ...facts, lanes, limit }).lanes;
  expect([seen(1), seen(6), seen(2)]).toEqual([1, 6, 6]);
  await clock.advance(30_000);
  expect(seen(3)).toBe(6);
  expect(seen(3, 4)).toBe(4);
  await clock.advance(30_000);
  expect(seen(1)).toBe(3);
  await clock.advance(3_600_000);
  expect(seen(1)).toBe(1);
});

test('a signal joins what is measured with what the worker knows', () => {
  const clock = new ManualClock(1_767_225_600_000);
  const meter = new LoadMeter({ clock });
  meter.assigned(tp);
  meter.handled(tp, 1, 0.1);
  expect(meter.signal(tp, facts)).toEqual({
    ...facts,
    sentAt: 1_767_225_600_000,
    arrivalPerSecond: 0,
    laneRate: 10,
    bestRate: 0,
    p95Seconds: expect.closeTo(0.1, 1),
    rebalanceSeconds: 0,
  });
});

test('what a rebalance takes is the middle of the last five, and what former owners knew before the first', () => {
  const meter = new LoadMeter({ clock: new ManualClock() });
  expect(meter.rebalanceSeconds).toBe(0);
  const signal = { ...facts, sentAt: 0, arrivalPerSecond: 0, laneRate: 0, bestRate: 0, p95Seconds: 0 };
  meter.assigned(tp, { ...signal, rebalanceSeconds: 2 });
  expect(meter.rebalanceSeconds).toBe(2);
  for (const seconds of [0.3, 20, 0.4]) meter.rebalanced(seconds);
  expect(meter.rebalanceSeconds).toBe(0.4);
  for (const seconds of [6, 5, 7]) meter.rebalanced(seconds);
  expect(meter.rebalanceSeconds).toBe(6);
  expect(meter.signal(tp, facts).rebalanceSeconds).toBe(6);
});
