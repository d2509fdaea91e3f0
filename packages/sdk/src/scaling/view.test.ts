import { type Logger, silentLogger } from '@weir/core';
import { ManualClock } from '@weir/core/testing';
import { describe, expect, test } from 'vitest';
import { GroupFixture, worker } from './group.fixture.ts';
import { type ScalingAnswer, ScalingView } from './view.ts';

function watching(options: { clock?: ManualClock; group?: GroupFixture; log?: Logger } = {}) {
  const { clock = new ManualClock(), group = new GroupFixture(), log = silentLogger } = options;
  const view = new ScalingView({ admin: group.admin, worker, clock, intervalMs: 10_000, log });
  return { clock, group, view, body: () => view.answer().body as ScalingAnswer };
}

/** Four partitions with 40/s each; a worker manages 100/s. */
function busy(group: GroupFixture, clock: ManualClock, members = 2): void {
  group.members(members);
  for (const partition of [0, 1, 2, 3]) {
    group.end(partition, 1000);
    group.signal(partition, 900, { sentAt: clock.now(), arrivalPerSecond: 40 });
  }
}

describe('view', () => {
  test('the answer has everything that /scaling promises', async () => {
    const { clock, group, view, body } = watching();
    busy(group, clock);
    await view.start();
    expect(view.answer().status).toBe(200);
    expect(body()).toEqual({
      worker: 'download-worker',
      group: 'xact-download-worker',
      topics: ['xact.downloads.pending'],
      desiredReplicas: 2,
      signalValue: 2,
      reason: 'steady',
      why: '160/s arrive and one worker manages 100/s: 2 workers keep up, the heaviest at 81 % of what it can do.',
      running: 2,
      partitions: 4,
      bound: [],
      partitionsNeeded: null,
      heaviest: 0.807,
      backlog: 400,
      lagSeconds: 2.5,
      arrivalPerSecond: 160,
      workerPerSecond: 100,
      workerBound: 'limit',
      observedAt: clock.now(),
      ageSeconds: 0,
    });
    view.stop();
  });

  test('a load that stays uneven is waited with for a minute from when it was first seen, whatever the group does', async () => {
    const { clock, group, view, body } = watching();
    const made: (boolean | undefined)[] = [];
    view.on('plan:made', ({ plan }) => made.push(plan.rebalance));
    busy(group, clock);
    const hot = () => {
      for (const partition of [0, 1, 2, 3])
        group.signal(partition, 900, { sentAt: clock.now(), arrivalPerSecond: partition % 2 === 0 ? 60 : 20 });
    };
    hot();
    await view.start();
    expect(body()).toMatchObject({ desiredReplicas: 2, reason: 'rebalance-wanted' });
    for (let second = 10; second <= 60; second += 10) {
      group.members(2, second === 30 ? 'PreparingRebalance' : 'Stable');
      hot();
      await clock.advance(10_000);
      expect(body()).toMatchObject({ desiredReplicas: 2, reason: second === 30 ? 'rebalancing' : 'rebalance-wanted' });
    }
    hot();
    await clock.advance(10_000);
    expect(body().desiredReplicas).toBeGreaterThan(2);
    expect(made).toEqual([true, true, true, undefined, true, true, true, true]);
    view.stop();
  });

  test('a catchUp that is less than nine rebalances is warned about once, with what to do', async () => {
    const warnings: string[] = [];
    const log: Logger = { ...silentLogger, warn: (_, message) => void warnings.push(message ?? '') };
    const { clock, group, view, body } = watching({ log });
    busy(group, clock);
    const slow = () => {
      for (const partition of [0, 1, 2, 3])
        group.signal(partition, 900, { sentAt: clock.now(), arrivalPerSecond: 40, rebalanceSeconds: 40 });
    };
    slow();
    await view.start();
    slow();
    await clock.advance(20_000);
    expect(warnings).toEqual([
      'A catchUp of 5 min is less than nine rebalances of 40 s each, and would feed on them: 6 min is planned with. Raise scaling.catchUp (WEIR_CATCH_UP), or make rebalances shorter: quicker handlers, a smaller WEIR_REVOKE_WAIT_MS',
    ]);
    expect(body().why).toContain('6 min is planned with.');
    view.stop();
  });

  test('before the first look there is no answer', () => {
    const { view } = watching();
    expect(view.answer()).toEqual({
      status: 503,
      body: { error: 'group xact-download-worker has not been looked at yet' },
    });
  });

  test('while Kafka is away the last answer stands with its age, for 90 s', async () => {
    const { clock, group, view, body } = watching();
    busy(group, clock);
    await view.start();
    group.failure = new Error('connect ECONNREFUSED 10.0.0.1:9092');
    await clock.advance(89_000);
    expect(view.answer().status).toBe(200);
    expect(body()).toMatchObject({ desiredReplicas: 2, ageSeconds: 89 });
    await clock.advance(2_000);
    expect(view.answer().status).toBe(503);
    expect(view.answer().body).toEqual({
      error: expect.stringMatching(/91 s old: connect ECONNREFUSED/),
    });
    expect(view.latest).toBeUndefined();
    group.failure = undefined;
    await clock.advance(10_000);
    expect(view.answer().status).toBe(200);
    view.stop();
  });

  test('a look that hangs is given up, and never holds an answer up', async () => {
    const { clock, group, view } = watching();
    group.failure = 'hang';
    const first = view.start();
    expect(view.answer().status).toBe(503);
    await clock.advance(10_000);
    await first;
    expect(view.answer().body).toEqual({ error: expect.stringContaining('Kafka did not answer within 10 s') });
    group.failure = undefined;
    await clock.advance(10_000);
    expect(view.answer().status).toBe(200);
    view.stop();
  });

  test('observers that began at different times look at the same moments and say the same', async () => {
    const clock = new ManualClock();
    const group = new GroupFixture();
    busy(group, clock);
    const views = [];
    for (let at = 0; at < 3; at++) {
      const { view } = watching({ clock, group });
      await view.start();
      views.push(view);
      await clock.advance(1_700);
    }
    group.signal(0, 900, { sentAt: clock.now(), arrivalPerSecond: 90 });
    await clock.advance(10_000 - (clock.now() % 10_000));
    const answers = views.map((view) => view.answer().body);
    expect(answers[1]).toEqual(answers[0]);
    expect(answers[2]).toEqual(answers[0]);
    expect(answers[0]).toMatchObject({ ageSeconds: 0, observedAt: clock.now() });
    for (const view of views) view.stop();
  });

  test('a group that moves keeps what was asked for, then is planned again', async () => {
    const { clock, group, view, body } = watching();
    busy(group, clock, 2);
    for (const partition of [0, 1, 2, 3]) group.signal(partition, 900, { sentAt: clock.now(), arrivalPerSecond: 80 });
    await view.start();
    expect(body()).toMatchObject({ desiredReplicas: 4, reason: 'steady' });
    group.members(3, 'PreparingRebalance');
    await clock.advance(10_000);
    expect(body()).toMatchObject({ desiredReplicas: 4, running: 3, reason: 'rebalancing' });
    await clock.advance(60_000);
    expect(body()).toMatchObject({ desiredReplicas: 4, reason: 'rebalancing' });
    // Signals are old by now, so that after three minutes the plain rule decides.
    await clock.advance(140_000);
    expect(body().reason).toBe('stale-signal');
    group.members(4);
    for (const partition of [0, 1, 2, 3]) group.signal(partition, 900, { sentAt: clock.now(), arrivalPerSecond: 10 });
    await clock.advance(10_000);
    expect(body()).toMatchObject({ desiredReplicas: 1, reason: 'steady' });
    view.stop();
  });

  test('a change of the plan is told once, with what was and what is', async () => {
    const { clock, group, view } = watching();
    const told: string[] = [];
    view.on('plan:changed', ({ from, to }) =>
      told.push(`${from.reason} ${from.desired} -> ${to.reason} ${to.desired}`),
    );
    await view.start();
    await clock.advance(30_000);
    busy(group, clock, 2);
    await clock.advance(30_000);
    expect(told).toEqual(['idle 1 -> steady 2']);
    view.stop();
  });

  test('an outage is logged once, as is its end', async () => {
    const lines: string[] = [];
    const note = (_: object, message?: string) => void lines.push(message ?? '');
    const log: Logger = { ...silentLogger, warn: note, info: note };
    const { clock, group, view } = watching({ log });
    await view.start();
    group.failure = new Error('away');
    await clock.advance(300_000);
    group.failure = undefined;
    await clock.advance(20_000);
    expect(lines).toEqual([
      'the group cannot be looked at; the last answer stands for 90 s',
      'the group can be looked at again',
    ]);
    view.stop();
  });

  test('stop is safe early and twice, and nothing is looked at afterwards', async () => {
    const { clock, group, view } = watching();
    view.stop();
    await view.start();
    await view.start();
    view.stop();
    view.stop();
    const asked = group.asked;
    await clock.advance(100_000);
    expect(group.asked).toBe(asked);
    expect(clock.pending).toBe(0);
  });
});
