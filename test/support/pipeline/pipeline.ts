/**
 * The pipeline on this machine as real processes: the services as they are shipped, one process each, a file server of
 * its own, a dev broker in a process of its own (or any Kafka), tables and blobs in a folder (or any S3). What is
 * published comes from the demo's plan, so the ledger says what must come of it, and `verify` compares.
 */
import { mkdir, mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as wait } from 'node:timers/promises';
import { fileURLToPath, pathToFileURL } from 'node:url';
import { type AttachmentRow, type LedgerEntry, type Pipeline, resolvePipeline, type Verdict, verify } from '@weir/cli';
import { storeAccess } from '@weir/contracts';
import { silentLogger, systemClock } from '@weir/core';
import { type Admin, deriveTopics, type KafkaPort, type Producer, resolveKafka } from '@weir/sdk';
import { kafkajsPort } from '@weir/sdk/runtime';
import { type ObjectStore, openStore } from '@weir/storage';
import {
  attachmentRows,
  eventIds,
  hashBlob,
  listedDeadLetters,
  readDeadLetters,
} from '../../../packages/cli/src/demo/evidence.ts';
import { httpProbe } from '../../../packages/cli/src/demo/probe.ts';
import { startProcess } from '../../../packages/cli/src/demo/process.ts';
import type { ManagedProcess } from '../../../packages/cli/src/demo/supervisor.ts';
import { type ServiceName, startArguments } from '../../../packages/cli/src/services.ts';
import type { PlannedRecord } from '../../../packages/cli/src/source/plan.ts';
import { publish } from '../../../packages/cli/src/source/publish.ts';
import { until as soon } from '../until.ts';
import { RowCounter } from './row-counter.ts';

const START_MS = 60_000;

export interface PipelineOptions {
  /** Given to every service beside what it needs to run here. */
  readonly env?: Readonly<Record<string, string>>;
  /** Given to one service only. */
  readonly envOf?: Readonly<Partial<Record<ServiceName, Readonly<Record<string, string>>>>>;
  /** A Kafka that is there already; a dev broker is started without. */
  readonly brokers?: readonly string[];
  /** A bucket, with its endpoint and credentials in `env`; a folder without. */
  readonly bucket?: string;
  /** For Node, before a service's main: `--cpu-prof`, say. */
  readonly nodeArguments?: (service: string) => readonly string[];
  /** Where logs, tables and blobs go; a temporary folder that `stop` removes, without. */
  readonly folder?: string;
}

export interface RunningService {
  readonly name: string;
  readonly process: ManagedProcess;
  log(): Promise<string>;
}

/** A file server of the run: a host of its own, with a breaker of its own. */
export interface FileHost {
  readonly url: string;
  readonly service: RunningService;
  /** From now on every file is answered with this status; 200 ends that. */
  control(status: number): Promise<void>;
  /** What was asked of it so far. */
  totals(): Promise<{ requests: number; refused: number; bytes: number; connections: number }>;
}

export class RunningPipeline {
  readonly folder: string;
  readonly brokers: readonly string[];
  readonly files: FileHost;
  readonly kafka: KafkaPort;
  readonly admin: Admin;
  readonly producer: Producer;
  readonly tables: ObjectStore;
  readonly blobs: ObjectStore;
  readonly events: RowCounter;
  readonly attachments: RowCounter;
  readonly pipeline: Pipeline;
  readonly prefix: string;
  readonly helpers: readonly RunningService[];
  readonly #envOf: (service: string) => Record<string, string>;
  readonly #options: PipelineOptions;
  readonly #services: RunningService[] = [];
  readonly #stops: (() => Promise<unknown>)[];
  #count = 0;

  /** Only `openPipeline` makes one. */
  constructor(parts: {
    folder: string;
    brokers: readonly string[];
    files: FileHost;
    kafka: KafkaPort;
    admin: Admin;
    producer: Producer;
    tables: ObjectStore;
    blobs: ObjectStore;
    pipeline: Pipeline;
    prefix: string;
    helpers: readonly RunningService[];
    envOf: (service: string) => Record<string, string>;
    options: PipelineOptions;
    stops: (() => Promise<unknown>)[];
  }) {
    this.folder = parts.folder;
    this.brokers = parts.brokers;
    this.files = parts.files;
    this.kafka = parts.kafka;
    this.admin = parts.admin;
    this.producer = parts.producer;
    this.tables = parts.tables;
    this.blobs = parts.blobs;
    this.pipeline = parts.pipeline;
    this.prefix = parts.prefix;
    this.helpers = parts.helpers;
    this.#envOf = parts.envOf;
    this.#options = parts.options;
    this.#stops = parts.stops;
    this.events = new RowCounter(parts.tables, 'xact_events');
    this.attachments = new RowCounter(parts.tables, 'xact_attachments');
  }

  get eventsTopic(): string {
    return this.pipeline.resolved[0]!.consumes[0]!.name;
  }

  get services(): readonly RunningService[] {
    return this.#services;
  }

  envOf(service: string): Record<string, string> {
    return this.#envOf(service);
  }

  /** Starts a process of the service; resolves when it says that it is ready. */
  async start(name: ServiceName): Promise<RunningService> {
    const service = this.launch(name);
    await this.ready(service);
    return service;
  }

  launch(name: ServiceName): RunningService {
    const service = serviceOf(name, {
      args: [...(this.#options.nodeArguments?.(name) ?? []), ...startArguments(name)],
      env: this.#envOf(name),
      logPath: join(this.folder, 'logs', `${name}-${++this.#count}.log`),
    });
    this.#services.push(service);
    return service;
  }

  async ready(service: RunningService): Promise<void> {
    await until(`${service.name} is ready`, START_MS, async () => {
      const { metricsPort } = service.process;
      await assertAlive(service);
      return metricsPort !== undefined && (await httpProbe.ready(metricsPort));
    });
  }

  /** Resolves when the broker has all of them; as fast as they are taken, unless there is a rate. */
  async publish(records: readonly PlannedRecord[], ratePerSecond = 0): Promise<void> {
    await publish({
      producer: this.producer,
      topic: this.eventsTopic,
      records,
      ratePerSecond,
      clock: systemClock,
      signal: new AbortController().signal,
      progress: { sent: 0 },
    });
  }

  /** One more host that files can be on. */
  async startFileHost(): Promise<FileHost> {
    const service = fileServer(join(this.folder, 'logs', `file-server-${++this.#count}.log`), []);
    this.#stops.push(() => ended(service));
    return fileHost(service);
  }

  /** Everything that is there, against the ledger. What an operator replayed has rows of its own, which it knows nothing of. */
  async verify(ledger: readonly LedgerEntry[]): Promise<Verdict> {
    return verify({
      ledger,
      eventIds: eventIds(this.tables),
      attachments: firstTries(this.attachmentRows()),
      deadLetters: await this.deadLetters(),
      listed: listedDeadLetters(this.tables),
      hashBlob: (path) => hashBlob(this.blobs, path),
      eventsTopic: this.eventsTopic,
    });
  }

  attachmentRows(): AsyncIterable<AttachmentRow> {
    return attachmentRows(this.tables);
  }

  deadLetters() {
    return readDeadLetters({
      kafka: this.kafka,
      admin: this.admin,
      topology: this.pipeline.topology,
      group: `${this.prefix}-verify-${++this.#count}`,
      clock: systemClock,
      timeoutMs: 30_000,
    });
  }

  async stop(): Promise<void> {
    for (const { process } of this.#services) process.terminate();
    const late = setTimeout(() => {
      for (const { process } of this.#services) process.kill();
    }, 15_000);
    await Promise.all(this.#services.map(({ process }) => process.exited));
    clearTimeout(late);
    for (const stop of this.#stops.reverse()) await stop().catch(() => undefined);
  }
}

export async function openPipeline(options: PipelineOptions = {}): Promise<RunningPipeline> {
  const stops: (() => Promise<unknown>)[] = [];
  try {
    return await open(options, stops);
  } catch (error) {
    for (const stop of stops.reverse()) await stop().catch(() => undefined);
    throw error;
  }
}

async function open(options: PipelineOptions, stops: (() => Promise<unknown>)[]): Promise<RunningPipeline> {
  const folder = options.folder ?? (await mkdtemp(join(tmpdir(), 'weir-pipeline-')));
  if (options.folder === undefined) stops.push(() => rm(folder, { recursive: true, force: true }));
  for (const part of ['logs', 'blobs', 'tables']) await mkdir(join(folder, part), { recursive: true });
  const prefix = `run${process.pid}x${Date.now().toString(36)}`;

  const server = fileServer(join(folder, 'logs', 'file-server.log'), options.nodeArguments?.('file-server') ?? []);
  stops.push(() => ended(server));
  const broker = options.brokers
    ? undefined
    : serviceOf('broker', {
        args: [...(options.nodeArguments?.('broker') ?? []), '--conditions=source', BROKER_MAIN],
        env: { PATH: process.env.PATH ?? '' },
        logPath: join(folder, 'logs', 'broker.log'),
      });
  let brokers = options.brokers ?? [];
  if (broker) {
    stops.push(() => ended(broker));
    await until('the broker listens', START_MS, async () => {
      await assertAlive(broker);
      brokers = (/"brokers":(\[[^\]]*\])/.exec(await broker.log()) ?? []).slice(1).flatMap((list) => JSON.parse(list));
      return brokers.length > 0;
    });
  }
  const files = await fileHost(server);

  const url = (part: string) =>
    options.bucket === undefined ? pathToFileURL(join(folder, part)).href : `s3://${options.bucket}/${part}`;
  const common: Record<string, string> = {
    PATH: process.env.PATH ?? '',
    KAFKA_BROKERS: brokers.join(','),
    WEIR_TOPIC_PREFIX: prefix,
    WEIR_TOPOLOGY: join(folder, 'topology.json'),
    STORE_URL: url('blobs'),
    TABLES_URL: url('tables'),
    METRICS_PORT: '0',
    ALLOW_HTTP: 'true',
    ALLOWED_PORTS: '*',
    ALLOW_PRIVATE_ADDRESSES: 'true',
    ALLOWED_ATTACHMENT_DOMAINS: '127.0.0.1,localhost',
    ...options.env,
  };
  const envOf = (service: string) => ({ ...common, ...options.envOf?.[service as ServiceName] });
  const pipeline = resolvePipeline(envOf);
  await writeFile(join(folder, 'topology.json'), JSON.stringify(pipeline.topology));

  const clock = systemClock;
  const log = silentLogger;
  // As the services open it: by the run's settings, not by what this process's environment happens to hold.
  const storeAt = (part: string) =>
    openStore(url(part), { ...storeAccess(url(part), common), env: common, clock, log, create: true });
  const tables = await storeAt('tables');
  const blobs = await storeAt('blobs');
  stops.push(
    () => tables.close(),
    () => blobs.close(),
  );
  const kafka = kafkajsPort({ settings: resolveKafka(common).kafka, log, clock });
  const admin = kafka.admin();
  stops.push(() => admin.stop());
  await admin.start();
  await admin.createTopics(deriveTopics(pipeline.resolved));
  const producer = kafka.producer();
  stops.push(() => producer.stop(AbortSignal.timeout(2_000)));
  await producer.start();
  return new RunningPipeline({
    ...{ folder, brokers, files, kafka, admin, producer, tables, blobs, pipeline, prefix, envOf, options, stops },
    helpers: broker ? [server, broker] : [server],
  });
}

const FILE_SERVER_MAIN = fileURLToPath(new URL('./file-server.ts', import.meta.url));
const BROKER_MAIN = fileURLToPath(new URL('../../../packages/dev-broker/src/main.ts', import.meta.url));

function fileServer(logPath: string, nodeArguments: readonly string[]): RunningService {
  const args = [...nodeArguments, '--conditions=source', FILE_SERVER_MAIN];
  return serviceOf('file-server', { args, env: { PATH: process.env.PATH ?? '' }, logPath });
}

async function fileHost(service: RunningService): Promise<FileHost> {
  await until('the file server listens', START_MS, async () => {
    await assertAlive(service);
    return service.process.metricsPort !== undefined;
  });
  const url = `http://127.0.0.1:${service.process.metricsPort}`;
  return {
    url,
    service,
    control: async (status) => void (await (await fetch(`${url}/control/${status}`)).text()),
    totals: async () => JSON.parse(await (await fetch(`${url}/totals`)).text()),
  };
}

async function ended({ process }: RunningService): Promise<void> {
  process.terminate();
  await process.exited;
}

async function* firstTries(rows: AsyncIterable<AttachmentRow>): AsyncGenerator<AttachmentRow> {
  for await (const row of rows) if (row.replays === 0) yield row;
}

function serviceOf(name: string, options: Parameters<typeof startProcess>[0]): RunningService {
  const process = startProcess(options);
  return { name, process, log: () => readFile(options.logPath, 'utf8').catch(() => '') };
}

async function assertAlive(service: RunningService): Promise<void> {
  const exit = await Promise.race([service.process.exited, wait(0, undefined)]);
  if (exit)
    throw new Error(`${service.name} ended (${exit.code ?? exit.signal}):\n${(await service.log()).slice(-3000)}`);
}

/** `until` at the pace of tables and processes. @throws Error when it is not so within the time */
export function until(what: string, withinMs: number, look: () => Promise<boolean> | boolean): Promise<void> {
  return soon(what, look, withinMs, 50);
}
