/** The scaler as a process, a worker as a process, and KEDA's part played by a gRPC client, over a broker on a socket. */
import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import * as grpc from '@grpc/grpc-js';
import { loadSync } from '@grpc/proto-loader';
import { type Broker, startBroker } from '@weir/dev-broker';
import { deriveTopics, resolve, type ScalingAnswer, topologyOf } from '@weir/sdk';
import { Kafka, logLevel } from 'kafkajs';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { orders } from './orders-worker.ts';

const ROOT = join(import.meta.dirname, '..', '..');
const children: ChildProcess[] = [];
const closing: (() => unknown)[] = [];
let broker: Broker;
let folder: string;
let env: Record<string, string>;

beforeEach(async () => {
  broker = await startBroker({ port: 0 });
  folder = await mkdtemp(join(tmpdir(), 'weir-scaler-'));
  const path = join(folder, 'topology.json');
  const resolved = resolve(orders, {});
  for (const { topic, partitions } of deriveTopics(resolved)) broker.createTopic(topic, { partitions });
  await writeFile(path, JSON.stringify(topologyOf([resolved])));
  env = {
    PATH: process.env.PATH ?? '',
    KAFKA_BROKERS: broker.brokers.join(','),
    WEIR_TOPOLOGY: path,
    WEIR_SCALING_INTERVAL_MS: '500',
    METRICS_PORT: '0',
    SCALER_PORT: '0',
  };
});

afterEach(async () => {
  for (const close of closing.splice(0).reverse()) await close();
  for (const child of children.splice(0))
    if (child.exitCode === null && child.signalCode === null) child.kill('SIGKILL');
  await broker.stop();
  await rm(folder, { recursive: true });
});

function start(script: string, over: Record<string, string> = {}) {
  const child = spawn(process.execPath, ['--conditions=source', join(ROOT, script)], {
    env: { ...env, ...over },
    stdio: ['ignore', 'pipe', 'pipe'],
  });
  children.push(child);
  let text = '';
  let errors = '';
  child.stderr.on('data', (data: Buffer) => {
    errors += data.toString();
  });
  child.stdout.on('data', (data: Buffer) => {
    text += data.toString();
  });
  const exited = once(child, 'close').then(([code]) => code as number | null);
  const line = async (wanted: RegExp): Promise<Record<string, unknown>> => {
    for (;;) {
      const found = text.split('\n').find((each) => wanted.test(each));
      if (found) return JSON.parse(found) as Record<string, unknown>;
      const more = once(child.stdout, 'data').then(() => false);
      if (await Promise.race([more, exited.then(() => true)])) throw new Error(`ended early:\n${text}${errors}`);
    }
  };
  return { child, exited, line, errors: () => errors };
}

async function send(count: number): Promise<void> {
  const producer = new Kafka({ brokers: [...broker.brokers], logLevel: logLevel.NOTHING }).producer();
  await producer.connect();
  const messages = Array.from({ length: count }, (_, at) => ({ key: `k${at}`, value: 'x' }));
  await producer.send({ topic: 'xact.orders', messages });
  await producer.disconnect();
}

function keda(port: number) {
  const proto = fileURLToPath(new URL('../../packages/sdk/proto/externalscaler.proto', import.meta.url));
  const loaded = grpc.loadPackageDefinition(loadSync(proto, { keepCase: true, longs: Number, defaults: true }));
  const { ExternalScaler } = loaded.externalscaler as { ExternalScaler: grpc.ServiceClientConstructor };
  const client = new ExternalScaler(`127.0.0.1:${port}`, grpc.credentials.createInsecure());
  closing.push(() => client.close());
  const ref = { name: 'orders', namespace: 'xact', scalerMetadata: { worker: 'orders' } };
  const ask = <T>(method: string, request: object): Promise<T> =>
    new Promise((resolved, reject) => {
      const call = client[method] as (request: object, done: (error: unknown, answer: T) => void) => void;
      call.call(client, request, (error, answer) => (error ? reject(error) : resolved(answer)));
    });
  return {
    active: async () => (await ask<{ result: boolean }>('IsActive', ref)).result,
    value: async () => {
      const request = { scaledObjectRef: ref, metricName: 'weir' };
      const { metricValues } = await ask<{ metricValues: { metricValueFloat: number }[] }>('GetMetrics', request);
      return metricValues[0]?.metricValueFloat;
    },
  };
}

async function scaling(port: unknown, query = ''): Promise<ScalingAnswer> {
  const response = await fetch(`http://127.0.0.1:${String(port)}/scaling${query}`);
  return (await response.json()) as ScalingAnswer;
}

test('the scaler wakes a group of nobody, and tells KEDA what the worker’s own /scaling says', async () => {
  const scaler = start('packages/scaler/src/main.ts');
  const { grpcPort, httpPort } = await scaler.line(/"msg":"scaler started"/);
  const client = keda(Number(grpcPort));
  await expect.poll(() => scaling(httpPort, '?worker=orders'), { timeout: 20_000 }).toMatchObject({ reason: 'idle' });
  expect(await client.active()).toBe(false);
  expect(await client.value()).toBe(0);

  await send(2500);
  await expect.poll(() => client.active(), { timeout: 20_000 }).toBe(true);
  expect(await client.value()).toBe(3);
  expect(await scaling(httpPort, '?worker=orders')).toMatchObject({ running: 0, backlog: 2500, desiredReplicas: 3 });

  // One worker manages 100/s and 30 s are allowed: from now on the answer is worked out from its signals.
  const worker = start('test/scaler/orders-worker.ts');
  const { port } = await worker.line(/"port":.*"msg":"listening"/);
  await expect
    .poll(
      async () => {
        const [own, ours, told] = [
          await scaling(port),
          await scaling(httpPort, '?worker=orders'),
          await client.value(),
        ];
        const again = await scaling(httpPort, '?worker=orders');
        // Looked at in the same half second: the same answer, to the last figure.
        if (own.observedAt !== ours.observedAt || again.observedAt !== ours.observedAt || own.workerPerSecond === null)
          return undefined;
        return { ...own, ageSeconds: 0, told, same: { ...ours, ageSeconds: 0 } };
      },
      { timeout: 60_000, interval: 150 },
    )
    .toSatisfy((seen: (ScalingAnswer & { told: number; same: ScalingAnswer }) | undefined) => {
      if (seen?.running !== 1) return false;
      return (
        seen.told === seen.signalValue && seen.same.signalValue === seen.signalValue && seen.reason === seen.same.reason
      );
    });

  for (const each of [worker, scaler]) each.child.kill('SIGTERM');
  expect(await worker.exited).toBe(0);
  expect(await scaler.exited).toBe(0);
}, 120_000);

test('it says what it cannot start with, and exits with 2', async () => {
  const missing = start('packages/scaler/src/main.ts', { WEIR_TOPOLOGY: '', SCALER_PORT: 'many' });
  expect(await missing.exited).toBe(2);
  expect(missing.errors()).toContain('SCALER_PORT');
  const other = start('packages/scaler/src/main.ts', { WEIR_TOPOLOGY: join(folder, 'nothing.json') });
  expect(await other.exited).toBe(2);
  expect(other.errors()).toContain('nothing.json');
});

test('a taken port is named, and the process does not linger', async () => {
  const first = start('packages/scaler/src/main.ts');
  const { grpcPort } = await first.line(/"msg":"scaler started"/);
  const second = start('packages/scaler/src/main.ts', { SCALER_PORT: String(grpcPort) });
  expect(await second.exited).toBe(2);
  expect(second.errors()).toContain(String(grpcPort));
});
