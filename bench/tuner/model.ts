/**
 * The same run on a clock that is moved by hand: worker, tuner and downstream are the real ones, only Kafka, the network and
 * the machine are left out, and with them their noise. For the chart in the docs, and to tell the tuner's part from the
 * machine's.
 */
import { seededRandom } from '@weir/core';
import { ManualClock } from '@weir/core/testing';
import { bytes, defineWorker, topic } from '@weir/sdk';
import { testWorker } from '@weir/sdk/testing';
import { HiddenCapacity } from '../../packages/sdk/src/flow/hidden-capacity.fixture.ts';
import type { Phase, Sample } from './chart.ts';

/** More than it can do in a second, never so much that all of it has to be held. */
const AHEAD = 1_500;

export async function runOnModel(options: {
  phases: readonly Phase[];
  workMs: number;
  through: 'handler' | 'bulkhead';
}): Promise<{ samples: Sample[]; unloadedP95Ms: number }> {
  const { phases, workMs, through } = options;
  const clock = new ManualClock();
  const downstream = new HiddenCapacity({ slots: phases[0]!.slots, workMs, clock, random: seededRandom(1) });
  const worker = defineWorker({
    name: 'tuned',
    consumes: topic('calls', bytes, { partitions: 4 }),
    concurrency: { start: 10, max: 64 },
    dependencies: { downstream: { timeout: '30s' } },
    handle: (_record, ctx) =>
      through === 'bulkhead' ? ctx.call('downstream', () => downstream.call()) : downstream.call(),
  });
  const t = await testWorker(worker, { clock });
  const samples: Sample[] = [];
  let sent = 0;
  for (let seconds = 1; seconds <= phases.at(-1)!.to; seconds++) {
    const { slots } = phases.find((each) => seconds <= each.to)!;
    if (downstream.slots !== slots) downstream.resize(slots);
    for (; sent < downstream.ended.length + AHEAD; sent++)
      t.kafka.append({ topic: 'xact.calls', key: null, value: Buffer.alloc(1), partition: sent % 4 });
    await clock.advance(1_000);
    samples.push({ seconds, limit: t.worker.gauges().limit, ...downstream.last(1_000) });
  }
  await t.stop();
  return { samples, unloadedP95Ms: downstream.unloadedP95Ms };
}
