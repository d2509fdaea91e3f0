/**
 * `resolve(worker, env)`: the only place where the environment overrides a declaration. Pure: reads no file, no
 * process.env; run, manifests, scaler and CLI all use it. settings.ts has the variables, this file the rules between
 * them. Every problem is found before anything is thrown, so that a bad start is mended in one go.
 */
import { formatDuration, type LogLevel, parseDuration } from '@weir/core';
import { type ZodObject, z } from 'zod';
import type { Order, Topic, Worker } from './define.ts';
import { type Environment, Reading } from './reading.ts';
import {
  type KafkaVariables,
  kafkaSettings,
  PROFILES,
  type ProfileName,
  processSettings,
  type WorkerVariables,
  workerSettings,
} from './settings.ts';

/** Kafka connection and client settings, checked. */
export interface KafkaSettings {
  readonly brokers: readonly string[];
  readonly clientId: string;
  /**
   * `true`: TLS with the system's roots; or PEM texts. Straight from `resolve` a text may still be a path, because
   * `resolve` reads no files: `withCertificates` (certificates.ts) turns paths into what they hold.
   */
  readonly ssl: boolean | { readonly ca?: string; readonly cert?: string; readonly key?: string };
  readonly sasl:
    | {
        readonly mechanism: 'plain' | 'scram-sha-256' | 'scram-sha-512';
        readonly username: string;
        readonly password: string;
      }
    | undefined;
  readonly sessionTimeoutMs: number;
  readonly heartbeatIntervalMs: number;
  readonly rebalanceTimeoutMs: number;
  readonly fetchMinBytes: number;
  readonly fetchMaxWaitMs: number;
}

/** When a dependency's circuit breaker opens and how long it stays so. */
export interface BreakerSettings {
  /** Calls within the window before it may open. */
  readonly minCalls: number;
  readonly windowMs: number;
  /** Share of failed calls at which it opens. */
  readonly failureShare: number;
  /** How long it stays open before one call is tried. */
  readonly coolDownMs: number;
}

export interface ResolvedTopic {
  /** Kafka's name. */
  readonly name: string;
  readonly topic: Topic;
}

/** A worker with the environment applied: all that a process, a manifest or a test needs to know. Times in ms. */
export interface Resolved {
  readonly worker: Worker;
  readonly name: string;
  readonly prefix: string;
  readonly group: string;
  readonly consumes: readonly ResolvedTopic[];
  /** By the name in the declaration's `produces`. */
  readonly produces: Readonly<Record<string, ResolvedTopic>>;
  readonly order: Order;
  readonly concurrency: { readonly start: number; readonly max: number; readonly fixed: boolean };
  readonly timeoutMs: number;
  /** Retry topics in rising order of delay; empty when failures are retried in place. */
  readonly retry: readonly { readonly topic: string; readonly delayMs: number }[];
  /** Retries in place: ordered workers. */
  readonly retryInPlace: boolean;
  readonly deadLetters: string;
  readonly batch: { readonly maxRecords: number; readonly maxBytes: number; readonly maxWaitMs: number } | undefined;
  readonly dependencies: Readonly<
    Record<string, { readonly keyed: boolean; readonly timeoutMs: number; readonly concurrency: number | undefined }>
  >;
  readonly breaker: BreakerSettings;
  readonly scaling: { readonly min: number; readonly max: number; readonly catchUpMs: number };
  readonly kafka: KafkaSettings;
  /** Bounds of what waits in memory: records per partition, bytes for the process. */
  readonly queue: { readonly recordsPerPartition: number; readonly bytes: number };
  /** Shares of the process's memory limit at which intake pauses and goes on; undefined: nobody looks. */
  readonly memory: { readonly pauseAt: number; readonly resumeAt: number } | undefined;
  readonly metricsPort: number;
  readonly drainTimeoutMs: number;
  /** Between two looks of the scaling view; between two commits of a partition; what a rebalance waits for handlers. */
  readonly scalingIntervalMs: number;
  readonly commitIntervalMs: number;
  readonly revokeWaitMs: number;
  readonly logLevel: LogLevel;
  readonly topologyPath: string | undefined;
  readonly epoch: number;
  /** `WEIR_PROFILE`, for manifests: it sizes the container. */
  readonly profile: ProfileName | undefined;
  /** The service's own settings (output of `worker.config`). */
  readonly config: unknown;
  /** For people: unknown WEIR_* and KAFKA_* names with the nearest known one, and the like. */
  readonly warnings: readonly string[];
}

/** What a process that is no worker (scaler, CLI) needs to know. */
export interface ResolvedProcess<C = unknown> {
  readonly prefix: string;
  readonly kafka: KafkaSettings;
  readonly metricsPort: number;
  readonly scalingIntervalMs: number;
  readonly logLevel: LogLevel;
  readonly topologyPath: string | undefined;
  readonly config: C;
  readonly warnings: readonly string[];
}

/**
 * A worker with the environment applied.
 * @throws ConfigError with every problem at once
 */
export function resolve(worker: Worker, env: Environment): Resolved {
  const read = new Reading(env);
  const kafka = kafkaOf(read, worker.name);
  const common = read.parse(processSettings);
  const own = read.parse(workerSettings);
  const concurrency = concurrencyOf(worker, own, read);
  const config = worker.config ? read.parseOwn(worker.config) : undefined;

  const prefix = common.WEIR_TOPIC_PREFIX;
  const physical = (declared: string): string => {
    const name = `${prefix}.${declared}`;
    if (name.length > 249)
      read.problem('WEIR_TOPIC_PREFIX', `makes the topic name ${name} longer than 249 characters, Kafka's limit`);
    return name;
  };
  const topicOf = (topic: Topic): ResolvedTopic => ({ name: physical(topic.name), topic });
  const consumes = worker.consumes.map(topicOf);
  const produces = Object.fromEntries(Object.entries(worker.produces).map(([name, topic]) => [name, topicOf(topic)]));
  const delays = own.RETRY_DELAYS ?? worker.retry.delays.map((delay) => formatDuration(parseDuration(delay)));
  const retry = worker.retry.inOrder
    ? []
    : delays.map((delay) => ({
        topic: physical(`${worker.retry.topics}.retry.${delay}`),
        delayMs: parseDuration(delay),
      }));
  if (worker.retry.inOrder && own.RETRY_DELAYS)
    read.warn(`RETRY_DELAYS has no effect: "${worker.name}" is ordered and retries in place`);

  const batch = worker.batch && {
    maxRecords: own.BATCH_SIZE ?? worker.batch.maxRecords,
    maxBytes: worker.batch.maxBytes,
    maxWaitMs: own.BATCH_TIMEOUT_SECONDS === undefined ? worker.batch.maxWaitMs : own.BATCH_TIMEOUT_SECONDS * 1_000,
  };
  if (!batch)
    for (const name of ['BATCH_SIZE', 'BATCH_TIMEOUT_SECONDS'] as const)
      if (own[name] !== undefined) read.warn(`${name} has no effect: "${worker.name}" is not a batch worker`);

  const profile = own.WEIR_PROFILE && PROFILES[own.WEIR_PROFILE];
  const revokeWaitMs = own.WEIR_REVOKE_WAIT_MS ?? Math.min(5_000, Math.floor(kafka.rebalanceTimeoutMs * 0.4));
  if (revokeWaitMs * 2 >= kafka.rebalanceTimeoutMs)
    read.problem(
      'WEIR_REVOKE_WAIT_MS',
      `must be under half of KAFKA_MAX_POLL_INTERVAL_MS (${kafka.rebalanceTimeoutMs}), or the group leaves without this member`,
    );
  const resolved: Resolved = {
    worker,
    name: worker.name,
    prefix,
    group: `${prefix}-${worker.name}`,
    consumes,
    produces,
    order: worker.order,
    concurrency,
    timeoutMs: worker.timeoutMs,
    retry,
    retryInPlace: worker.retry.inOrder,
    deadLetters: physical(`${worker.retry.topics}.dlq`),
    batch,
    dependencies: Object.fromEntries(
      Object.entries(worker.dependencies).map(([name, spec]) => [
        name,
        {
          keyed: spec.keyed ?? false,
          timeoutMs: parseDuration(spec.timeout ?? '30s'),
          concurrency: spec.concurrency,
        },
      ]),
    ),
    breaker: {
      minCalls: own.WEIR_BREAKER_MIN_CALLS,
      windowMs: 10_000,
      failureShare: 0.5,
      coolDownMs: own.WEIR_BREAKER_COOL_DOWN_MS,
    },
    scaling: scalingOf(worker, own, read),
    kafka,
    queue: {
      // A partition must be able to hold the batch it is gathered for.
      recordsPerPartition: Math.max(own.KAFKA_MAX_POLL_RECORDS, batch?.maxRecords ?? 0),
      bytes: own.WEIR_QUEUE_BYTES ?? profile?.queueBytes ?? 64 * 1024 * 1024,
    },
    memory:
      own.WEIR_MEMORY_PAUSE_PERCENT === 0
        ? undefined
        : { pauseAt: own.WEIR_MEMORY_PAUSE_PERCENT / 100, resumeAt: (own.WEIR_MEMORY_PAUSE_PERCENT - 15) / 100 },
    metricsPort: common.METRICS_PORT,
    drainTimeoutMs: own.DRAIN_TIMEOUT_MS,
    scalingIntervalMs: common.WEIR_SCALING_INTERVAL_MS,
    commitIntervalMs: own.WEIR_SIGNAL_INTERVAL_MS,
    revokeWaitMs,
    logLevel: common.LOG_LEVEL,
    topologyPath: common.WEIR_TOPOLOGY,
    epoch: own.WEIR_EPOCH,
    profile: own.WEIR_PROFILE,
    config,
    warnings: read.warnings([
      ...names(kafkaSettings, processSettings, workerSettings, worker.config),
      ...Object.values(worker.env),
    ]),
  };
  read.throwProblems();
  return resolved;
}

/**
 * The part for processes that are no workers: connection, prefix, topology, port, log level.
 * @param options.name    client id, unless KAFKA_CLIENT_ID is set; `weir` unless told
 * @param options.config  the process's own settings, checked in the same go
 * @throws ConfigError with every problem at once
 */
export function resolveKafka<S extends ZodObject = ZodObject>(
  env: Environment,
  options: { name?: string; config?: S } = {},
): ResolvedProcess<z.output<S>> {
  const read = new Reading(env);
  const kafka = kafkaOf(read, options.name ?? 'weir');
  const common = read.parse(processSettings);
  const config = options.config ? read.parseOwn(options.config) : undefined;
  read.throwProblems();
  return {
    prefix: common.WEIR_TOPIC_PREFIX,
    kafka,
    metricsPort: common.METRICS_PORT,
    scalingIntervalMs: common.WEIR_SCALING_INTERVAL_MS,
    logLevel: common.LOG_LEVEL,
    topologyPath: common.WEIR_TOPOLOGY,
    config: config as z.output<S>,
    // Settings of workers are known here too: one ConfigMap is often shared by all processes of a deployment.
    warnings: read.warnings(names(kafkaSettings, processSettings, workerSettings, options.config)),
  };
}

// ---- rules ----------------------------------------------------------------------------------------------------------

function kafkaOf(read: Reading, clientId: string): KafkaSettings {
  const given = read.parse(kafkaSettings);
  const session = given.KAFKA_SESSION_TIMEOUT_MS;
  if (given.KAFKA_HEARTBEAT_INTERVAL_MS * 3 >= session)
    read.problem('KAFKA_HEARTBEAT_INTERVAL_MS', `must be under a third of KAFKA_SESSION_TIMEOUT_MS (${session})`);
  if (session >= given.KAFKA_MAX_POLL_INTERVAL_MS)
    read.problem(
      'KAFKA_SESSION_TIMEOUT_MS',
      `must be under KAFKA_MAX_POLL_INTERVAL_MS (${given.KAFKA_MAX_POLL_INTERVAL_MS})`,
    );
  return {
    brokers: given.KAFKA_BROKERS,
    clientId: given.KAFKA_CLIENT_ID ?? clientId,
    ssl: sslOf(given, read),
    sasl: saslOf(given, read),
    sessionTimeoutMs: session,
    heartbeatIntervalMs: given.KAFKA_HEARTBEAT_INTERVAL_MS,
    rebalanceTimeoutMs: given.KAFKA_MAX_POLL_INTERVAL_MS,
    fetchMinBytes: given.KAFKA_FETCH_MIN_BYTES,
    fetchMaxWaitMs: given.KAFKA_FETCH_MAX_WAIT_MS,
  };
}

function sslOf(given: KafkaVariables, read: Reading): KafkaSettings['ssl'] {
  const { KAFKA_SECURITY_PROTOCOL: protocol, KAFKA_SSL_CA: ca, KAFKA_SSL_CERT: cert, KAFKA_SSL_KEY: key } = given;
  if (!protocol.endsWith('SSL')) {
    for (const name of ['KAFKA_SSL_CA', 'KAFKA_SSL_CERT', 'KAFKA_SSL_KEY'] as const)
      if (given[name] !== undefined)
        read.problem(name, `would not be used: KAFKA_SECURITY_PROTOCOL is ${protocol}; set it to SSL or SASL_SSL`);
    return false;
  }
  if (cert !== undefined && key === undefined) read.problem('KAFKA_SSL_KEY', 'is required with KAFKA_SSL_CERT');
  if (key !== undefined && cert === undefined) read.problem('KAFKA_SSL_CERT', 'is required with KAFKA_SSL_KEY');
  if (ca === undefined && cert === undefined && key === undefined) return true;
  return {
    ...(ca === undefined ? {} : { ca }),
    ...(cert === undefined ? {} : { cert }),
    ...(key === undefined ? {} : { key }),
  };
}

function saslOf(given: KafkaVariables, read: Reading): KafkaSettings['sasl'] {
  const protocol = given.KAFKA_SECURITY_PROTOCOL;
  if (!protocol.startsWith('SASL')) {
    for (const name of ['KAFKA_SASL_MECHANISM', 'KAFKA_SASL_USERNAME', 'KAFKA_SASL_PASSWORD'] as const)
      if (given[name] !== undefined)
        read.problem(
          name,
          `would not be used: KAFKA_SECURITY_PROTOCOL is ${protocol}; set it to SASL_SSL or SASL_PLAINTEXT`,
        );
    return undefined;
  }
  const { KAFKA_SASL_USERNAME: username, KAFKA_SASL_PASSWORD: password } = given;
  const mechanism = given.KAFKA_SASL_MECHANISM ?? 'plain';
  if (username === undefined) read.problem('KAFKA_SASL_USERNAME', `is required with ${protocol}`);
  if (password === undefined) read.problem('KAFKA_SASL_PASSWORD', `is required with ${protocol}`);
  if (username === undefined || password === undefined) return undefined;
  if (protocol === 'SASL_PLAINTEXT' && mechanism === 'plain')
    read.warn('KAFKA_SASL_PASSWORD travels in clear text: use SASL_SSL, or a scram-sha mechanism');
  return { mechanism, username, password };
}

/**
 * Where the tuner starts and ends. The variable that the declaration names (`env.concurrency`) comes first, then the
 * general one, then the profile, then the declaration.
 */
function concurrencyOf(worker: Worker, own: WorkerVariables, read: Reading): Resolved['concurrency'] {
  const named = (alias: string | undefined, general: 'WEIR_CONCURRENCY' | 'WEIR_CONCURRENCY_MAX') => {
    if (alias !== undefined && read.given(alias) !== undefined) {
      if (read.given(general) !== undefined) read.warn(`${general} has no effect beside ${alias}`);
      return { variable: alias, value: read.parse(z.object({ [alias]: workerSettings.shape[general] }))[alias] };
    }
    return { variable: general, value: own[general] };
  };
  const start = named(worker.env.concurrency, 'WEIR_CONCURRENCY');
  const max = named(worker.env.concurrencyMax, 'WEIR_CONCURRENCY_MAX');
  if (worker.concurrency.fixed) {
    if (max.value !== undefined)
      read.warn(`${max.variable} has no effect: the concurrency of "${worker.name}" is fixed`);
    const fixed = start.value ?? worker.concurrency.start;
    return { start: fixed, max: fixed, fixed: true };
  }
  const preset = own.WEIR_PROFILE ? PROFILES[own.WEIR_PROFILE].concurrency : worker.concurrency;
  const ceiling = max.value ?? preset.max;
  if (start.value !== undefined && start.value > ceiling)
    read.problem(start.variable, `is above the ceiling of ${ceiling}; raise ${max.variable} as well`);
  // Only the ceiling was lowered: the start, which nobody asked for, goes down with it.
  return { start: Math.min(start.value ?? preset.start, ceiling), max: ceiling, fixed: false };
}

function scalingOf(worker: Worker, own: WorkerVariables, read: Reading): Resolved['scaling'] {
  const partitions = worker.consumes.reduce((sum, topic) => sum + topic.partitions, 0);
  const wanted = own.WEIR_SCALING_MAX ?? worker.scaling.max ?? partitions;
  if (wanted > partitions)
    read.warn(
      `${own.WEIR_SCALING_MAX === undefined ? 'scaling.max' : 'WEIR_SCALING_MAX'} ${wanted} is above the ${partitions} partitions that "${worker.name}" consumes: ${partitions} is used, more would sit idle`,
    );
  const max = Math.min(wanted, partitions);
  const min = own.WEIR_SCALING_MIN ?? worker.scaling.min;
  if (min > max) {
    if (own.WEIR_SCALING_MIN !== undefined)
      read.problem('WEIR_SCALING_MIN', `is above the most that may run, ${max} (of ${partitions} partitions)`);
    else if (own.WEIR_SCALING_MAX !== undefined)
      read.problem('WEIR_SCALING_MAX', `is below scaling.min of the declaration, ${min}; set WEIR_SCALING_MIN as well`);
    else read.warn(`scaling.min ${min} is above the most that may run: ${max} is used`);
  }
  return { min: Math.min(min, max), max, catchUpMs: own.WEIR_CATCH_UP ?? worker.scaling.catchUpMs };
}

function names(...schemas: readonly (ZodObject | undefined)[]): string[] {
  return schemas.flatMap((schema) => (schema ? Object.keys(schema.shape) : []));
}
