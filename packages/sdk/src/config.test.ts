import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { z } from 'zod';
import { resolve, resolveKafka } from './config.ts';
import { bytes, defineWorker, topic } from './define.ts';
import { ConfigError } from './errors.ts';
import type { Environment } from './reading.ts';
import { PROFILES, workerSettings } from './settings.ts';

const pending = topic('downloads.pending', bytes, { partitions: 24 });
const results = topic('downloads.results', bytes, { partitions: 6 });

const downloader = defineWorker({
  name: 'download-worker',
  consumes: pending,
  produces: { results },
  retry: { topics: 'downloads' },
  dependencies: { hosts: { keyed: true, timeout: '60s' }, blobs: {} },
  scaling: { min: 4 },
  env: { concurrency: 'DOWNLOAD_CONCURRENCY', concurrencyMax: 'DOWNLOAD_CONCURRENCY_MAX' },
  config: z.object({
    STORE_URL: z.string().describe('Where files go.'),
    API_TOKEN: z.string().min(20).optional(),
    MAX_FILE_BYTES: z.coerce.number().int().min(1).default(1_073_741_824).describe('Largest file.'),
  }),
  handle: () => undefined,
});
const processor = defineWorker({
  name: 'result-processor',
  consumes: results,
  order: 'partition',
  batch: { maxRecords: 20, maxWait: '5s' },
  handleBatch: async () => undefined,
});
const store = { STORE_URL: 'file:///tmp/x' };

function problemsOf(worker: Parameters<typeof resolve>[0], env: Environment) {
  try {
    resolve(worker, env);
  } catch (error) {
    if (error instanceof ConfigError) return error.problems;
    throw error;
  }
  return [];
}

describe('resolve', () => {
  test('without an environment gives the declaration, with Kafka’s names', () => {
    const resolved = resolve(downloader, store);
    expect(resolved).toMatchObject({
      name: 'download-worker',
      group: 'xact-download-worker',
      prefix: 'xact',
      consumes: [{ name: 'xact.downloads.pending', topic: pending }],
      produces: { results: { name: 'xact.downloads.results' } },
      concurrency: { start: 10, max: 64, fixed: false },
      retryInPlace: false,
      deadLetters: 'xact.downloads.dlq',
      scaling: { min: 4, max: 24, catchUpMs: 300_000 },
      batch: undefined,
      dependencies: {
        hosts: { keyed: true, timeoutMs: 60_000, concurrency: undefined },
        blobs: { keyed: false, timeoutMs: 30_000 },
      },
      breaker: { minCalls: 10, windowMs: 10_000, failureShare: 0.5, coolDownMs: 30_000 },
      queue: { recordsPerPartition: 500, bytes: 67_108_864 },
      kafka: {
        brokers: ['localhost:9092'],
        clientId: 'download-worker',
        ssl: false,
        sasl: undefined,
        sessionTimeoutMs: 30_000,
        heartbeatIntervalMs: 500,
        rebalanceTimeoutMs: 60_000,
      },
      metricsPort: 8_000,
      drainTimeoutMs: 30_000,
      scalingIntervalMs: 10_000,
      commitIntervalMs: 1_000,
      revokeWaitMs: 5_000,
      logLevel: 'info',
      topologyPath: undefined,
      epoch: 0,
      config: { STORE_URL: 'file:///tmp/x', MAX_FILE_BYTES: 1_073_741_824 },
      warnings: [],
    });
    expect(resolved.retry).toEqual([
      { topic: 'xact.downloads.retry.5m', delayMs: 300_000 },
      { topic: 'xact.downloads.retry.10m', delayMs: 600_000 },
      { topic: 'xact.downloads.retry.20m', delayMs: 1_200_000 },
      { topic: 'xact.downloads.retry.40m', delayMs: 2_400_000 },
    ]);
  });

  test('the environment overrides it', () => {
    const resolved = resolve(downloader, {
      ...store,
      KAFKA_BROKERS: 'a.example:9092, [::1]:9093,',
      WEIR_TOPIC_PREFIX: 'run7',
      RETRY_DELAYS: '1s, 2s',
      DOWNLOAD_CONCURRENCY: '2',
      DOWNLOAD_CONCURRENCY_MAX: '9',
      WEIR_SCALING_MIN: '1',
      WEIR_SCALING_MAX: '6',
      WEIR_CATCH_UP: '10s',
      WEIR_BREAKER_COOL_DOWN_MS: '1000',
      KAFKA_SESSION_TIMEOUT_MS: '6000',
      KAFKA_MAX_POLL_INTERVAL_MS: '9000',
      METRICS_PORT: '0',
      LOG_LEVEL: 'DEBUG',
      MAX_FILE_BYTES: '10',
    });
    expect(resolved).toMatchObject({
      group: 'run7-download-worker',
      retry: [
        { topic: 'run7.downloads.retry.1s', delayMs: 1_000 },
        { topic: 'run7.downloads.retry.2s', delayMs: 2_000 },
      ],
      concurrency: { start: 2, max: 9 },
      scaling: { min: 1, max: 6, catchUpMs: 10_000 },
      breaker: { coolDownMs: 1_000 },
      kafka: { brokers: ['a.example:9092', '[::1]:9093'] },
      revokeWaitMs: 3_600,
      metricsPort: 0,
      logLevel: 'debug',
      config: { MAX_FILE_BYTES: 10 },
    });
  });

  test('an ordered worker retries in place and says so when told otherwise', () => {
    const resolved = resolve(processor, { RETRY_DELAYS: '1s' });
    expect(resolved).toMatchObject({ retryInPlace: true, retry: [], deadLetters: 'xact.result-processor.dlq' });
    expect(resolved.warnings[0]).toContain('RETRY_DELAYS has no effect');
  });

  test('the same delay written in two ways names one topic', () => {
    expect(resolve(downloader, { ...store, RETRY_DELAYS: '300s' }).retry[0]?.topic).toBe('xact.downloads.retry.5m');
  });

  test('"none" turns retries off', () => {
    expect(resolve(downloader, { ...store, RETRY_DELAYS: 'none' }).retry).toEqual([]);
  });

  test('batch settings override the declaration, which may be smaller than they may', () => {
    expect(resolve(processor, {}).batch).toMatchObject({ maxRecords: 20, maxWaitMs: 5_000 });
    expect(resolve(processor, { BATCH_SIZE: '200', BATCH_TIMEOUT_SECONDS: '0.5' }).batch).toMatchObject({
      maxRecords: 200,
      maxWaitMs: 500,
    });
    expect(problemsOf(processor, { BATCH_SIZE: '20' })[0]?.message).toBe('must be a whole number from 100 to 500');
    expect(resolve(downloader, { ...store, BATCH_SIZE: '200' }).warnings[0]).toContain('not a batch worker');
  });

  test('blank variables count as not set', () => {
    expect(resolve(downloader, { ...store, METRICS_PORT: ' ', KAFKA_BROKERS: '', MAX_FILE_BYTES: '' })).toMatchObject({
      metricsPort: 8_000,
      kafka: { brokers: ['localhost:9092'] },
      config: { MAX_FILE_BYTES: 1_073_741_824 },
    });
  });

  test('is pure: the same input gives the same output, and process.env is not read', () => {
    process.env.METRICS_PORT = '1';
    expect(resolve(downloader, store)).toEqual(resolve(downloader, store));
    expect(resolve(downloader, store).metricsPort).toBe(8_000);
    delete process.env.METRICS_PORT;
  });
});

describe('problems', () => {
  test('are all reported at once, the service’s own among them', () => {
    const problems = problemsOf(downloader, {
      KAFKA_BROKERS: 'nowhere',
      KAFKA_HEARTBEAT_INTERVAL_MS: 'often',
      METRICS_PORT: '70000',
      RETRY_DELAYS: '5m,1m',
      WEIR_PROFILE: 'huge',
      LOG_LEVEL: 'chatty',
      WEIR_CATCH_UP: '5',
      MAX_FILE_BYTES: '0',
      KAFKA_SASL_USERNAME: 'me',
      WEIR_SCALING_MIN: '25',
      WEIR_REVOKE_WAIT_MS: '31000',
      DOWNLOAD_CONCURRENCY: '65',
    });
    const lines = Object.fromEntries(problems.map((each) => [each.variable, each.message]));
    expect(lines).toMatchObject({
      KAFKA_BROKERS: 'must be a list of host:port, separated by commas',
      KAFKA_HEARTBEAT_INTERVAL_MS: 'must be a whole number from 100 to 60000',
      METRICS_PORT: 'must be a whole number from 0 to 65535',
      RETRY_DELAYS: 'each delay must be longer than the one before it',
      WEIR_PROFILE: 'must be one of tiny, small, medium, large',
      LOG_LEVEL: 'must be one of debug, info, warn, error, silent',
      WEIR_CATCH_UP: 'must be a duration such as 90s, 5m or 2h',
      STORE_URL: 'is required: Where files go.',
      KAFKA_SASL_USERNAME: expect.stringContaining('would not be used'),
      WEIR_SCALING_MIN: expect.stringContaining('above the most that may run'),
      WEIR_REVOKE_WAIT_MS: expect.stringContaining('under half'),
      DOWNLOAD_CONCURRENCY: expect.stringContaining('above the ceiling of 64'),
    });
    expect(lines.MAX_FILE_BYTES).toBeDefined();
    expect(problems.find((each) => each.variable === 'METRICS_PORT')?.given).toBe('70000');
    expect(problems.find((each) => each.variable === 'STORE_URL')?.given).toBeUndefined();
  });

  test('never show a secret', () => {
    const error = (() => {
      try {
        resolve(downloader, {
          STORE_URL: 's3://user:hunter2@bucket/x?token=abc',
          API_TOKEN: 'short-secret',
          KAFKA_SASL_PASSWORD: 'hunter2',
          KAFKA_SSL_KEY: 'hunter2',
          KAFKA_BROKERS: 'https://user:hunter2@broker/?password=hunter2',
        });
      } catch (problem) {
        return problem as ConfigError;
      }
      throw new Error('resolved');
    })();
    expect(error.problems.map((each) => each.variable)).toEqual(
      expect.arrayContaining(['API_TOKEN', 'KAFKA_SSL_KEY', 'KAFKA_BROKERS']),
    );
    expect(error.message).not.toContain('hunter2');
    expect(error.message).not.toContain('short-secret');
    expect(error.message).not.toContain('abc');
  });

  test.each([
    ['KAFKA_HEARTBEAT_INTERVAL_MS', { KAFKA_HEARTBEAT_INTERVAL_MS: '10000' }],
    ['KAFKA_SESSION_TIMEOUT_MS', { KAFKA_SESSION_TIMEOUT_MS: '60000' }],
    ['WEIR_REVOKE_WAIT_MS', { WEIR_REVOKE_WAIT_MS: '30000' }],
    ['DOWNLOAD_CONCURRENCY', { DOWNLOAD_CONCURRENCY: '65' }],
    ['WEIR_CONCURRENCY', { WEIR_CONCURRENCY: '6', WEIR_PROFILE: 'tiny' }],
    ['WEIR_SCALING_MIN', { WEIR_SCALING_MIN: '25' }],
    ['WEIR_SCALING_MAX', { WEIR_SCALING_MAX: '3' }],
    ['KAFKA_SASL_USERNAME', { KAFKA_SECURITY_PROTOCOL: 'SASL_SSL', KAFKA_SASL_PASSWORD: 'x' }],
    ['KAFKA_SASL_PASSWORD', { KAFKA_SASL_PASSWORD: 'x' }],
    ['KAFKA_SSL_CA', { KAFKA_SSL_CA: '/etc/ca.pem' }],
    ['KAFKA_SSL_KEY', { KAFKA_SECURITY_PROTOCOL: 'SSL', KAFKA_SSL_CERT: '/etc/cert.pem' }],
    ['KAFKA_SSL_CA', { KAFKA_SECURITY_PROTOCOL: 'SSL', KAFKA_SSL_CA: 'ca.pem' }],
    ['KAFKA_BROKERS', { KAFKA_BROKERS: 'a:0' }],
    ['KAFKA_BROKERS', { KAFKA_BROKERS: 'a:65536' }],
    ['KAFKA_BROKERS', { KAFKA_BROKERS: ',' }],
    ['RETRY_DELAYS', { RETRY_DELAYS: '5m,,10m' }],
    ['RETRY_DELAYS', { RETRY_DELAYS: '0s' }],
    ['WEIR_TOPIC_PREFIX', { WEIR_TOPIC_PREFIX: 'a b' }],
  ])('%s breaks a rule: %j', (variable, env) => {
    const problems = problemsOf(downloader, { ...store, ...env });
    expect(problems.map((each) => each.variable)).toContain(variable);
  });

  test('a name that Kafka would refuse for its length is one', () => {
    const long = defineWorker({
      name: 'long',
      consumes: topic('a'.repeat(200), bytes, { partitions: 1 }),
      handle: () => undefined,
    });
    expect(problemsOf(long, { WEIR_TOPIC_PREFIX: 'p'.repeat(60) })[0]?.variable).toBe('WEIR_TOPIC_PREFIX');
  });

  test('whatever the texts are, the outcome is a value or a ConfigError', () => {
    const names = Object.keys(workerSettings.shape);
    const text = fc.oneof(
      fc.string(),
      fc.integer().map(String),
      fc.double().map(String),
      fc.constantFrom('5m', '5m,1h'),
    );
    fc.assert(
      fc.property(fc.dictionary(fc.constantFrom(...names), text), (env) => {
        problemsOf(downloader, { ...store, ...env });
      }),
    );
  });
});

describe('concurrency', () => {
  const of = (env: Environment) => resolve(downloader, { ...store, ...env }).concurrency;

  test('comes from the profile when there is one, and a variable of its own wins over it', () => {
    expect(of({ WEIR_PROFILE: 'small' })).toMatchObject(PROFILES.small.concurrency);
    expect(of({ WEIR_PROFILE: 'small', DOWNLOAD_CONCURRENCY: '7' })).toMatchObject({ start: 7, max: 15 });
    expect(of({ WEIR_PROFILE: 'small', WEIR_CONCURRENCY_MAX: '40' })).toMatchObject({ start: 5, max: 40 });
  });

  test('the name that the declaration gives comes before the general one', () => {
    const resolved = resolve(downloader, { ...store, DOWNLOAD_CONCURRENCY: '7', WEIR_CONCURRENCY: '8' });
    expect(resolved.concurrency.start).toBe(7);
    expect(resolved.warnings).toEqual(['WEIR_CONCURRENCY has no effect beside DOWNLOAD_CONCURRENCY']);
  });

  test('a lowered ceiling takes the start down with it', () => {
    expect(of({ DOWNLOAD_CONCURRENCY_MAX: '3' })).toMatchObject({ start: 3, max: 3 });
  });

  test('a fixed one stays fixed', () => {
    const fixed = defineWorker({
      name: 'fixed',
      consumes: pending,
      concurrency: { fixed: 3 },
      handle: () => undefined,
    });
    expect(resolve(fixed, { WEIR_PROFILE: 'large' }).concurrency).toEqual({ start: 3, max: 3, fixed: true });
    expect(resolve(fixed, { WEIR_CONCURRENCY: '9' }).concurrency).toEqual({ start: 9, max: 9, fixed: true });
  });

  test('a profile sets the queue as well', () => {
    expect(resolve(downloader, { ...store, WEIR_PROFILE: 'tiny' })).toMatchObject({
      profile: 'tiny',
      queue: { bytes: 16_777_216 },
    });
  });
});

describe('scaling', () => {
  test('is capped at the partitions, with a warning when more was asked for', () => {
    const resolved = resolve(downloader, { ...store, WEIR_SCALING_MAX: '100' });
    expect(resolved.scaling.max).toBe(24);
    expect(resolved.warnings[0]).toContain('above the 24 partitions');
  });

  test('counts the partitions of all consumed topics', () => {
    const both = defineWorker({ name: 'both', consumes: [pending, results], handle: () => undefined });
    expect(resolve(both, {}).scaling).toMatchObject({ min: 1, max: 30 });
  });
});

describe('Kafka’s security', () => {
  const kafka = (env: Environment) => resolve(processor, env).kafka;

  test('SASL_SSL with the system’s roots', () => {
    expect(
      kafka({ KAFKA_SECURITY_PROTOCOL: 'sasl_ssl', KAFKA_SASL_USERNAME: 'me', KAFKA_SASL_PASSWORD: 'secret' }),
    ).toMatchObject({ ssl: true, sasl: { mechanism: 'plain', username: 'me', password: 'secret' } });
    expect(
      kafka({
        KAFKA_SECURITY_PROTOCOL: 'SASL_SSL',
        KAFKA_SASL_MECHANISM: 'SCRAM-SHA-512',
        KAFKA_SASL_USERNAME: 'me',
        KAFKA_SASL_PASSWORD: 'secret',
      }).sasl?.mechanism,
    ).toBe('scram-sha-512');
  });

  test('SSL with a certificate of its own', () => {
    expect(
      kafka({
        KAFKA_SECURITY_PROTOCOL: 'SSL',
        KAFKA_SSL_CA: '/etc/ca.pem',
        KAFKA_SSL_CERT: '-----BEGIN CERTIFICATE-----\nx',
        KAFKA_SSL_KEY: '-----BEGIN PRIVATE KEY-----\nx',
      }).ssl,
    ).toEqual({
      ca: '/etc/ca.pem',
      cert: '-----BEGIN CERTIFICATE-----\nx',
      key: '-----BEGIN PRIVATE KEY-----\nx',
    });
  });

  test('a password in clear text is worth a warning', () => {
    const resolved = resolve(processor, {
      KAFKA_SECURITY_PROTOCOL: 'SASL_PLAINTEXT',
      KAFKA_SASL_USERNAME: 'me',
      KAFKA_SASL_PASSWORD: 'secret',
    });
    expect(resolved.warnings[0]).toContain('clear text');
  });
});

describe('warnings', () => {
  test('name unknown settings of ours with the nearest known one', () => {
    const { warnings } = resolve(downloader, {
      ...store,
      WEIR_SCALE_MAX: '3',
      KAFKA_BOOTSTRAP: 'x',
      DOWNLOAD_CONCURRENCY: '3',
    });
    expect(warnings).toHaveLength(2);
    expect(warnings[1]).toBe('WEIR_SCALE_MAX is not a setting: did you mean WEIR_SCALING_MAX?');
  });
});

describe('resolveKafka', () => {
  test('gives processes that are no workers what they need, their own settings among it', () => {
    const resolved = resolveKafka(
      { KAFKA_BROKERS: 'a:1', WEIR_TOPOLOGY: '/t.json', GRPC_PORT: '6000', WEIR_PROFILE: 'small' },
      { name: 'scaler', config: z.object({ GRPC_PORT: z.coerce.number() }) },
    );
    expect(resolved).toMatchObject({
      prefix: 'xact',
      kafka: { brokers: ['a:1'], clientId: 'scaler' },
      topologyPath: '/t.json',
      config: { GRPC_PORT: 6_000 },
      warnings: [],
    });
    expect(() => resolveKafka({ KAFKA_BROKERS: 'x' })).toThrow(ConfigError);
  });
});
