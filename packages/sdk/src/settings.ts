/**
 * Every variable that the SDK reads, as one zod schema whose keys are the names. Each says what it means, its unit, its
 * default and when to change it; `docs/configuration.md` is generated from this. A default written as "declaration" is
 * taken from `defineWorker`. What the values do to a worker is decided in config.ts.
 *
 * A variable that is set to nothing but blanks counts as not set: ConfigMaps and compose files are full of those.
 */
import { formatDuration, isDuration, parseDuration } from '@weir/core';
import { z } from 'zod';

/** A whole number from the text of a variable; one message says all that is allowed. */
function whole(least: number, most: number) {
  const error = `must be a whole number from ${least} to ${most}`;
  return z.coerce.number({ error }).int({ error }).min(least, { error }).max(most, { error });
}

function decimal(least: number, most: number) {
  const error = `must be a number from ${least} to ${most}`;
  return z.coerce.number({ error }).min(least, { error }).max(most, { error });
}

/** One of the words, in any case; comes out as written here. */
function oneOf<const T extends readonly string[]>(words: T) {
  return z
    .string()
    .transform((given) => words.find((word) => word.toLowerCase() === given.trim().toLowerCase()))
    .refine((word): word is T[number] => word !== undefined, { error: `must be one of ${words.join(', ')}` })
    .transform((word) => word as T[number])
    .meta({ allowed: words.join(', ') });
}

const duration = z
  .string()
  .refine((text) => isDuration(text) && parseDuration(text) > 0, { error: 'must be a duration such as 90s, 5m or 2h' })
  .transform((text) => parseDuration(text))
  .meta({ allowed: 'a duration (`90s`, `5m`, `2h`)' });

const BROKER = /^(?:\[[0-9a-f:.]+\]|[a-z0-9_](?:[a-z0-9._-]*[a-z0-9_])?):(\d{1,5})$/i;
const brokers = z
  .string()
  .transform((text) =>
    text
      .split(',')
      .map((part) => part.trim())
      .filter((part) => part !== ''),
  )
  .refine(
    (list) =>
      list.length > 0 && list.every((each) => Number(BROKER.exec(each)?.[1] ?? 0) >= 1 && portOf(each) <= 65_535),
    { error: 'must be a list of host:port, separated by commas' },
  )
  .meta({ allowed: 'host:port, separated by commas' });

function portOf(broker: string): number {
  return Number(BROKER.exec(broker)?.[1]);
}

const retryDelays = z
  .string()
  .refine(
    (text) => text.trim() === 'none' || partsOf(text).every((part) => isDuration(part) && parseDuration(part) > 0),
    {
      error: 'must be durations separated by commas, such as 5m,10m,20m,40m, or none',
      abort: true,
    },
  )
  .transform((text) => (text.trim() === 'none' ? [] : partsOf(text).map((part) => parseDuration(part))))
  .refine((delays) => delays.every((delay, at) => at === 0 || delay > delays[at - 1]!), {
    error: 'each delay must be longer than the one before it',
  })
  .transform((delays) => delays.map((delay) => formatDuration(delay)))
  .meta({ allowed: 'rising durations separated by commas, or `none`' });

function partsOf(list: string): string[] {
  return list.split(',').map((part) => part.trim());
}

const PEM = /^\s*-----BEGIN [A-Z0-9 ]+-----/;
const pem = z
  .string()
  .refine((text) => PEM.test(text) || /^(file:\/\/)?\/./.test(text), {
    error: 'must be PEM text (-----BEGIN …) or the absolute path of a PEM file',
  })
  .meta({ allowed: 'PEM text, or the absolute path of a PEM file' });

export const PROFILE_NAMES = ['tiny', 'small', 'medium', 'large'] as const;
export type ProfileName = (typeof PROFILE_NAMES)[number];

export interface Profile {
  readonly memoryMi: number;
  readonly cpuMilli: number;
  readonly concurrency: { readonly start: number; readonly max: number };
  readonly queueBytes: number;
}

/** Sizes of a container and what a worker may do in it. A variable of its own always wins over its profile. */
export const PROFILES: Readonly<Record<ProfileName, Profile>> = {
  tiny: { memoryMi: 256, cpuMilli: 250, concurrency: { start: 2, max: 5 }, queueBytes: 16 * 1024 * 1024 },
  small: { memoryMi: 512, cpuMilli: 500, concurrency: { start: 5, max: 15 }, queueBytes: 32 * 1024 * 1024 },
  medium: { memoryMi: 1024, cpuMilli: 1000, concurrency: { start: 10, max: 30 }, queueBytes: 64 * 1024 * 1024 },
  large: { memoryMi: 2048, cpuMilli: 2000, concurrency: { start: 20, max: 64 }, queueBytes: 128 * 1024 * 1024 },
};

/** Settings of the Kafka client: every process has these. */
export const kafkaSettings = z.object({
  KAFKA_BROKERS: brokers
    .default(['localhost:9092'])
    .meta({ default: '`localhost:9092`' })
    .describe('First brokers to ask. Set it everywhere but on a developer’s machine; two or three are enough.'),
  KAFKA_CLIENT_ID: z
    .string()
    .regex(/^[a-zA-Z0-9._-]{1,100}$/, { error: 'may have letters, digits, ".", "_" and "-", 100 at most' })
    .optional()
    .meta({ default: 'the worker’s name', allowed: 'letters, digits, `.`, `_`, `-`' })
    .describe('Name of this client in the broker’s logs and quotas. Change it when quotas are by client id.'),
  KAFKA_SECURITY_PROTOCOL: oneOf(['PLAINTEXT', 'SSL', 'SASL_PLAINTEXT', 'SASL_SSL'])
    .default('PLAINTEXT')
    .describe('How to speak to the brokers. Anything outside one machine deserves SASL_SSL or SSL.'),
  KAFKA_SASL_MECHANISM: oneOf(['plain', 'scram-sha-256', 'scram-sha-512'])
    .optional()
    .meta({ default: '`plain` when SASL is on' })
    .describe('How to log in, with SASL_PLAINTEXT and SASL_SSL.'),
  KAFKA_SASL_USERNAME: z.string().optional().describe('User to log in as, with SASL_PLAINTEXT and SASL_SSL.'),
  KAFKA_SASL_PASSWORD: z
    .string()
    .optional()
    .meta({ secret: true })
    .describe('Password of that user. Give it through a secret; it is never logged.'),
  KAFKA_SSL_CA: pem
    .optional()
    .meta({ default: 'the system’s roots' })
    .describe('Certificate authority of the brokers, with SSL and SASL_SSL. Set it for a private authority.'),
  KAFKA_SSL_CERT: pem.optional().describe('Certificate of this client, for mutual TLS; goes with KAFKA_SSL_KEY.'),
  KAFKA_SSL_KEY: pem
    .optional()
    .meta({ secret: true })
    .describe('Private key of this client, for mutual TLS; goes with KAFKA_SSL_CERT.'),
  KAFKA_SESSION_TIMEOUT_MS: whole(1_000, 1_800_000)
    .default(30_000)
    .describe(
      'ms without a heartbeat after which the group gives a member up. Lower finds dead workers sooner; below 6000 most brokers refuse.',
    ),
  KAFKA_HEARTBEAT_INTERVAL_MS: whole(100, 60_000)
    .default(500)
    .describe('ms between heartbeats; under a third of the session timeout. Higher notices a rebalance later.'),
  KAFKA_MAX_POLL_INTERVAL_MS: whole(1_000, 3_600_000)
    .default(60_000)
    .describe(
      'The rebalance timeout, ms: how long the group waits for a member to join again. Above the session timeout.',
    ),
  KAFKA_FETCH_MIN_BYTES: whole(1, 104_857_600)
    .default(1)
    .describe('Bytes a broker gathers before it answers a fetch. Raise to trade delay for fewer requests.'),
  KAFKA_FETCH_MAX_WAIT_MS: whole(10, 5_000)
    .default(500)
    .describe('ms a broker waits for those bytes. Above 500, pausing and resuming react late.'),
});

/** What every process of a deployment has, worker or not. */
export const processSettings = z.object({
  WEIR_TOPIC_PREFIX: z
    .string()
    .regex(/^[a-zA-Z0-9._-]{1,100}$/, { error: 'may have letters, digits, ".", "_" and "-", 100 at most' })
    .default('xact')
    .meta({ allowed: 'letters, digits, `.`, `_`, `-`' })
    .describe('Put before every topic and group name. One for each deployment that shares a cluster.'),
  WEIR_TOPOLOGY: z
    .string()
    .optional()
    .meta({ default: 'the worker alone' })
    .describe(
      'Path of the topology file. retry-scheduler, dlq-handler and scaler need it; a worker believes retry headers by it.',
    ),
  WEIR_SCALING_INTERVAL_MS: whole(100, 300_000)
    .default(10_000)
    .describe(
      'ms between two looks at the group for the scaling answer. Lower for quicker scaling, at two requests a look.',
    ),
  METRICS_PORT: whole(0, 65_535)
    .default(8_000)
    .describe(
      'Port of /metrics, /healthz, /readyz and /scaling; 0 picks a free one. Change it when several run on one host.',
    ),
  LOG_LEVEL: oneOf(['debug', 'info', 'warn', 'error', 'silent'])
    .default('info')
    .describe('Least severe lines that are written. debug while looking for a fault.'),
});

/** What a worker has besides. Optional ones fall back to the profile, then to the declaration. */
export const workerSettings = z.object({
  KAFKA_MAX_POLL_RECORDS: whole(100, 500)
    .default(500)
    .describe(
      'Records per partition that wait in memory. Lower when records are large; WEIR_QUEUE_BYTES bounds all together.',
    ),
  BATCH_SIZE: whole(100, 500)
    .optional()
    .meta({ default: 'declaration' })
    .describe('Records in a batch, for batch workers. Raise when a write costs much more than a record.'),
  BATCH_TIMEOUT_SECONDS: decimal(0.01, 3_600)
    .optional()
    .meta({ default: 'declaration' })
    .describe('Seconds a record waits for its batch to fill. Lower when rows must show up sooner.'),
  RETRY_DELAYS: retryDelays
    .optional()
    .meta({ default: 'declaration (5m,10m,20m,40m)' })
    .describe(
      'One retry topic for each delay. Changing it names other topics: create them, and drain the old ones first.',
    ),
  WEIR_PROFILE: oneOf(PROFILE_NAMES)
    .optional()
    .meta({ default: 'none' })
    .describe('Size of the container: sets concurrency and queue bytes together. A variable of its own wins over it.'),
  WEIR_CONCURRENCY: whole(1, 10_000)
    .optional()
    .meta({ default: 'profile, else declaration (10)' })
    .describe('Handler calls in flight at the start; tuned from there up to the ceiling. Lower when memory is short.'),
  WEIR_CONCURRENCY_MAX: whole(1, 10_000)
    .optional()
    .meta({ default: 'profile, else declaration (64)' })
    .describe('Ceiling of that tuning. Lower it to protect what the handler calls.'),
  WEIR_QUEUE_BYTES: whole(65_536, 17_179_869_184)
    .optional()
    .meta({ default: 'profile, else 67108864 (64 MiB)' })
    .describe(
      'Bytes of records that wait in memory, for the whole process; past it, partitions pause. Raise with the memory limit.',
    ),
  WEIR_MEMORY_PAUSE_PERCENT: whole(0, 99)
    .refine((percent) => percent === 0 || percent >= 40, { error: 'must be 0 or from 40 to 99' })
    .default(85)
    .meta({ allowed: '0, or 40 to 99' })
    .describe(
      'Percent of the memory limit (the heap’s or the container’s, the nearer) past which nothing is taken in; it goes on 15 lower. 0 turns it off. Lower when handlers allocate in bursts.',
    ),
  WEIR_SCALING_MIN: whole(0, 10_000)
    .optional()
    .meta({ default: 'declaration (1)' })
    .describe('Fewest replicas. 0 allows scale to zero, which only the scaler service can end.'),
  WEIR_SCALING_MAX: whole(1, 10_000)
    .optional()
    .meta({ default: 'partitions of the consumed topics' })
    .describe('Most replicas; never more than partitions. Lower it to cap the cost.'),
  WEIR_CATCH_UP: duration
    .optional()
    .meta({ default: 'declaration (5m)' })
    .describe(
      'How soon a backlog should be gone. Shorter means more replicas for a burst; less than nine rebalances counts as nine, with a warning.',
    ),
  WEIR_EPOCH: whole(0, 2_147_483_647)
    .default(0)
    .describe(
      'Counted up by hand after a topic was created anew or offsets were set back on purpose, so that tables accept it.',
    ),
  WEIR_SIGNAL_INTERVAL_MS: whole(50, 30_000)
    .default(1_000)
    .describe('ms between commits of a partition. Lower repeats less after a crash, at more requests.'),
  WEIR_REVOKE_WAIT_MS: whole(0, 600_000)
    .optional()
    .meta({ default: '5000, less when the rebalance timeout is short' })
    .describe(
      'ms a rebalance waits for handlers in flight; under half of KAFKA_MAX_POLL_INTERVAL_MS. Raise for slow handlers.',
    ),
  WEIR_BREAKER_COOL_DOWN_MS: whole(10, 3_600_000)
    .default(30_000)
    .describe('ms an open circuit breaker waits before it tries one call. Lower where outages are short.'),
  WEIR_BREAKER_MIN_CALLS: whole(1, 10_000)
    .default(10)
    .describe(
      'Calls within 10 s before a breaker may open: when half of them failed, or so many in a row. Raise for a dependency that is flaky, or loses many calls at once (one shared connection).',
    ),
  DRAIN_TIMEOUT_MS: whole(0, 3_600_000)
    .default(30_000)
    .describe('ms that SIGTERM gives handlers in flight before they are aborted. Below the pod’s grace period.'),
});

export type KafkaVariables = z.output<typeof kafkaSettings>;
export type ProcessVariables = z.output<typeof processSettings>;
export type WorkerVariables = z.output<typeof workerSettings>;
