import { fileURLToPath } from 'node:url';
import { crc32 } from 'node:zlib';
import * as grpc from '@grpc/grpc-js';
import { loadSync } from '@grpc/proto-loader';
import { type Logger, silentLogger, systemClock } from '@weir/core';
import { ManualClock, settle } from '@weir/core/testing';
import type { Admin, CommittedOffset, GroupDescription, Topology } from '@weir/sdk';
import { afterEach, expect, test } from 'vitest';
import { Scaler, type ScalerOptions } from './scaler.ts';

const closing: (() => unknown)[] = [];
afterEach(async () => {
  for (const close of closing.splice(0).reverse()) await close();
});

const worker = (name: string, topic: string, partitions: number, min: number) => ({
  name,
  group: `xact-${name}`,
  order: 'none' as const,
  consumes: [{ name: `xact.${topic}`, declared: topic, partitions, maxMessageBytes: 1_048_576 }],
  produces: [],
  retry: [],
  concurrency: { start: 10, max: 64 },
  scaling: { min, max: partitions, catchUpMs: 300_000 },
});
const topology: Topology = {
  version: 1,
  prefix: 'xact',
  workers: [worker('event-ingester', 'events.raw', 12, 1), worker('download-worker', 'downloads.pending', 24, 0)],
};

/** Two topics that nobody has read yet. */
class FakeAdmin implements Partial<Admin> {
  ends: Record<string, number> = { 'xact.events.raw': 0, 'xact.downloads.pending': 5300 };
  commits: CommittedOffset[] = [];
  unreachable = false;
  started = 0;
  stopped = 0;

  async start(): Promise<void> {
    if (this.unreachable) throw new Error('connect ECONNREFUSED 127.0.0.1:9092');
    this.started++;
  }
  async stop(): Promise<void> {
    this.stopped++;
  }
  async committed(): Promise<readonly CommittedOffset[]> {
    return this.commits;
  }
  async offsets(topics: readonly string[]) {
    return topics.flatMap((topic) =>
      topic in this.ends
        ? [
            { topic, partition: 0, start: 0, end: this.ends[topic]! },
            { topic, partition: 1, start: 0, end: 0 },
          ]
        : [],
    );
  }
  async describeGroup(): Promise<GroupDescription> {
    return { state: 'Empty', members: [] };
  }
}

async function started(admin: FakeAdmin, over: Partial<ScalerOptions> = {}): Promise<Scaler> {
  const scaler = new Scaler({
    topology,
    admin: admin as unknown as Admin,
    clock: systemClock,
    log: silentLogger,
    intervalMs: 10_000,
    grpcPort: 0,
    httpPort: 0,
    ...over,
  });
  closing.push(() => scaler.stop());
  await scaler.start();
  await settle(10);
  return scaler;
}

const get = async (scaler: Scaler, path: string) => {
  const response = await fetch(`http://127.0.0.1:${scaler.httpPort}${path}`);
  const text = await response.text();
  return { status: response.status, body: path.startsWith('/scaling') ? JSON.parse(text) : text };
};

function ask(scaler: Scaler, method: string, request: object): Promise<unknown> {
  const proto = fileURLToPath(new URL('../../sdk/proto/externalscaler.proto', import.meta.url));
  const loaded = grpc.loadPackageDefinition(loadSync(proto, { keepCase: true, longs: Number, defaults: true }));
  const { ExternalScaler } = loaded.externalscaler as { ExternalScaler: grpc.ServiceClientConstructor };
  const client = new ExternalScaler(`127.0.0.1:${scaler.grpcPort}`, grpc.credentials.createInsecure());
  closing.push(() => client.close());
  return new Promise((resolve, reject) => {
    const call = client[method] as (request: object, done: (error: unknown, answer: unknown) => void) => void;
    call.call(client, request, (error, answer) => (error ? reject(error) : resolve(answer)));
  });
}

const ref = (name: string) => ({ name: 'so', namespace: 'xact', scalerMetadata: { worker: name } });

test('KEDA gets over gRPC what /scaling says, for groups of which nobody runs', async () => {
  const scaler = await started(new FakeAdmin());
  const { status, body } = await get(scaler, '/scaling?worker=download-worker');
  expect(status).toBe(200);
  expect(body).toMatchObject({
    worker: 'download-worker',
    desiredReplicas: 2,
    signalValue: 2,
    running: 0,
    backlog: 5300,
  });
  expect(await ask(scaler, 'IsActive', ref('download-worker'))).toEqual({ result: true });
  expect(
    await ask(scaler, 'GetMetrics', { scaledObjectRef: ref('download-worker'), metricName: 'weir' }),
  ).toMatchObject({
    metricValues: [{ metricValueFloat: body.signalValue }],
  });
});

test('/scaling without a worker answers for all, and an unknown worker is named', async () => {
  const scaler = await started(new FakeAdmin());
  const { body } = await get(scaler, '/scaling');
  expect(Object.keys(body.workers)).toEqual(['event-ingester', 'download-worker']);
  expect(body.workers['event-ingester']).toMatchObject({ desiredReplicas: 1, reason: 'idle' });
  expect(await get(scaler, '/scaling?worker=nobody')).toEqual({
    status: 404,
    body: { error: 'there is no worker "nobody" in the topology; it has: event-ingester, download-worker' },
  });
});

test('metrics carry a row for each worker that can be answered for', async () => {
  const admin = new FakeAdmin();
  delete admin.ends['xact.events.raw'];
  const scaler = await started(admin);
  const { body } = await get(scaler, '/metrics');
  expect(body).toContain('weir_desired_replicas{worker="download-worker",group="xact-download-worker"} 2');
  expect(body).toContain('weir_backlog_records{worker="download-worker",group="xact-download-worker"} 5300');
  expect(body).not.toContain('worker="event-ingester"');
});

test('a missing topic says so and leaves the other workers alone', async () => {
  const admin = new FakeAdmin();
  delete admin.ends['xact.events.raw'];
  const scaler = await started(admin);
  const { status, body } = await get(scaler, '/scaling?worker=event-ingester');
  expect(status).toBe(503);
  expect(body.error).toContain('xact.events.raw');
  expect((await get(scaler, '/readyz')).status).toBe(200);
  expect((await get(scaler, '/scaling?worker=download-worker')).status).toBe(200);
});

test('it listens before Kafka is there, says why it is not ready, and goes on when it comes', async () => {
  const admin = new FakeAdmin();
  admin.unreachable = true;
  const clock = new ManualClock();
  const scaler = await started(admin, { clock });
  const before = await get(scaler, '/readyz');
  expect(before.status).toBe(503);
  expect(before.body).toContain('ECONNREFUSED');
  expect((await get(scaler, '/healthz')).status).toBe(200);
  await expect(ask(scaler, 'GetMetricSpec', ref('download-worker'))).resolves.toBeDefined();
  await expect(ask(scaler, 'GetMetrics', { scaledObjectRef: ref('download-worker') })).rejects.toMatchObject({
    code: grpc.status.UNAVAILABLE,
  });
  admin.unreachable = false;
  await clock.advance(20_000);
  expect((await get(scaler, '/readyz')).status).toBe(200);
});

test('a group that has been empty for five days is warned about, once', async () => {
  const clock = new ManualClock();
  const admin = new FakeAdmin();
  const signal = `w=w n=1 o=10 t=${clock.now() - 5.5 * 24 * 3_600_000} a=0 r=1 l=1 c=1p b=0 q=1`;
  const metadata = `weir/1 ${crc32(signal).toString(16).padStart(8, '0')} ${signal}`;
  admin.commits = [{ topic: 'xact.downloads.pending', partition: 0, offset: 10, metadata }];
  const warnings: string[] = [];
  const log: Logger = { ...silentLogger, warn: (_, message) => warnings.push(message ?? ''), child: () => log };
  await started(admin, { clock, log });
  await clock.advance(3_600_000);
  expect(warnings.filter((line) => line.includes('7 (offsets.retention.minutes)'))).toHaveLength(1);
});

test('stop is safe early and twice, and closes what it was given', async () => {
  const admin = new FakeAdmin();
  admin.unreachable = true;
  const scaler = await started(admin);
  await scaler.stop();
  await scaler.stop();
  expect(admin.stopped).toBe(1);
  await expect(get(scaler, '/healthz')).rejects.toThrow();
});
