/** Resident memory of a worker behind whose stuck handler a million records wait: what is fetched is bounded. */
import { setTimeout as wait } from 'node:timers/promises';
import { fill, startDevBroker } from '../load.ts';
import { table, type Verdict, verdict } from '../rounds.ts';
import { ChildWorker } from './child-worker.ts';

export interface StuckReading {
  /** Handler calls that never came back. */
  readonly calls: number;
  readonly peakMb: number;
  readonly lastMb: number;
}

const PARTITIONS = 24;
const BYTES = 100;

/** @param options.watchMs  how long it is watched after the first call */
export async function readStuck(options: { records: number; watchMs: number }): Promise<StuckReading> {
  const broker = await startDevBroker();
  try {
    const prefix = 'stuck';
    const topic = 'records';
    const load = { partitions: PARTITIONS, records: options.records, bytes: BYTES };
    await fill({ brokers: broker.brokers, topic: `${prefix}.${topic}`, ...load });
    const place = { brokers: broker.brokers, prefix, topic, partitions: PARTITIONS };
    const worker = await ChildWorker.start({ kind: 'stuck', ...place });
    try {
      let peakMb = 0;
      let lastMb = 0;
      for (let begun = 0; begun === 0 || performance.now() - begun < options.watchMs; await wait(100)) {
        if (begun === 0 && worker.calls > 0) begun = performance.now();
        lastMb = worker.residentMb;
        peakMb = Math.max(peakMb, lastMb);
      }
      return { calls: worker.calls, peakMb, lastMb };
    } finally {
      await worker.kill();
    }
  } finally {
    await broker.stop();
  }
}

export async function stuck(options: { records: number }): Promise<{ verdicts: readonly Verdict[]; text: string }> {
  const { calls, peakMb, lastMb } = await readStuck({ ...options, watchMs: 30_000 });
  const text = table([
    ['behind a stuck handler', 'calls that never return', 'RSS at most, MB', 'after 30 s'],
    [
      `${options.records.toLocaleString('en-US')} records of ${BYTES} bytes, ${PARTITIONS} partitions`,
      String(calls),
      peakMb.toFixed(1),
      lastMb.toFixed(1),
    ],
  ]);
  return { text, verdicts: [verdict('records waiting behind a stuck handler: RSS in MB', peakMb, { under: 200 })] };
}
