import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { pathToFileURL } from 'node:url';
import { testWorker } from '@weir/sdk/testing';
import { type ObjectStore, StoreUnavailableError } from '@weir/storage';
import { Registry } from 'prom-client';
import { describe, expect, test } from 'vitest';
import { world as openTools, taskOf } from './download.fixture.ts';
import { file, startFaultServer, status } from './fault-server.fixture.ts';
import { createMetrics } from './metrics.ts';
import { downloadWorker } from './worker.ts';

async function start(env: Record<string, string> = {}) {
  const folder = await mkdtemp(join(tmpdir(), 'weir-download-worker-'));
  const worker = await testWorker(downloadWorker, {
    env: {
      STORE_URL: pathToFileURL(folder).href,
      ALLOW_HTTP: 'true',
      ALLOWED_PORTS: '*',
      ALLOWED_ATTACHMENT_DOMAINS: '127.0.0.1,*.example',
      ALLOW_PRIVATE_ADDRESSES: 'true',
      ALLOWED_FILE_TYPES: '*',
      ...env,
    },
  });
  return {
    worker,
    async [Symbol.asyncDispose]() {
      await worker.stop();
      await rm(folder, { recursive: true, force: true });
    },
  };
}

describe('the download worker', () => {
  test('turns a task into a stored file and one completed result without secrets', async () => {
    await using server = await startFaultServer(file('content', { 'content-type': 'application/pdf' }));
    await using world = await start();
    await world.worker.send(taskOf(server.url('/f.pdf?X-Amz-Signature=TOPSECRET')));
    const results = world.worker.sent('results');
    expect(results).toEqual([
      expect.objectContaining({
        status: 'completed',
        bytesDownloaded: 7,
        attempts: 1,
        replays: 0,
        httpStatus: 200,
        contentType: 'application/pdf',
        sha256: expect.stringMatching(/^[0-9a-f]{64}$/),
      }),
    ]);
    expect(JSON.stringify(results)).not.toContain('TOPSECRET');
    expect(world.worker.deadLetters()).toEqual([]);
  });

  test('gives what is refused for good a dead letter and a failed_permanent result at once', async () => {
    await using server = await startFaultServer(status(404));
    await using world = await start();
    await world.worker.send(taskOf(server.url('/f.pdf?X-Amz-Signature=TOPSECRET')));
    expect(world.worker.sent('results')).toEqual([
      expect.objectContaining({ status: 'failed_permanent', httpStatus: 404, errorClass: 'permanent', attempts: 1 }),
    ]);
    expect(world.worker.deadLetters()).toHaveLength(1);
    expect(world.worker.retries()).toEqual([]);
    expect(JSON.stringify([world.worker.sent('results'), world.worker.deadLetters()[0]?.headers])).not.toContain(
      'TOPSECRET',
    );
  });

  test('completes at the third attempt what fails twice', async () => {
    let failures = 2;
    await using server = await startFaultServer((request, response) =>
      failures-- > 0 ? status(500)(request, response) : file('late')(request, response),
    );
    await using world = await start();
    await world.worker.send(taskOf(server.url()));
    await world.worker.advance('2s');
    expect(world.worker.retries()).toHaveLength(1);
    await world.worker.advance('30m');
    expect(world.worker.sent('results')).toEqual([expect.objectContaining({ status: 'completed', attempts: 3 })]);
    expect(world.worker.deadLetters()).toEqual([]);
  });

  test('gives a failed result when the retries are used up', async () => {
    await using server = await startFaultServer(status(503));
    await using world = await start();
    await world.worker.send(taskOf(server.url()));
    for (let attempt = 0; attempt < 5; attempt++) {
      // A failed call is settled two seconds later, when it is known whether its breaker opened.
      await world.worker.advance('3s');
      await world.worker.advance('41m');
    }
    expect(world.worker.sent('results')).toEqual([
      expect.objectContaining({ status: 'failed', errorClass: 'transient', httpStatus: 503, attempts: 5 }),
    ]);
    expect(server.asked).toHaveLength(5);
    expect(world.worker.deadLetters()).toHaveLength(1);
  });

  test('tries a login once more, then calls it permanent', async () => {
    await using server = await startFaultServer(status(401));
    await using world = await start();
    await world.worker.send(taskOf(server.url()));
    await world.worker.advance('3h');
    expect(server.asked).toHaveLength(2);
    expect(world.worker.sent('results')).toEqual([
      expect.objectContaining({ status: 'failed_permanent', errorClass: 'auth', attempts: 2, httpStatus: 401 }),
    ]);
  });

  test('waits at least as long as Retry-After says', async () => {
    await using server = await startFaultServer(status(429, { 'retry-after': '900' }));
    await using world = await start();
    await world.worker.send(taskOf(server.url()));
    await world.worker.advance('3s');
    expect(world.worker.retries().map((retry) => retry.topic)).toEqual(['xact.downloads.retry.20m']);
  });

  test('a store that is away costs no attempt, also of a task that is the only one', async () => {
    await using server = await startFaultServer(file('content'));
    let away = true;
    let tries = 0;
    await using tools = await openTools({
      store: (store) =>
        Object.create(store, {
          put: {
            value: (...given: Parameters<ObjectStore['put']>) => {
              tries++;
              return away ? Promise.reject(new StoreUnavailableError('s3://b', 'put')) : store.put(...given);
            },
          },
        }),
    });
    await using worker = await testWorker(downloadWorker, {
      resources: { ...tools, metrics: createMetrics(new Registry()) },
    });
    await worker.send(taskOf(server.url()), { wait: false });
    const beganAt = worker.clock.now();
    const open = () => worker.worker.gauges().paused.breaker === 1;
    while (!open() && worker.clock.now() - beganAt < 30_000) await worker.advance(250);
    expect(open()).toBe(true);
    expect(tries).toBe(10);
    await worker.advance('20s');
    expect(tries).toBe(10);
    expect(worker.retries()).toEqual([]);
    away = false;
    await worker.advance('11s');
    await worker.settle();
    expect(worker.sent('results')).toEqual([expect.objectContaining({ status: 'completed', attempts: 1 })]);
    expect(worker.retries()).toEqual([]);
  });

  test('lets expiry at ingest through to the result', async () => {
    await using world = await start();
    await world.worker.send(
      taskOf('https://h.example/f.pdf', { expiresAt: '1970-01-01T00:00:00Z', expiredAtIngest: true }),
    );
    expect(world.worker.sent('results')).toEqual([
      expect.objectContaining({ status: 'failed_permanent', errorClass: 'expired', expiredAtIngest: true }),
    ]);
  });

  test('makes a dead letter with the raw bytes, and no result, of what is no task', async () => {
    await using world = await start();
    await world.worker.sendRaw('{"mediaId":');
    expect(world.worker.sent('results')).toEqual([]);
    expect(world.worker.deadLetters().map((letter) => [letter.errorClass, letter.value.toString()])).toEqual([
      ['poison', '{"mediaId":'],
    ]);
  });

  test('counts a host that breaks files against that host, and goes on with others', async () => {
    await using broken = await startFaultServer((_, response) => {
      response.writeHead(200, { 'content-length': '1000' });
      response.write('x');
      setImmediate(() => response.destroy());
    });
    await using well = await startFaultServer(file('fine'));
    await using world = await start();
    for (let index = 0; index < 12; index++) {
      await world.worker.send(taskOf(broken.url(`/${index}`), { mediaId: `broken-${index}` }), { wait: false });
    }
    await world.worker.advance('100ms');
    await world.worker.send(taskOf(well.url(), { mediaId: 'well' }), { wait: false });
    await world.worker.advance('100ms');
    expect(world.worker.sent('results')).toEqual([expect.objectContaining({ mediaId: 'well', status: 'completed' })]);
  });
});
