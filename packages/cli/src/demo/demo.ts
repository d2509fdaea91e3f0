/**
 * `weir demo`: the whole pipeline on one machine, watched, scaled, hurt if asked for, and verified.
 *
 *   starting     Kafka, topics, file servers; one process of each service, until all are ready
 *   publishing   the source sends its events; workers come and go
 *   working      everything is sent, not everything is done
 *   settling     all is done; replicas go back to what an idle pipeline needs
 *   stopping     every process drains and ends
 *   verifying    tables, blobs and dead letters against the ledger
 *
 * Whatever goes wrong, on Ctrl-C too, every process is ended and the terminal given back.
 */
import { mkdir, rm, writeFile } from 'node:fs/promises';
import { join, resolve as resolvePath } from 'node:path';
import { type Clock, describeError, type Logger, type Random, seededRandom } from '@weir/core';
import { type Admin, deriveTopics, type KafkaPort, resolveKafka } from '@weir/sdk';
import { kafkajsPort } from '@weir/sdk/runtime';
import { DemoFailedError } from '../errors.ts';
import { type Pipeline, resolvePipeline } from '../pipeline.ts';
import { SERVICE_NAMES, type ServiceName, startArguments } from '../services.ts';
import { FolderFiles, LARGEST_FILE_BYTES, MadeFiles } from '../source/files.ts';
import { writeLedger } from '../source/ledger.ts';
import { planSource, type SourcePlan } from '../source/plan.ts';
import { type Publication, publish } from '../source/publish.ts';
import { durationMs } from '../source/schedule.ts';
import { FileServers } from '../source/server.ts';
import { hpaAutoscaler } from './autoscaler.ts';
import { attachmentRows, eventIds, hashBlob, listedDeadLetters, readDeadLetters } from './evidence.ts';
import { Killer } from './killer.ts';
import { Monitor } from './monitor.ts';
import { openParts, type Parts } from './parts.ts';
import { httpProbe } from './probe.ts';
import { startProcess } from './process.ts';
import { closingWords, makeReport, type ReplicaChange, type Report } from './report.ts';
import {
  demoSettings,
  environmentOf,
  FILE_HOSTS,
  FILE_LATENCY_MS,
  MOST_REPLICAS,
  SPEED_UP,
  TICK_MS,
} from './settings.ts';
import type { Stage } from './stage.ts';
import { Supervisor } from './supervisor.ts';
import { type Verdict, verify } from './verify.ts';
import { bytes } from './view.ts';

export interface DemoOptions {
  readonly events: number;
  /** Events a second in the mean; undefined picks one for the number of events. */
  readonly rate: number | undefined;
  /** A folder of real files; made ones without. */
  readonly files: string | undefined;
  readonly out: string;
  readonly report: string | undefined;
  readonly faults: boolean;
  readonly kills: number;
  readonly seed: number;
  /** Real Kafka, host:port by commas; undefined starts the dev broker. */
  readonly brokers: string | undefined;
  /** How long without any progress counts as stuck, ms. */
  readonly patienceMs: number;
}

export interface DemoContext {
  readonly env: Readonly<Record<string, string | undefined>>;
  readonly clock: Clock;
  readonly random: Random;
  readonly log: Logger;
  readonly stage: Stage;
  /** Ctrl-C. */
  readonly signal: AbortSignal;
}

/** Size limit of a made run: an oversized file then costs 4 MB, not 50. */
const MADE_LIMIT_BYTES = 4 * 1024 * 1024;
/** Publishing takes about this long unless a rate is given… */
const PUBLISH_SECONDS = 40;
/** …but the rate stays where one machine can follow. */
const HIGHEST_RATE = 40;
/** A handful of events is over sooner. */
const LOWEST_RATE = 5;
const SETTLE_MS = 15_000;
const DRAIN_MS = 14_000;
const START_MS = 60_000;

export async function runDemo(options: DemoOptions, context: DemoContext): Promise<Report> {
  const run = new DemoRun(options, context);
  try {
    return await run.play();
  } finally {
    await run.close();
  }
}

class DemoRun {
  readonly #options: DemoOptions;
  readonly #context: DemoContext;
  readonly #out: string;
  readonly #run: string;
  readonly #startedAt: number;
  readonly #replicas: ReplicaChange[] = [];
  readonly #published: Publication = { sent: 0 };
  #parts: Parts | undefined;
  #servers: FileServers | undefined;
  #kafka: KafkaPort | undefined;
  #admin: Admin | undefined;
  #supervisor: Supervisor | undefined;
  #monitor: Monitor | undefined;
  #plan: SourcePlan | undefined;
  #killer: Killer | undefined;

  constructor(options: DemoOptions, context: DemoContext) {
    this.#options = options;
    this.#context = context;
    this.#out = resolvePath(options.out);
    this.#startedAt = context.clock.monotonic();
    this.#run = `demo-${context.clock.now().toString(36)}${context.random.below(36 ** 2).toString(36)}`;
  }

  async play(): Promise<Report> {
    const { clock } = this.#context;
    let failure: string | undefined;
    let verdict: Verdict | undefined;
    try {
      const pipeline = await this.#prepare();
      this.#killer = new Killer({
        kills: this.#options.kills,
        kill: () => this.#supervisor!.killOne(),
        said: (text) => this.#monitor!.say(text),
      });
      await this.#work(pipeline, this.#killer);
      this.#monitor!.phase = 'stopping';
      await this.#supervisor!.stop();
      this.#monitor!.phase = 'verifying';
      verdict = await this.#verify(pipeline);
    } catch (error) {
      failure = this.#context.signal.aborted ? 'stopped before its end' : describeError(error);
    }
    const report = makeReport({
      seed: this.#options.seed,
      seconds: (clock.monotonic() - this.#startedAt) / 1000,
      retried: this.#monitor?.state().retried ?? 0,
      kills: this.#killer?.done ?? 0,
      replicas: this.#replicas,
      totals: this.#plan?.totals ?? { events: this.#options.events, attachments: 0, bytes: 0, poison: 0, faults: 0 },
      failure,
      verdict,
    });
    await this.close();
    if (this.#options.report !== undefined) {
      await writeFile(this.#options.report, `${JSON.stringify(report, null, 2)}\n`);
    }
    const words = closingWords(report, {
      out: this.#out,
      tables: this.#parts?.tablesFolder ?? this.#parts?.tablesUrl ?? join(this.#out, 'tables'),
      tablesFolder: this.#parts?.tablesFolder,
      ledger: join(this.#out, 'source.ndjson'),
    });
    this.#context.stage.close(words);
    return report;
  }

  /** Ends everything that runs. Safe early and twice. */
  async close(): Promise<void> {
    await this.#monitor?.stop();
    if (this.#context.signal.aborted) this.#supervisor?.abandon();
    await this.#supervisor?.stop();
    await this.#servers?.stop();
    await this.#admin?.stop().catch(() => undefined);
    await this.#parts?.stop();
    await rm(join(this.#out, 'compile-cache'), { recursive: true, force: true });
    this.#context.stage.close([]);
  }

  async #prepare(): Promise<Pipeline> {
    const { env, clock, log, stage, signal } = this.#context;
    const { seed, events, faults } = this.#options;
    await mkdir(join(this.#out, 'logs'), { recursive: true });
    const parts = await openParts({ out: this.#out, run: this.#run, brokers: this.#options.brokers, env, clock, log });
    this.#parts = parts;

    const files =
      this.#options.files === undefined ? new MadeFiles(seed) : await FolderFiles.open(this.#options.files, seed);
    const sizeLimitBytes = this.#options.files === undefined ? MADE_LIMIT_BYTES : LARGEST_FILE_BYTES;
    const servers = new FileServers({ clock, hosts: FILE_HOSTS, sizeLimitBytes });
    this.#servers = servers;
    await servers.start();

    const topologyPath = join(this.#out, 'topology.json');
    const settings = demoSettings({
      prefix: this.#run,
      brokers: parts.brokers,
      storeUrl: parts.storeUrl,
      tablesUrl: parts.tablesUrl,
      topologyPath,
      sizeLimitBytes,
      fileHosts: [...new Set(servers.bases.map((base) => new URL(base).hostname))],
    });
    const envOf = (service: string) =>
      environmentOf(service as ServiceName, settings, env, join(this.#out, 'compile-cache'));
    const pipeline = resolvePipeline(envOf);
    await writeFile(topologyPath, `${JSON.stringify(pipeline.topology, null, 2)}\n`);

    stage.say(`weir demo ${this.#run}: Kafka is ${parts.kafka}, output goes to ${this.#out}`);
    if (files instanceof FolderFiles) stage.say(`${files.count} files of ${this.#options.files} are served`);
    stage.say('Settings of the services that differ from production:');
    for (const { name, value, why } of settings) stage.say(`  ${name.padEnd(28)} ${value.padEnd(22)} ${why}`);

    this.#plan = await planSource({
      events,
      seed,
      faults,
      files,
      hosts: FILE_HOSTS,
      startAt: clock.now(),
      latencyMs: FILE_LATENCY_MS,
      serve: (host, attachment) => servers.add(host, attachment),
    });
    const { attachments, bytes: planned, poison, faults: faulty } = this.#plan.totals;
    stage.say(
      `Planned: ${events} events, ${attachments} attachments (${bytes(planned)}), ${faulty} faulty URLs, ${poison} poison records`,
    );
    await writeLedger(join(this.#out, 'source.ndjson'), this.#plan.ledger);
    signal.throwIfAborted();

    const kafkaEnv = { ...envOf('event-ingester'), KAFKA_CLIENT_ID: 'weir-demo' };
    this.#kafka = kafkajsPort({ settings: resolveKafka(kafkaEnv).kafka, log, clock });
    const admin = this.#kafka.admin();
    this.#admin = admin;
    await admin.start();
    await admin.createTopics(deriveTopics(pipeline.resolved));

    this.#supervise(pipeline, envOf);
    this.#monitor = new Monitor({
      run: this.#run,
      topology: pipeline.topology,
      admin,
      supervisor: this.#supervisor!,
      published: this.#published,
      totals: { records: this.#plan.records.length, attachments: this.#plan.totals.attachments, bytes: servers.totals },
      publishMs: durationMs(this.#plan.records.length, this.#rate()),
      clock,
      log,
      stage,
    });
    return pipeline;
  }

  #supervise(pipeline: Pipeline, envOf: (service: string) => Record<string, string>): void {
    const { clock, random } = this.#context;
    const supervisor = new Supervisor({
      clock,
      random: this.#options.kills > 0 ? seededRandom(this.#options.seed) : random,
      probe: httpProbe,
      tickMs: TICK_MS,
      drainMs: DRAIN_MS,
      workers: SERVICE_NAMES.map((name) => {
        const resolved = pipeline.resolved.find((each) => each.name === name);
        const bounds = resolved?.scaling ?? { min: 1, max: 1 };
        const max = Math.min(bounds.max, MOST_REPLICAS[name]);
        return {
          name,
          min: bounds.min,
          max,
          autoscaler: resolved ? hpaAutoscaler({ min: bounds.min, max, speed: SPEED_UP }) : undefined,
          start: (number: number) =>
            startProcess({
              args: startArguments(name),
              env: envOf(name),
              logPath: join(this.#out, 'logs', `${name}-${number}.log`),
            }),
        };
      }),
    });
    this.#supervisor = supervisor;
    supervisor.on('replicas:changed', ({ worker, wanted, running, reason }) => {
      const t = Math.round((clock.monotonic() - this.#startedAt) / 100) / 10;
      const last = this.#replicas.findLast((change) => change.worker === worker);
      if (last?.wanted === wanted && last.running === running && last.reason === reason) return;
      this.#replicas.push({ t, worker, wanted, running, reason });
      if (last && last.wanted !== wanted) this.#monitor?.say(`${worker}: ${last.wanted} -> ${wanted} (${reason})`);
    });
    supervisor.on('replica:died', ({ worker, number, how, killed }) => {
      if (!killed) this.#monitor?.say(`${worker} number ${number} died: ${how}`);
    });
  }

  #rate(): number {
    const records = this.#plan!.records.length;
    return this.#options.rate ?? Math.min(HIGHEST_RATE, Math.max(LOWEST_RATE, records / PUBLISH_SECONDS));
  }

  async #work(pipeline: Pipeline, killer: Killer): Promise<void> {
    const { clock, signal } = this.#context;
    const monitor = this.#monitor!;
    const supervisor = this.#supervisor!;
    supervisor.start();
    monitor.start();
    await monitor.until(() => supervisor.ready, {
      signal,
      patienceMs: START_MS,
      stuck: () => `not every service was ready within ${START_MS / 1000} s: ${notReady(supervisor)}`,
    });

    monitor.phase = 'publishing';
    const producer = this.#kafka!.producer();
    await producer.start();
    const over = new AbortController();
    const ending = AbortSignal.any([signal, over.signal]);
    const eventsTopic = pipeline.resolved[0]!.consumes[0]!.name;
    const publishing = publish({
      producer,
      topic: eventsTopic,
      records: this.#plan!.records,
      ratePerSecond: this.#rate(),
      clock,
      signal: ending,
      progress: this.#published,
    });
    publishing.catch(() => undefined);
    try {
      let sent = false;
      void publishing.then(
        () => {
          sent = true;
          monitor.phase = 'working';
        },
        () => undefined,
      );
      await Promise.race([
        publishing.then(() => new Promise<never>(() => undefined)),
        monitor.until(
          () => {
            // When all is done, rows or not, what was not killed yet has its turn.
            killer.consider(sent && monitor.finished ? 1 : monitor.share);
            return sent && killer.over && monitor.finished;
          },
          {
            signal: ending,
            patienceMs: this.#options.patienceMs,
            stuck: () => `nothing has moved for ${this.#options.patienceMs / 1000} s: ${monitor.describe()}`,
          },
        ),
      ]);
      monitor.phase = 'settling';
      // How fast replicas go is the HPA's business and is worth seeing, but nothing that could fail the run.
      await monitor
        .until(
          () =>
            supervisor.view().every(({ wanted, ready, draining }) => wanted <= ready && ready <= 1 && draining === 0),
          {
            signal,
            patienceMs: SETTLE_MS,
            movement: 'ignored',
            stuck: () => 'replicas did not go back in time',
          },
        )
        .catch((error: unknown) => {
          if (signal.aborted || supervisor.failure) throw error;
        });
    } finally {
      over.abort(new DemoFailedError('the run is over'));
      await producer.stop(AbortSignal.timeout(2_000)).catch(() => undefined);
    }
  }

  async #verify(pipeline: Pipeline) {
    const { clock } = this.#context;
    const { blobs, tables } = this.#parts!;
    const deadLetters = await readDeadLetters({
      kafka: this.#kafka!,
      admin: this.#admin!,
      topology: pipeline.topology,
      group: `${this.#run}-verify`,
      clock,
      timeoutMs: 30_000,
    });
    return verify({
      ledger: this.#plan!.ledger,
      eventIds: eventIds(tables),
      attachments: attachmentRows(tables),
      deadLetters,
      listed: listedDeadLetters(tables),
      hashBlob: (path) => hashBlob(blobs, path),
      eventsTopic: pipeline.resolved[0]!.consumes[0]!.name,
    });
  }
}

function notReady(supervisor: Supervisor): string {
  return supervisor
    .view()
    .filter(({ ready, wanted }) => ready < wanted)
    .map(({ name }) => name)
    .join(', ');
}
