/**
 * A worker finds what its downstream can bear: 25 calls at once of 40 ms, then 12, then 25 again, told to nobody. Within
 * 30 s of each change its throughput is within 20 % of the best and its p95 under twice that of a downstream at rest.
 */
import { seededRandom } from '@weir/core';
import { ManualClock } from '@weir/core/testing';
import { expect, test } from 'vitest';
import { bytes, defineWorker, topic } from '../define.ts';
import { testWorker } from '../testing/index.ts';
import { HiddenCapacity } from './hidden-capacity.fixture.ts';

const jobs = topic('jobs', bytes, { partitions: 4 });
const FIND_MS = 30_000;
const MEASURE_MS = 15_000;

test.each([
  ['the limit of its handlers', 1, false],
  ['the bulkhead of a dependency', 2, true],
])(
  'a worker tunes %s to a knee that moves (seed %i)',
  async (_, seed, through) => {
    const clock = new ManualClock();
    const downstream = new HiddenCapacity({ slots: 25, workMs: 40, clock, random: seededRandom(seed) });
    const worker = defineWorker({
      name: 'knee',
      consumes: jobs,
      concurrency: { start: 10, max: 64 },
      dependencies: { store: {} },
      handle: (_record, ctx) => (through ? ctx.call('store', () => downstream.call()) : downstream.call()),
    });
    const t = await testWorker(worker, { clock });
    await using _end = t;
    let sent = 0;
    const run = async (ms: number) => {
      for (const until = clock.now() + ms; clock.now() < until; ) {
        // Always more than it can do, never so much that the test holds all of it.
        for (; sent < downstream.ended.length + 1_500; sent++)
          t.kafka.append({ topic: 'xact.jobs', key: null, value: Buffer.alloc(1), partition: sent % 4 });
        await clock.advance(500);
      }
    };
    for (const slots of [25, 12, 25]) {
      downstream.resize(slots);
      await run(FIND_MS);
      await run(MEASURE_MS);
      const { perSecond, p95Ms } = downstream.last(MEASURE_MS);
      expect(perSecond / downstream.bestPerSecond, `${slots} slots: share of the best`).toBeGreaterThan(0.8);
      expect(p95Ms / downstream.unloadedP95Ms, `${slots} slots: p95 over the unloaded`).toBeLessThan(2);
      expect(t.worker.gauges().limit).toBeLessThan(2 * slots);
      if (through) expect(t.worker.gauges().inflight).toBeGreaterThan(0.6 * slots);
    }
    expect(t.deadLetters()).toEqual([]);
    for (const signal of t.worker.signals()) expect(signal.limitProven).toBe(true);
  },
  120_000,
);
