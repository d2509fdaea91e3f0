/**
 * Ten minutes at full rate: does a worker's memory grow? Records are produced as fast as the worker takes them, a bounded
 * number ahead of it; the resident memory is read every second. The slope is the least squares' line through what comes
 * after minute 3.
 *
 *   npm run bench -- soak [--minutes 10] [--csv FILE] [--svg FILE]
 */
import { writeFileSync } from 'node:fs';
import { setTimeout as wait } from 'node:timers/promises';
import { startBroker } from '@weir/dev-broker';
import { Kafka, logLevel } from 'kafkajs';
import { table, type Verdict, verdict } from '../rounds.ts';
import { ChildWorker } from './child-worker.ts';

export interface Sample {
  readonly seconds: number;
  readonly residentMb: number;
  readonly handled: number;
}

const PARTITIONS = 24;
const BYTES = 100;
const BATCH = 500;
/** Records produced and not yet handled: enough that the worker never waits for them. */
const AHEAD = 400_000;
const RETENTION_BYTES = 512 * 1024 * 1024;
const STEADY_AFTER_S = 180;

export interface SoakOptions {
  readonly minutes: number;
  readonly csv?: string | undefined;
  readonly svg?: string | undefined;
}

export async function soak(options: SoakOptions): Promise<{ verdicts: readonly Verdict[]; text: string }> {
  const samples = await readSoak(options.minutes * 60);
  if (options.csv) writeFileSync(options.csv, toCsv(samples));
  if (options.svg) writeFileSync(options.svg, toSvg(samples));
  const steady = samples.filter(({ seconds }) => seconds >= STEADY_AFTER_S);
  const slope = slopePerMinute(steady);
  const resident = steady.map(({ residentMb }) => residentMb);
  const last = samples.at(-1)!;
  const text = table([
    ['soak', 'records', 'records/s', 'RSS after minute 3: least, MB', 'most', 'slope, MB/min'],
    [
      `${options.minutes} min at full rate`,
      last.handled.toLocaleString('en-US'),
      Math.round(last.handled / last.seconds).toLocaleString('en-US'),
      Math.min(...resident).toFixed(1),
      Math.max(...resident).toFixed(1),
      slope.toFixed(3),
    ],
  ]);
  return { text, verdicts: [verdict('soak: slope of RSS after minute 3, MB/min', slope, { under: 0.5 })] };
}

async function readSoak(seconds: number): Promise<Sample[]> {
  const broker = await startBroker({ retentionBytes: RETENTION_BYTES });
  const kafka = new Kafka({ brokers: [...broker.brokers], logLevel: logLevel.NOTHING });
  const prefix = 'soak';
  const topic = 'records';
  const admin = kafka.admin();
  await admin.connect();
  await admin.createTopics({ topics: [{ topic: `${prefix}.${topic}`, numPartitions: PARTITIONS }] });
  await admin.disconnect();
  const place = { brokers: broker.brokers, prefix, topic, partitions: PARTITIONS };
  const worker = await ChildWorker.start({ kind: 'no-op', ...place });
  const over = new AbortController();
  const producing = produce(kafka, `${prefix}.${topic}`, () => worker.calls, over.signal);
  try {
    while (worker.calls === 0) await Promise.race([wait(100), producing]);
    const begin = performance.now();
    const before = worker.calls;
    const samples: Sample[] = [];
    for (let tick = 1; tick <= seconds; tick++) {
      await Promise.race([wait(Math.max(0, begin + tick * 1_000 - performance.now())), producing]);
      const sinceS = (performance.now() - begin) / 1_000;
      samples.push({ seconds: sinceS, residentMb: worker.residentMb, handled: worker.calls - before });
    }
    return samples;
  } finally {
    over.abort();
    await producing.catch(() => undefined);
    await worker.kill();
    await broker.stop();
  }
}

/** Never more than `AHEAD` records ahead of the worker. Rejects when it cannot produce; ends when told. */
async function produce(kafka: Kafka, topic: string, handled: () => number, signal: AbortSignal): Promise<void> {
  const producer = kafka.producer({ allowAutoTopicCreation: false });
  await producer.connect();
  const value = Buffer.alloc(BYTES, 'x');
  const batches = Array.from({ length: PARTITIONS }, (_, partition) =>
    Array.from({ length: BATCH }, () => ({ value, partition })),
  );
  let sent = 0;
  for (let turn = 0; !signal.aborted; ) {
    if (sent - handled() > AHEAD) {
      await wait(5);
      continue;
    }
    const requests = Array.from({ length: 8 }, () =>
      producer.send({ topic, messages: batches[turn++ % PARTITIONS]!, acks: 1 }),
    );
    await Promise.all(requests);
    sent += requests.length * BATCH;
  }
  await producer.disconnect();
}

/** Of the least squares' line. */
export function slopePerMinute(samples: readonly Sample[]): number {
  const mean = (of: (sample: Sample) => number) => samples.reduce((sum, each) => sum + of(each), 0) / samples.length;
  const minutes = (sample: Sample) => sample.seconds / 60;
  const meanMinutes = mean(minutes);
  const meanMb = mean(({ residentMb }) => residentMb);
  const along = samples.reduce((sum, each) => sum + (minutes(each) - meanMinutes) * (each.residentMb - meanMb), 0);
  return along / samples.reduce((sum, each) => sum + (minutes(each) - meanMinutes) ** 2, 0);
}

/** A row for every tenth second. */
function toCsv(samples: readonly Sample[]): string {
  const rows = samples
    .filter((_, index) => index % 10 === 9)
    .map(({ seconds, residentMb, handled }) => `${Math.round(seconds)},${residentMb.toFixed(1)},${handled}`);
  return `${['seconds,rss_mb,handled', ...rows].join('\n')}\n`;
}

function toSvg(samples: readonly Sample[]): string {
  const width = 640;
  const height = 200;
  const end = samples.at(-1)!.seconds;
  const top = Math.ceil(Math.max(...samples.map(({ residentMb }) => residentMb)) / 50) * 50;
  const x = (seconds: number) => (40 + (seconds / end) * (width - 50)).toFixed(1);
  const y = (mb: number) => (height - 20 - (mb / top) * (height - 30)).toFixed(1);
  const points = samples.map(({ seconds, residentMb }) => `${x(seconds)},${y(residentMb)}`).join(' ');
  const lines = Array.from({ length: top / 50 + 1 }, (_, index) => index * 50).map(
    (mb) =>
      `<path d="M40 ${y(mb)}H${width - 10}" stroke="#ddd"/><text x="34" y="${y(mb)}" text-anchor="end" dy=".3em">${mb}</text>`,
  );
  const minutes = Array.from({ length: Math.floor(end / 60) + 1 }, (_, minute) => minute).map(
    (minute) => `<text x="${x(minute * 60)}" y="${height - 5}" text-anchor="middle">${minute}</text>`,
  );
  return [
    `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 ${width} ${height}" font-family="sans-serif" font-size="10">`,
    `<title>RSS in MB over minutes of full rate</title><rect width="${width}" height="${height}" fill="#fff"/>`,
    ...lines,
    ...minutes,
    `<path d="M${x(STEADY_AFTER_S)} 10V${height - 20}" stroke="#999" stroke-dasharray="3"/>`,
    `<polyline points="${points}" fill="none" stroke="#06c"/>`,
    '</svg>\n',
  ].join('\n');
}
