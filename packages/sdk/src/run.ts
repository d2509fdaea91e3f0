/**
 * `runWorker(worker)`: the whole of a service's main.ts. Reads the environment, connects, serves /metrics, drains on
 * SIGTERM and SIGINT, and ends with an exit code that says how it went (`EXIT`).
 *
 * The HTTP server comes first, so that probes and people get an answer while Kafka is not there yet; then the topics are
 * looked for until all of them exist; then the worker joins its group.
 */
import {
  type Clock,
  createLogger,
  describeError,
  type Logger,
  type Random,
  systemClock,
  systemRandom,
  WeirError,
} from '@weir/core';
import { withCertificates } from './certificates.ts';
import { type KafkaSettings, type Resolved, resolve } from './config.ts';
import type { Worker } from './define.ts';
import {
  ConfigError,
  type ConfigProblem,
  ERRORS,
  PortTakenError,
  TopicMissingError,
  TopologyInvalidError,
} from './errors.ts';
import { processMemory } from './flow/process-memory.ts';
import { kafkajsPort } from './kafka/kafkajs.ts';
import type { Admin, KafkaPort } from './kafka/port.ts';
import { EXIT, type Runnable, StopRequests, untilStopped } from './lifecycle.ts';
import { createMetrics } from './metrics.ts';
import type { Environment } from './reading.ts';
import { ScalingView } from './scaling/view.ts';
import { type Health, type HttpServer, startHttp } from './serve/http.ts';
import { deriveTopics, readTopology, standInTopology, type Topology, topologyOf } from './topology.ts';
import { createWorker, type RunningWorker } from './worker.ts';
import { letYoungHeapGrow } from './young-heap.ts';

/** With so many records in hand at so many looks in a row a worker is busy, and its young heap may grow. */
const GROW_FROM_RECORDS = 100;
const GROW_CHECK_MS = 250;
const GROW_AFTER_CHECKS = 3;

/** A worker, or one that is made from the topology file (retry-scheduler, dlq-handler). */
export type Runs = Worker | ((topology: Topology) => Worker);

export interface RunOptions {
  /** `process.env` unless told. */
  readonly env?: Environment;
  /**
   * Ends the run when it aborts. With it the caller owns the process: no handlers for signals and crashes are
   * installed, nothing exits, and what goes wrong is thrown.
   */
  readonly signal?: AbortSignal;
  /** One to standard output, at LOG_LEVEL, unless told. */
  readonly log?: Logger;
  /** Kafka; kafkajs unless told. */
  readonly kafka?: (options: { settings: KafkaSettings; log: Logger; clock: Clock; random: Random }) => KafkaPort;
  readonly clock?: Clock;
  readonly random?: Random;
}

/** Runs until told to stop. Without `signal` the process ends with it (see `EXIT`). */
export async function runWorker(runs: Runs, options: RunOptions = {}): Promise<void> {
  const requests = new StopRequests();
  if (options.signal) {
    const { signal } = options;
    const stop = () => requests.request(describeError(signal.reason));
    if (signal.aborted) stop();
    else signal.addEventListener('abort', stop, { once: true });
    try {
      await run(runs, options, requests);
    } finally {
      signal.removeEventListener('abort', stop);
    }
    return;
  }
  const release = takeProcess(requests, options.log);
  try {
    process.exitCode = await run(runs, options, requests);
  } catch (error) {
    process.exitCode = reportFailure(error, options.log);
  } finally {
    release();
    // Everything is closed by now. Something that a handler left open must not keep the process: pods would hang until
    // they are killed. The timer does not keep it either.
    (options.clock ?? systemClock).after(2_000, () => process.exit());
  }
}

/** What is known before anything runs. */
interface Prepared {
  readonly resolved: Resolved;
  readonly topology: Topology;
  readonly settings: KafkaSettings;
}

function prepare(runs: Runs, env: Environment): Prepared {
  const path = env.WEIR_TOPOLOGY?.trim() || undefined;
  if (typeof runs === 'function' && path === undefined) throw withoutTopology(runs, env);
  const file = path === undefined ? undefined : readTopology(path);
  const resolved = resolve(typeof runs === 'function' ? runs(file!) : runs, env);
  if (file && file.prefix !== resolved.prefix)
    throw new ConfigError([
      {
        variable: 'WEIR_TOPOLOGY',
        given: path,
        message: `this topology has the prefix "${file.prefix}", but WEIR_TOPIC_PREFIX is "${resolved.prefix}"`,
      },
    ]);
  // About itself the worker knows better than a file that may be older.
  const own = topologyOf([resolved]);
  const others = file?.workers.filter((worker) => worker.name !== resolved.name) ?? [];
  return {
    resolved,
    topology: { ...own, workers: [...others, ...own.workers] },
    settings: withCertificates(resolved.kafka),
  };
}

/**
 * Everything that is wrong with the settings of a worker that is made from the topology, when there is none. Which settings
 * it has is known from the worker only, so it is made from a stand-in.
 */
function withoutTopology(runs: (topology: Topology) => Worker, env: Environment): ConfigError {
  const problems: ConfigProblem[] = [
    { variable: 'WEIR_TOPOLOGY', given: undefined, message: 'is required: the path of the topology file' },
  ];
  try {
    resolve(runs(standInTopology()), env);
  } catch (error) {
    // A worker that needs more than the stand-in has says so; with the file it will say what is wrong.
    if (error instanceof ConfigError) problems.push(...error.problems);
  }
  return new ConfigError(problems);
}

async function run(runs: Runs, options: RunOptions, requests: StopRequests): Promise<number> {
  const { resolved, topology, settings } = prepare(runs, options.env ?? process.env);
  const clock = options.clock ?? systemClock;
  const log =
    options.log ??
    createLogger({
      name: resolved.name,
      level: resolved.logLevel,
      fields: { group: resolved.group, pid: process.pid },
    });
  for (const warning of resolved.warnings) log.warn({}, warning);
  const hosted = new HostedWorker({ resolved, topology, settings, options, clock, log, giveUp: requests.first });
  try {
    return await untilStopped({ runnable: hosted, requests, drainTimeoutMs: resolved.drainTimeoutMs, clock, log });
  } finally {
    await hosted.close();
  }
}

/** The worker with what surrounds it in a process: HTTP, the check of the topics, the scaling view. */
class HostedWorker implements Runnable {
  readonly #resolved: Resolved;
  readonly #settings: KafkaSettings;
  readonly #clock: Clock;
  readonly #log: Logger;
  readonly #giveUp: AbortSignal;
  readonly #admin: Admin;
  readonly #worker: RunningWorker;
  readonly #view: ScalingView;
  readonly #metrics;
  #http: HttpServer | undefined;
  /** Until the worker runs: why it does not yet. Undefined: ask the worker. */
  #waitsFor: string | undefined = 'starting';
  #drained = false;

  constructor(parts: {
    resolved: Resolved;
    topology: Topology;
    settings: KafkaSettings;
    options: RunOptions;
    clock: Clock;
    log: Logger;
    giveUp: AbortSignal;
  }) {
    const { resolved, topology, settings, options, clock, log } = parts;
    this.#resolved = resolved;
    this.#settings = settings;
    this.#clock = clock;
    this.#log = log;
    this.#giveUp = parts.giveUp;
    const random = options.random ?? systemRandom;
    const kafka = (options.kafka ?? kafkajsPort)({ settings, log, clock, random });
    this.#admin = kafka.admin();
    this.#metrics = createMetrics({ resolved, clock });
    const memory = processMemory({ nodeOptions: (options.env ?? process.env).NODE_OPTIONS });
    this.#worker = createWorker({ resolved, kafka, metrics: this.#metrics, log, clock, random, topology, memory });
    this.#view = new ScalingView({
      admin: this.#admin,
      worker: topologyOf([resolved]).workers[0]!,
      clock,
      intervalMs: resolved.scalingIntervalMs,
      log,
    });
    this.#view.on('plan:made', ({ plan }) => this.#worker.planned(plan));
    this.#metrics.observe(() => {
      const answer = this.#view.answer();
      return { ...this.#worker.gauges(), scaling: answer.status === 200 ? answer.body : undefined };
    });
  }

  async start(): Promise<void> {
    const resolved = this.#resolved;
    this.#http = await startHttp({
      port: resolved.metricsPort,
      health: () => this.#health(),
      scaling: () => this.#view.answer(),
      metrics: () => this.#metrics.registry.metrics(),
      log: this.#log,
    });
    this.#log.info({ port: this.#http.port }, 'listening');
    // Told to stop meanwhile, the drain has come and gone: nothing may begin after it.
    if (this.#drained) return await this.#http.stop();
    await this.#untilTopicsExist();
    this.#waitsFor = undefined;
    if (this.#drained) return;
    await this.#worker.start();
    if (this.#drained) return;
    void this.#view.start();
    let busy = 0;
    const cancel = this.#clock.every(GROW_CHECK_MS, () => {
      const { inflight, queued } = this.#worker.gauges();
      busy = inflight + queued < GROW_FROM_RECORDS ? 0 : busy + 1;
      if (busy < GROW_AFTER_CHECKS) return;
      letYoungHeapGrow();
      cancel();
    });
    this.#giveUp.addEventListener('abort', cancel, { once: true });
    this.#log.info(
      {
        topics: resolved.consumes.map((topic) => topic.name),
        brokers: this.#settings.brokers,
        order: resolved.order,
        concurrency: `${resolved.concurrency.start}-${resolved.concurrency.max}`,
        queueBytes: resolved.queue.bytes,
        retries: resolved.retryInPlace ? 'in place' : resolved.retry.map((retry) => retry.topic),
        replicas: `${resolved.scaling.min}-${resolved.scaling.max}`,
      },
      'started',
    );
  }

  async drain(signal: AbortSignal): Promise<void> {
    this.#drained = true;
    this.#view.stop();
    const { clean, handedOver } = await this.#worker.drain(signal);
    if (!clean || handedOver > 0) this.#log.warn({ handedOver }, 'not everything in hand was finished');
  }

  /** Lets go of whatever is still open, however the run ended. */
  async close(): Promise<void> {
    this.#view.stop();
    // The start failed half-way: what it had opened is closed without waiting for work, of which there is none.
    if (!this.#drained)
      await this.#worker
        .drain(AbortSignal.abort(new Error('the start failed')))
        .catch((error) => this.#log.debug({ error }, 'the worker could not be closed'));
    await this.#admin.stop();
    await this.#http?.stop();
  }

  #health(): Health {
    const { live, ready, detail } =
      this.#waitsFor === undefined ? this.#worker.health() : { live: true, ready: false, detail: this.#waitsFor };
    return this.#drained ? { live, ready: false, detail: 'draining' } : { live, ready, detail };
  }

  /** Looks until every topic is there: one that is missing, like a broker that is not there, is for others to mend. */
  async #untilTopicsExist(): Promise<void> {
    const declared = deriveTopics(this.#resolved);
    let said: string | undefined;
    for (let pauseMs = 500; !this.#giveUp.aborted; pauseMs = Math.min(pauseMs * 1.5, 10_000)) {
      try {
        await this.#admin.start();
        const counts = await this.#admin.partitionCounts(declared.map((each) => each.topic));
        const missing = declared.filter((each) => !counts.has(each.topic));
        if (missing.length > 0)
          throw new TopicMissingError(
            missing.map((each) => `${each.topic} (${each.partitions} partitions)`),
            'create with `weir topics create`',
          );
        for (const { topic, partitions } of declared)
          if ((counts.get(topic) ?? partitions) < partitions)
            this.#log.warn(
              { topic, partitions: counts.get(topic), declared: partitions },
              'the topic has fewer partitions than its declaration says',
            );
        return;
      } catch (error) {
        this.#waitsFor = describeError(error);
        if (this.#waitsFor !== said) this.#log.warn({ error }, `not started yet: ${this.#waitsFor}`);
        said = this.#waitsFor;
        await this.#clock.sleep(pauseMs, this.#giveUp).catch(() => undefined);
      }
    }
    throw this.#giveUp.reason;
  }
}

/** Signals stop the run; a crash that nobody caught ends the process at once, because nothing is known to be sound. */
function takeProcess(requests: StopRequests, log: Logger | undefined): () => void {
  const onSignal = (signal: NodeJS.Signals) => {
    // The third time somebody insists.
    if (requests.second.aborted) process.exit(EXIT.cutShort);
    requests.request(signal);
  };
  const onCrash = (error: unknown) => {
    reportFailure(error, log);
    process.exit(EXIT.crash);
  };
  process.on('SIGTERM', onSignal).on('SIGINT', onSignal);
  process.on('uncaughtException', onCrash).on('unhandledRejection', onCrash);
  return () => {
    process.off('SIGTERM', onSignal).off('SIGINT', onSignal);
  };
}

/** Says what went wrong: what a person can mend in their words on standard error, anything else as a log line. */
function reportFailure(error: unknown, log: Logger | undefined): number {
  if (error instanceof ConfigError || error instanceof TopologyInvalidError || error instanceof PortTakenError) {
    const { fix } = ERRORS[error.code as keyof typeof ERRORS];
    process.stderr.write(`\n${error.message}\n\n${fix} (${error.code})\n`);
    return EXIT.configuration;
  }
  const logger = log ?? createLogger({ name: 'weir' });
  const fix = error instanceof WeirError ? (ERRORS as Record<string, { fix: string }>)[error.code]?.fix : undefined;
  logger.error({ error, ...(fix ? { fix } : {}) }, `the process ends: ${describeError(error)}`);
  return EXIT.crash;
}
