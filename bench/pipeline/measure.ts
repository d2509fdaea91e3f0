/**
 * One run: everything is started and ready before the clock starts, which is at the first event; it stops when the last
 * row is in its table. Processor time is that of the run alone: what starting took is another question.
 */
import { mkdir } from 'node:fs/promises';
import { loadavg } from 'node:os';
import { setTimeout as wait } from 'node:timers/promises';
import type { Verdict } from '@weir/cli';
import type { ObjectStore } from '@weir/storage';
import { startKafka } from '../../test/support/kafka.ts';
import { openPipeline, type RunningPipeline } from '../../test/support/pipeline/pipeline.ts';
import { planWork } from '../../test/support/pipeline/plan.ts';
import { type Usage, usageOf } from '../../test/support/pipeline/usage.ts';
import { startS3 } from '../../test/support/s3.ts';

export interface Measured {
  readonly on: string;
  readonly events: number;
  readonly attachments: number;
  readonly seconds: number;
  readonly firstRowSeconds: number;
  readonly eventsPerSecond: number;
  readonly downloadsPerSecond: number;
  readonly workerCpuMs: { readonly download: number; readonly sum: number };
  readonly processes: readonly { name: string; cpuSeconds: number; peakRssMb: number }[];
  readonly commits: { readonly events: number; readonly attachments: number };
  readonly load: number;
  /** Processor time of storing one file of 20 KB where the blobs are, before the run: the file system's own price. */
  readonly storingCpuUs: number;
  readonly verdict: Verdict;
}

/** The same work as PIPELINE section 8: no fault, so neither retries nor dead letters are there to be handled. */
const WORKERS = ['event-ingester', 'download-worker', 'result-processor'] as const;
const PATIENCE_MS = 180_000;

export async function measure(options: {
  events: number;
  kafka: boolean;
  s3: boolean;
  profile: string | undefined;
  env: Readonly<Record<string, string>>;
}): Promise<Measured> {
  const kafka = options.kafka ? await startKafka() : undefined;
  const s3 = options.s3 ? await startS3() : undefined;
  if (options.kafka && !kafka) throw new Error('there is no Kafka');
  if (options.s3 && !s3) throw new Error('there is no S3');
  const { profile } = options;
  if (profile !== undefined) await mkdir(profile, { recursive: true });
  const pipeline = await openPipeline({
    env: {
      // Five seconds at most would be a good part of the run's ten: the last, half-full batch waits for them.
      BATCH_TIMEOUT_SECONDS: '1',
      ...(s3
        ? {
            S3_ENDPOINT: s3.endpoint,
            AWS_ACCESS_KEY_ID: s3.credentials.accessKeyId,
            AWS_SECRET_ACCESS_KEY: s3.credentials.secretAccessKey,
          }
        : {}),
      ...options.env,
    },
    ...(kafka ? { brokers: kafka.brokers } : {}),
    ...(s3 ? { bucket: await s3.bucket() } : {}),
    ...(profile === undefined
      ? {}
      : {
          nodeArguments: (name: string) => [
            '--cpu-prof',
            `--cpu-prof-dir=${profile}`,
            `--cpu-prof-name=${name}.cpuprofile`,
          ],
        }),
  });
  try {
    const servers = [
      { name: 'Kafka', pid: kafka?.pid },
      { name: 'S3 server', pid: s3?.pid },
    ].filter(({ pid }) => pid !== undefined);
    const on = `${kafka ? 'Apache Kafka' : 'the dev broker'}, ${s3 ? 'S3' : 'a folder'}`;
    return await run(pipeline, { events: options.events, servers, on });
  } finally {
    await pipeline.stop();
    await s3?.stop();
    await kafka?.stop();
  }
}

interface RunOptions {
  readonly events: number;
  /** Measured beside the pipeline's own processes. */
  readonly servers: readonly { readonly name: string; readonly pid: number | undefined }[];
  readonly on: string;
}

async function run(pipeline: RunningPipeline, { events, servers, on }: RunOptions): Promise<Measured> {
  const storingCpuUs = await costOfStoring(pipeline.blobs);
  const plan = await planWork({ events, filesUrls: [pipeline.files.url] });
  await Promise.all(WORKERS.map((name) => pipeline.start(name)));
  await wait(1_000);

  const ours = [...pipeline.services, ...pipeline.helpers].map(({ name, process }) => ({ name, pid: process.pid }));
  const watched = [...ours, ...servers];
  const usages = () => watched.map(({ pid }) => usageOf(pid ?? 0));
  const before = usages();
  const own = process.cpuUsage();
  const since = performance.now();
  const elapsed = () => (performance.now() - since) / 1000;
  let firstRowSeconds = Number.NaN;
  const published = pipeline.publish(plan.records);
  for (;;) {
    await pipeline.events.look();
    if ((await pipeline.attachments.look()) > 0 && Number.isNaN(firstRowSeconds)) firstRowSeconds = elapsed();
    if (pipeline.events.rows >= events && pipeline.attachments.rows >= plan.totals.attachments) break;
    if (elapsed() * 1000 > PATIENCE_MS) break;
    await wait(100);
  }
  const seconds = elapsed();
  const after = usages();
  const { user, system } = process.cpuUsage(own);
  await published;

  const { attachments } = plan.totals;
  const processes = watched.map(({ name }, index) => ({
    name,
    cpuSeconds: (after[index]?.cpuSeconds ?? 0) - (before[index]?.cpuSeconds ?? 0),
    peakRssMb: (after[index] as Usage | undefined)?.peakRssMb ?? 0,
  }));
  processes.push({
    name: 'bench (publishes, watches)',
    cpuSeconds: (user + system) / 1e6,
    peakRssMb: process.resourceUsage().maxRSS / 1000,
  });
  const cpuMsOf = (names: readonly string[]) =>
    (1000 * processes.filter(({ name }) => names.includes(name)).reduce((sum, each) => sum + each.cpuSeconds, 0)) /
    attachments;
  return {
    on,
    events,
    attachments,
    seconds,
    firstRowSeconds,
    eventsPerSecond: events / seconds,
    downloadsPerSecond: attachments / seconds,
    workerCpuMs: { download: cpuMsOf(['download-worker']), sum: cpuMsOf(WORKERS) },
    processes,
    commits: { events: pipeline.events.commits, attachments: pipeline.attachments.commits },
    load: loadavg()[0]!,
    storingCpuUs,
    verdict: await pipeline.verify(plan.ledger),
  };
}

/**
 * A file system's mood is part of what is measured: on ext4 without a journal (many virtual machines' own disk) whoever
 * makes a file looks at every inode that was deleted in the last minutes, which after another run's clean-up takes several
 * times what all the rest of a download does. `TMPDIR=/dev/shm` is free of that.
 */
async function costOfStoring(store: ObjectStore): Promise<number> {
  const files = 200;
  const body = new Uint8Array(20 * 1024);
  const before = process.cpuUsage();
  for (let number = 0; number < files; number++) await store.put(`storing/${number}`, body);
  const { user, system } = process.cpuUsage(before);
  return (user + system) / files;
}
