/** How long records that run alone hold up all others: a minute in all, whatever they do. */
import { silentLogger } from '@weir/core';
import { ManualClock } from '@weir/core/testing';
import { describe, expect, test } from 'vitest';
import { z } from 'zod';
import { defineWorker, topic } from '../define.ts';
import { Fetched, ListedRecords } from '../kafka/port.ts';
import { MemoryKafka, testWorker } from '../testing/index.ts';
import { FairQueue } from './fair.ts';
import { Narrowing } from './narrowing.ts';
import { Owned } from './owned.ts';
import { Waiting } from './waiting.ts';

const items = topic('items', z.object({ id: z.number() }), { partitions: 2 });

describe('records that have the process to themselves hold up the others for a minute in all', () => {
  const FRESH = 20;
  const forEver = Number.POSITIVE_INFINITY;

  /**
   * The third start after two deaths with the records 0 and 2 in hand, and some that came since.
   * @param takes  seconds that each of the two takes this time
   */
  async function thirdStart(takes: readonly [number, number]) {
    const clock = new ManualClock();
    const kafka = new MemoryKafka(clock);
    kafka.createTopic('xact.items', 2);
    const append = (id: number) =>
      kafka.append({ topic: 'xact.items', partition: id % 2, key: null, value: Buffer.from(`{"id":${id}}`) });
    /** Seconds after this start at which a record was called, or had been handled. */
    const called = new Map<number, number>();
    const handled = new Map<number, number>();
    let bornAt = 0;
    const seconds = () => (clock.now() - bornAt) / 1000;
    let starts = 0;
    const start = () => {
      const life = ++starts;
      const inHand = new Set<number>();
      const dead = Promise.withResolvers<void>();
      return testWorker(
        defineWorker({
          name: 'keeper',
          consumes: items,
          concurrency: { fixed: 8 },
          timeout: '5m',
          async handle({ value: { id } }, ctx) {
            if (life !== starts) return;
            if (life < 3) {
              inHand.add(id);
              if (inHand.size === 2) {
                kafka.crash();
                dead.resolve();
              }
              return dead.promise;
            }
            if (!called.has(id)) called.set(id, seconds());
            const takesSeconds = id < 4 ? takes[id / 2]! : 0;
            if (takesSeconds === forEver) return new Promise(() => undefined);
            if (takesSeconds > 0) await ctx.clock.sleep(takesSeconds * 1000);
            handled.set(id, seconds());
          },
        }),
        { clock, kafka },
      );
    };
    for (const id of [0, 2]) append(id);
    for (let life = 1; life < 3; life++) await start();
    for (let id = 4; id < 4 + FRESH; id++) append(id);
    // Nothing starts that could not be written down: not before the test has its worker.
    kafka.refuseCommits(Number.POSITIVE_INFINITY);
    const worker = await start();
    bornAt = clock.now();
    kafka.refuseCommits(0);
    return {
      called,
      handled,
      fresh: () => [...handled.keys()].filter((id) => id >= 4).length,
      worker,
      /** Second by second, as the ticks of a worker come. */
      async pass(seconds: number) {
        for (let at = 0; at < seconds; at++) await worker.clock.advance(1_000);
      },
      [Symbol.asyncDispose]: () => worker.stop(),
    };
  }

  test('one that takes longer goes on beside the others', async () => {
    await using w = await thirdStart([90, 0]);
    await w.pass(59);
    expect([...w.called.keys()]).toEqual([0]);
    // Those that wait are told with their age.
    const [signal] = w.worker.worker.signals();
    expect(signal!.sentAt - signal!.oldestAt!).toBeGreaterThanOrEqual(59_000);
    await w.pass(3);
    expect(w.fresh()).toBe(FRESH);
    expect(w.handled.has(0)).toBe(false);
    await w.pass(29);
    expect(w.handled.get(0)).toBeGreaterThanOrEqual(90);
    // Still one suspect at a time.
    expect(w.called.get(2)).toBeGreaterThanOrEqual(90);
    expect(w.handled.size).toBe(FRESH + 2);
  });

  test('one that never ends does, and its own timeout lets the next suspect start', async () => {
    await using w = await thirdStart([forEver, 0]);
    await w.pass(59);
    expect(w.fresh()).toBe(0);
    await w.pass(3);
    expect(w.fresh()).toBe(FRESH);
    await w.pass(236);
    expect(w.called.has(2)).toBe(false);
    await w.pass(4);
    expect(w.called.get(2)).toBeGreaterThanOrEqual(300);
    expect(w.handled.has(2)).toBe(true);
    expect(w.worker.retries()).toHaveLength(1);
  });

  test('two that take long do not have a minute each', async () => {
    await using w = await thirdStart([40, 40]);
    await w.pass(59);
    expect([...w.handled.keys()]).toEqual([0]);
    expect(w.called.get(2)).toBeGreaterThanOrEqual(40);
    await w.pass(3);
    expect(w.fresh()).toBe(FRESH);
    expect(w.handled.has(2)).toBe(false);
    await w.pass(20);
    expect(w.handled.size).toBe(FRESH + 2);
  });

  test('what is at work when they begin is waited for no longer than that either', async () => {
    const clock = new ManualClock();
    const fair = new FairQueue();
    const suspicion = { until: 1, ends: [], suspects: [{ offset: 0, strikes: 2, inFlight: false }] };
    const owned = new Owned({ topic: 't', partition: 0 }, { start: 0, committed: 0, order: 'none', suspicion });
    const record = new ListedRecords([new Fetched('t', 0, 0, 0, null, null, undefined)]);
    owned.lanes.add(new Waiting(record, owned, { first: 0, slot: owned.ledger.take(0), left: 1, queuedAt: 0 }));
    const narrowing = new Narrowing({
      ...{ fair, clock, log: silentLogger, metrics: { poisoned: () => undefined } },
      ...{ writeAhead: async () => true, mayStart: () => true, room: () => 8, pump: () => undefined },
      ...{ bury: () => undefined, alive: async () => [], returnsWithinMs: 10_000 },
      // A handler of another partition, which does not end.
      atWork: () => 1,
    });
    narrowing.watch(owned);
    for (let second = 0; second < 60; second++) {
      narrowing.look();
      await clock.advance(1_000);
      expect(fair.only, `${second} s`).toBe(null);
    }
    expect(owned.runnable).toBe(false);
    narrowing.look();
    await clock.advance(1_000);
    expect(owned.runnable).toBe(true);
    expect(fair.only).toBe(undefined);
  });
});
