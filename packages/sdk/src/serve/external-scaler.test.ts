import { fileURLToPath } from 'node:url';
import * as grpc from '@grpc/grpc-js';
import { loadSync } from '@grpc/proto-loader';
import { silentLogger } from '@weir/core';
import { ManualClock } from '@weir/core/testing';
import { afterEach, describe, expect, test } from 'vitest';
import { PortTakenError } from '../errors.ts';
import { type ExternalScaler, type SignalReply, startExternalScaler } from './external-scaler.ts';

const closing: (() => unknown)[] = [];
afterEach(async () => {
  for (const close of closing.splice(0).reverse()) await close();
});

interface Client extends grpc.Client {
  IsActive: Call;
  GetMetricSpec: Call;
  GetMetrics: Call;
  StreamIsActive(request: object): grpc.ClientReadableStream<{ result: boolean }>;
}
type Call = (request: object, done: (error: grpc.ServiceError | null, answer: unknown) => void) => void;

function connect(port: number): Client {
  const proto = fileURLToPath(new URL('../../proto/externalscaler.proto', import.meta.url));
  const loaded = grpc.loadPackageDefinition(loadSync(proto, { keepCase: true, longs: Number, defaults: true }));
  const { ExternalScaler } = loaded.externalscaler as { ExternalScaler: grpc.ServiceClientConstructor };
  const client = new ExternalScaler(`127.0.0.1:${port}`, grpc.credentials.createInsecure()) as unknown as Client;
  closing.push(() => client.close());
  return client;
}

function ask(client: Client, method: 'IsActive' | 'GetMetricSpec' | 'GetMetrics', request: object): Promise<unknown> {
  return new Promise((resolve, reject) => {
    client[method](request, (error, answer) => (error ? reject(error) : resolve(answer)));
  });
}

const ref = (worker?: string) => ({ name: 'downloads', namespace: 'xact', scalerMetadata: worker ? { worker } : {} });
const good = (signalValue: number): SignalReply => ({ status: 200, body: { signalValue } });

async function scaler(replies: Record<string, () => SignalReply>, clock?: ManualClock): Promise<ExternalScaler> {
  const views = new Map(Object.entries(replies).map(([worker, answer]) => [worker, { answer }]));
  const started = await startExternalScaler({ port: 0, views, log: silentLogger, ...(clock ? { clock } : {}) });
  closing.push(() => started.stop());
  return started;
}

describe('external scaler', () => {
  test('KEDA gets the signal value as a float, with a target of one', async () => {
    const client = connect((await scaler({ 'download-worker': () => good(24.21) })).port);
    expect(await ask(client, 'GetMetricSpec', ref('download-worker'))).toEqual({
      metricSpecs: [{ metricName: 'weir', targetSize: 1, targetSizeFloat: 1 }],
    });
    expect(await ask(client, 'GetMetrics', { scaledObjectRef: ref('download-worker'), metricName: 'weir' })).toEqual({
      metricValues: [{ metricName: 'weir', metricValue: 0, metricValueFloat: 24.21 }],
    });
    expect(await ask(client, 'IsActive', ref('download-worker'))).toEqual({ result: true });
  });

  test('zero is zero and inactive', async () => {
    const client = connect((await scaler({ w: () => good(0) })).port);
    expect(await ask(client, 'IsActive', ref('w'))).toEqual({ result: false });
    expect(await ask(client, 'GetMetrics', { scaledObjectRef: ref('w'), metricName: 'weir' })).toMatchObject({
      metricValues: [{ metricValue: 0, metricValueFloat: 0 }],
    });
  });

  test('without an answer to act on every call fails, so that the HPA holds', async () => {
    const stale: SignalReply = { status: 503, body: { error: 'the last look is 95 s old' } };
    const client = connect((await scaler({ w: () => stale })).port);
    const unavailable = { code: grpc.status.UNAVAILABLE, details: 'the last look is 95 s old' };
    await expect(ask(client, 'IsActive', ref('w'))).rejects.toMatchObject(unavailable);
    await expect(ask(client, 'GetMetrics', { scaledObjectRef: ref('w') })).rejects.toMatchObject(unavailable);
    // The HPA is made from this one: it must not need a broker.
    await expect(ask(client, 'GetMetricSpec', ref('w'))).resolves.toBeDefined();
  });

  test('an unknown worker is refused with the names there are', async () => {
    const client = connect((await scaler({ b: () => good(1), a: () => good(1) })).port);
    for (const call of ['IsActive', 'GetMetricSpec'] as const) {
      await expect(ask(client, call, ref('c'))).rejects.toMatchObject({
        code: grpc.status.INVALID_ARGUMENT,
        details: 'ScaledObject xact/downloads: there is no worker "c" in the topology; it has: a, b',
      });
      await expect(ask(client, call, ref())).rejects.toMatchObject({ code: grpc.status.INVALID_ARGUMENT });
    }
    await expect(ask(client, 'GetMetrics', { metricName: 'weir' })).rejects.toMatchObject({
      code: grpc.status.INVALID_ARGUMENT,
    });
  });

  test('a fault of ours is an error of the call, not of the server', async () => {
    let broken = true;
    const client = connect(
      (
        await scaler({
          w: () => {
            if (broken) throw new Error('boom');
            return good(2);
          },
        })
      ).port,
    );
    await expect(ask(client, 'IsActive', ref('w'))).rejects.toMatchObject({ code: grpc.status.INTERNAL });
    broken = false;
    expect(await ask(client, 'IsActive', ref('w'))).toEqual({ result: true });
  });

  test('a stream tells at once and then only changes', async () => {
    const clock = new ManualClock();
    let value = 0;
    const client = connect((await scaler({ w: () => good(value) }, clock)).port);
    const told: boolean[] = [];
    const stream = client.StreamIsActive(ref('w'));
    const next = () => new Promise<void>((resolve) => stream.once('data', () => resolve()));
    stream.on('data', ({ result }: { result: boolean }) => told.push(result));
    stream.on('error', () => undefined);
    await next();
    await clock.advance(20_000);
    value = 3;
    const changed = next();
    await clock.advance(5_000);
    await changed;
    expect(told).toEqual([false, true]);
  });

  test('a stream ends with the server', async () => {
    const server = await scaler({ w: () => good(1) });
    const stream = connect(server.port).StreamIsActive(ref('w'));
    stream.on('data', () => undefined);
    stream.on('error', () => undefined);
    const ended = new Promise((resolve) => stream.once('end', resolve));
    await new Promise((resolve) => stream.once('data', resolve));
    await server.stop();
    await server.stop();
    await ended;
  });

  test('a taken port says which', async () => {
    const { port } = await scaler({});
    await expect(startExternalScaler({ port, views: new Map(), log: silentLogger })).rejects.toThrow(PortTakenError);
  });
});
