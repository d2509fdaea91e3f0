import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { type Logger, systemClock } from '@weir/core';
import { settle } from '@weir/core/testing';
import { afterAll, afterEach, describe, expect, test } from 'vitest';
import { z } from 'zod';
import { resolve } from './config.ts';
import { defineWorker, topic } from './define.ts';
import { ConfigError, PortTakenError, TopologyInvalidError } from './errors.ts';
import { runWorker } from './run.ts';
import { startHttp } from './serve/http.ts';
import { MemoryKafka } from './testing/memory-kafka.ts';
import { deriveTopics, topologyOf } from './topology.ts';

const folder = mkdtempSync(join(tmpdir(), 'weir-run-'));
afterAll(() => rmSync(folder, { recursive: true }));

const orders = topic('orders', z.object({ id: z.string() }), { partitions: 2 });

interface Line {
  readonly level: string;
  readonly text: string;
  readonly fields: object;
}

/** A logger whose lines a test can wait for. */
function listening() {
  const lines: Line[] = [];
  const waiters = new Set<() => void>();
  const at = (level: string) => (fields: object, text?: string) => {
    lines.push({ level, fields, text: text ?? '' });
    for (const waiter of waiters) waiter();
  };
  const log: Logger = { debug: at('debug'), info: at('info'), warn: at('warn'), error: at('error'), child: () => log };
  const line = (text: RegExp) =>
    new Promise<Line>((resolve) => {
      const look = () => {
        const found = lines.find((each) => text.test(each.text));
        if (!found) return;
        waiters.delete(look);
        resolve(found);
      };
      waiters.add(look);
      look();
    });
  return { log, lines, line };
}

const running: { stop: AbortController; done: Promise<void> }[] = [];
afterEach(async () => {
  for (const { stop, done } of running.splice(0)) {
    stop.abort(new Error('the test is over'));
    await done.catch(() => undefined);
  }
});

function start(
  handle: (id: string) => Promise<void> | void,
  over: { env?: Record<string, string>; topics?: boolean } = {},
) {
  const worker = defineWorker({
    name: 'shop',
    consumes: orders,
    retry: { delays: ['5s'] },
    handle: ({ value }) => handle(value.id),
  });
  const env = { METRICS_PORT: '0', WEIR_SIGNAL_INTERVAL_MS: '50', WEIR_SCALING_INTERVAL_MS: '100', ...over.env };
  const kafka = new MemoryKafka(systemClock);
  const create = () => {
    for (const { topic, partitions } of deriveTopics(resolve(worker, env))) kafka.createTopic(topic, partitions);
  };
  if (over.topics ?? true) create();
  const heard = listening();
  const stop = new AbortController();
  const done = runWorker(worker, { env, kafka: () => kafka, signal: stop.signal, log: heard.log });
  done.catch(() => undefined);
  running.push({ stop, done });
  const send = (id: string) =>
    kafka.append({ topic: 'xact.orders', key: null, value: Buffer.from(JSON.stringify({ id })) });
  const port = async () => {
    const { fields } = await heard.line(/^listening$/);
    return (fields as { port: number }).port;
  };
  const ask = async (path: string) => {
    const response = await fetch(`http://127.0.0.1:${await port()}${path}`);
    return { status: response.status, text: await response.text() };
  };
  return { kafka, create, stop, done, send, ask, ...heard };
}

describe('runWorker', () => {
  test('consumes, serves its answers, and drains when told', async () => {
    const seen: string[] = [];
    let both: () => void = () => undefined;
    const handled = new Promise<void>((resolve) => {
      both = resolve;
    });
    const { kafka, stop, done, send, ask, line } = start((id) => {
      seen.push(id);
      if (seen.length === 2) both();
    });
    send('a');
    send('b');
    await handled;
    expect(await ask('/readyz')).toMatchObject({ status: 200 });
    expect((await ask('/healthz')).text).toMatch(/^live/);
    expect((await ask('/metrics')).text).toMatch(/weir_assigned_partitions\{group="xact-shop"\} 2/);
    const scaling = await ask('/scaling');
    expect(scaling.status).toBe(200);
    expect(JSON.parse(scaling.text)).toMatchObject({ worker: 'shop', group: 'xact-shop', partitions: 2 });
    stop.abort(new Error('enough'));
    await done;
    expect((await line(/^drained$/)).fields).toMatchObject({ complete: true });
    expect(kafka.committed('xact.orders', 0)).toBe(2);
    expect(seen).toEqual(['a', 'b']);
    await expect(ask('/healthz')).rejects.toThrow();
  });

  test('a missing topic is named and waited for, and /readyz says so meanwhile', async () => {
    const { create, ask, line } = start(() => undefined, { topics: false });
    await line(/not started yet: topic\(s\) missing: xact\.orders \(2 partitions\), xact\.shop\.retry\.5s/);
    const ready = await ask('/readyz');
    expect(ready.status).toBe(503);
    expect(ready.text).toContain('xact.shop.dlq');
    expect(ready.text).toContain('weir topics create');
    expect((await ask('/healthz')).status).toBe(200);
    expect((await ask('/scaling')).status).toBe(503);
    create();
    await line(/^started$/);
    expect((await ask('/readyz')).status).toBe(200);
  });

  test('a stop while it waits for topics ends it', async () => {
    const { stop, done, line } = start(() => undefined, { topics: false });
    await line(/not started yet/);
    stop.abort(new Error('enough'));
    await done;
  });

  test('a drain past its deadline aborts and says how much goes to another worker', async () => {
    let begun: () => void = () => undefined;
    const inHand = new Promise<void>((resolve) => {
      begun = resolve;
    });
    const { kafka, stop, done, send, line } = start(
      () => {
        begun();
        return new Promise(() => undefined);
      },
      { env: { DRAIN_TIMEOUT_MS: '50' } },
    );
    send('slow');
    await inHand;
    stop.abort(new Error('enough'));
    await line(/^aborting what is still in hand/);
    await done;
    expect(kafka.committed('xact.orders', 0)).toBeLessThanOrEqual(0);
  });

  test('settings that cannot be used are thrown to whoever owns the process', async () => {
    const heard = listening();
    const worker = defineWorker({ name: 'shop', consumes: orders, handle: () => undefined });
    const options = { signal: new AbortController().signal, log: heard.log };
    await expect(runWorker(worker, { ...options, env: { METRICS_PORT: 'x' } })).rejects.toThrow(ConfigError);
    await expect(
      runWorker(worker, { ...options, env: { KAFKA_SECURITY_PROTOCOL: 'SSL', KAFKA_SSL_CA: join(folder, 'none') } }),
    ).rejects.toThrow('KAFKA_SSL_CA: cannot be read');
  });

  test('a taken port is thrown, and nothing stays open', async () => {
    const heard = listening();
    const taken = await startHttp({
      port: 0,
      health: () => ({ live: true, ready: true, detail: '' }),
      scaling: () => ({ status: 503, body: {} }),
      metrics: () => Promise.resolve(''),
      log: heard.log,
    });
    const { done } = start(() => undefined, { env: { METRICS_PORT: String(taken.port) } });
    await expect(done).rejects.toThrow(PortTakenError);
    await taken.stop();
  });

  test('a stop while it opens what the handler needs ends it, and nothing begins afterwards', async () => {
    let opened: () => void = () => undefined;
    let told: () => void = () => undefined;
    const opening = new Promise<void>((resolve) => {
      told = resolve;
    });
    const worker = defineWorker({
      name: 'shop',
      consumes: orders,
      open: () => {
        told();
        return new Promise<object>((resolve) => {
          opened = () => resolve({});
        });
      },
      handle: () => undefined,
    });
    const env = { METRICS_PORT: '0' };
    const kafka = new MemoryKafka(systemClock);
    for (const { topic, partitions } of deriveTopics(resolve(worker, env))) kafka.createTopic(topic, partitions);
    const stop = new AbortController();
    const heard = listening();
    const done = runWorker(worker, { env, kafka: () => kafka, signal: stop.signal, log: heard.log });
    await opening;
    stop.abort(new Error('enough'));
    await done;
    opened();
    await settle();
    expect(heard.lines.map((line) => line.text)).not.toContain('started');
  });

  test('what `open` throws ends the run', async () => {
    const worker = defineWorker({
      name: 'shop',
      consumes: orders,
      open: () => Promise.reject(new Error('no store at file:///nowhere')),
      handle: () => undefined,
    });
    const env = { METRICS_PORT: '0' };
    const kafka = new MemoryKafka(systemClock);
    for (const { topic, partitions } of deriveTopics(resolve(worker, env))) kafka.createTopic(topic, partitions);
    const run = runWorker(worker, {
      env,
      kafka: () => kafka,
      signal: new AbortController().signal,
      log: listening().log,
    });
    await expect(run).rejects.toThrow('no store');
  });
});

describe('the topology file', () => {
  const worker = defineWorker({ name: 'shop', consumes: orders, handle: () => undefined });
  const write = (prefix: string) => {
    const path = join(folder, `${prefix}.json`);
    writeFileSync(path, JSON.stringify(topologyOf([resolve(worker, { WEIR_TOPIC_PREFIX: prefix })])));
    return path;
  };
  const run = (runs: Parameters<typeof runWorker>[0], env: Record<string, string>) =>
    runWorker(runs, {
      env: { METRICS_PORT: '0', ...env },
      kafka: () => new MemoryKafka(systemClock),
      signal: AbortSignal.abort(new Error('at once')),
      log: listening().log,
    });

  test('makes the worker that depends on it', async () => {
    const given: unknown[] = [];
    await run(
      (topology) => {
        given.push(topology.workers.map((each) => each.name));
        return worker;
      },
      { WEIR_TOPOLOGY: write('xact') },
    );
    expect(given).toEqual([['shop']]);
  });

  test('that is missing is named together with all other problems of such a worker’s settings', async () => {
    const made: string[] = [];
    const env = { KAFKA_SESSION_TIMEOUT_MS: 'soon', METRICS_PORT: '-1', TABLE: '' };
    const start = run((topology) => {
      made.push(...topology.workers.flatMap((each) => [...each.retry, each.deadLetters!]).map(({ name }) => name));
      return defineWorker({
        name: 'shop',
        consumes: orders,
        config: z.object({ TABLE: z.string().describe('Where the table is.') }),
        handle: () => undefined,
      });
    }, env);
    const error = await start.catch((thrown: unknown) => thrown);
    expect(error).toBeInstanceOf(ConfigError);
    expect((error as ConfigError).problems.map(({ variable }) => variable).sort()).toEqual([
      'KAFKA_SESSION_TIMEOUT_MS',
      'METRICS_PORT',
      'TABLE',
      'WEIR_TOPOLOGY',
    ]);
    expect(made.length).toBe(2);
  });

  test('is required by such a worker, must be one, and must be of the same prefix', async () => {
    await expect(run(() => worker, {})).rejects.toThrow('WEIR_TOPOLOGY: is required');
    const selfish = () => {
      throw new Error('no worker of mine');
    };
    await expect(run(selfish, {})).rejects.toThrow('WEIR_TOPOLOGY: is required');
    await expect(run(worker, { WEIR_TOPOLOGY: join(folder, 'none.json') })).rejects.toThrow(TopologyInvalidError);
    await expect(run(worker, { WEIR_TOPOLOGY: write('other') })).rejects.toThrow(
      'this topology has the prefix "other", but WEIR_TOPIC_PREFIX is "xact"',
    );
  });
});
