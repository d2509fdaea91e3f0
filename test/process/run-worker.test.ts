/** `runWorker` as a real process against a broker on a socket: signals, exit codes, what people read. */
import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { createServer } from 'node:net';
import { join } from 'node:path';
import { type Broker, startBroker } from '@weir/dev-broker';
import { Kafka, logLevel } from 'kafkajs';
import { afterEach, describe, expect, test } from 'vitest';

const children: ChildProcess[] = [];
const brokers: Broker[] = [];
afterEach(async () => {
  for (const child of children.splice(0))
    if (child.exitCode === null && child.signalCode === null) child.kill('SIGKILL');
  for (const broker of brokers.splice(0)) await broker.stop();
});

async function openBroker(port = 0): Promise<Broker> {
  const broker = await startBroker({ port });
  brokers.push(broker);
  for (const topic of ['xact.shop.retry.5s', 'xact.shop.dlq']) broker.createTopic(topic, { partitions: 3 });
  broker.createTopic('xact.orders', { partitions: 2 });
  return broker;
}

function startShop(env: Record<string, string>) {
  const child = spawn(process.execPath, ['--conditions=source', join(import.meta.dirname, 'shop-worker.ts')], {
    env: { PATH: process.env.PATH, METRICS_PORT: '0', SHOP_TOKEN: 'long-enough', ...env },
    stdio: ['ignore', 'pipe', 'pipe'],
  });
  children.push(child);
  const lines: string[] = [];
  const waiters = new Set<() => void>();
  let errors = '';
  let rest = '';
  child.stderr.on('data', (data: Buffer) => {
    errors += data.toString();
  });
  child.stdout.on('data', (data: Buffer) => {
    const parts = (rest + data.toString()).split('\n');
    rest = parts.pop() ?? '';
    lines.push(...parts);
    for (const waiter of waiters) waiter();
  });
  const exited = once(child, 'close').then(([code]) => code as number | null);
  const line = async (text: RegExp): Promise<Record<string, unknown>> => {
    const look = () => lines.find((each) => text.test(each));
    while (look() === undefined) {
      const more = new Promise<void>((resolve) => {
        const waiter = () => {
          waiters.delete(waiter);
          resolve();
        };
        waiters.add(waiter);
      });
      const over = await Promise.race([more, exited.then(() => true)]);
      if (over && look() === undefined)
        throw new Error(`the process ended without a line like ${text}:\n${lines.join('\n')}\n${errors}`);
    }
    return JSON.parse(look()!) as Record<string, unknown>;
  };
  return { child, exited, line, lines, errors: () => errors };
}

async function send(broker: Broker, ...orders: object[]): Promise<void> {
  const producer = new Kafka({ brokers: [...broker.brokers], logLevel: logLevel.NOTHING }).producer();
  await producer.connect();
  await producer.send({ topic: 'xact.orders', messages: orders.map((order) => ({ value: JSON.stringify(order) })) });
  await producer.disconnect();
}

/** A worker with this order in hand. */
async function atWork(order: object, env: Record<string, string> = {}) {
  const broker = await openBroker();
  const shop = startShop({ KAFKA_BROKERS: broker.brokers.join(','), ...env });
  await shop.line(/"started"/);
  await send(broker, order);
  await shop.line(/"begun"/);
  return { ...shop, broker };
}

async function committed(broker: Broker): Promise<number> {
  const admin = new Kafka({ brokers: [...broker.brokers], logLevel: logLevel.NOTHING }).admin();
  await admin.connect();
  const [topic] = await admin.fetchOffsets({ groupId: 'xact-shop', topics: ['xact.orders'] });
  await admin.disconnect();
  return (topic?.partitions ?? []).reduce((sum, { offset }) => sum + Math.max(0, Number(offset)), 0);
}

async function deleteOrders(broker: Broker): Promise<void> {
  const admin = new Kafka({ brokers: [...broker.brokers], logLevel: logLevel.NOTHING }).admin();
  await admin.connect();
  await admin.deleteTopics({ topics: ['xact.orders'] });
  await admin.disconnect();
}

async function freePort(): Promise<number> {
  const server = createServer().listen(0, '127.0.0.1');
  await once(server, 'listening');
  const { port } = server.address() as { port: number };
  server.close();
  await once(server, 'close');
  return port;
}

describe('signals', () => {
  test.each([
    'SIGTERM',
    'SIGINT',
  ] as const)('%s finishes what is in hand, commits it and exits with 0', async (signal) => {
    const { broker, child, exited, line } = await atWork({ kind: 'slow', ms: 700 });
    child.kill(signal);
    await line(/"ended"/);
    expect(await line(/"drained"/)).toMatchObject({ complete: true });
    expect(await exited).toBe(0);
    expect(await committed(broker)).toBe(1);
  });

  test('past the deadline the rest is aborted, not committed, and the exit code is 3', async () => {
    const { broker, child, exited, line } = await atWork({ kind: 'slow', ms: 60_000 }, { DRAIN_TIMEOUT_MS: '200' });
    child.kill('SIGTERM');
    await line(/aborting what is still in hand/);
    expect(await exited).toBe(3);
    expect(await committed(broker)).toBe(0);
  });

  test('the second signal does not wait for the deadline', async () => {
    const { child, exited, line } = await atWork({ kind: 'deaf' }, { DRAIN_TIMEOUT_MS: '600000' });
    child.kill('SIGTERM');
    await line(/"draining/);
    child.kill('SIGTERM');
    expect(await exited).toBe(3);
  });

  test('the third signal ends it there and then, without the grace that the second one gives', async () => {
    const { child, exited, line } = await atWork({ kind: 'deaf' }, { DRAIN_TIMEOUT_MS: '600000' });
    child.kill('SIGTERM');
    await line(/"draining/);
    child.kill('SIGTERM');
    await line(/aborting what is still in hand/);
    const since = performance.now();
    child.kill('SIGTERM');
    expect(await exited).toBe(3);
    expect(performance.now() - since).toBeLessThan(3_000);
  });

  test('a signal while Kafka is not there ends it with 0', async () => {
    const { child, exited, line } = startShop({ KAFKA_BROKERS: `127.0.0.1:${await freePort()}` });
    await line(/not started yet: no Kafka broker answers at/);
    child.kill('SIGTERM');
    expect(await exited).toBe(0);
  });
});

describe('what can go wrong', () => {
  test('settings that cannot be used are listed for people, and the exit code is 2', async () => {
    const { exited, errors, lines } = startShop({
      METRICS_PORT: 'http',
      KAFKA_BROKERS: 'nowhere',
      SHOP_TOKEN: 'short',
    });
    expect(await exited).toBe(2);
    expect(lines).toEqual([]);
    expect(errors()).toContain('3 setting(s) cannot be used:');
    expect(errors()).toContain('METRICS_PORT: must be a whole number from 0 to 65535 (given: "http")');
    expect(errors()).toContain('KAFKA_BROKERS: must be a list of host:port');
    expect(errors()).toContain('SHOP_TOKEN: ');
    expect(errors()).not.toContain('short');
    expect(errors()).not.toContain('    at ');
  });

  test('a taken port is named, and the exit code is 2', async () => {
    const server = createServer().listen(0);
    await once(server, 'listening');
    const { port } = server.address() as { port: number };
    const { exited, errors } = startShop({ METRICS_PORT: String(port), KAFKA_BROKERS: '127.0.0.1:1' });
    expect(await exited).toBe(2);
    expect(errors()).toContain(`port ${port} is taken by another process`);
    expect(errors()).toContain('METRICS_PORT');
    server.close();
  });

  test('a topology file that cannot be read is named, and the exit code is 2', async () => {
    const { exited, errors } = startShop({ WEIR_TOPOLOGY: '/nowhere/topology.json', KAFKA_BROKERS: '127.0.0.1:1' });
    expect(await exited).toBe(2);
    expect(errors()).toContain('/nowhere/topology.json');
  });

  test('a broker that refuses the login ends nothing: it is said, and the exit code after a signal is 0', async () => {
    const broker = await openBroker();
    const { child, exited, line } = startShop({
      KAFKA_BROKERS: broker.brokers.join(','),
      KAFKA_SECURITY_PROTOCOL: 'SASL_PLAINTEXT',
      KAFKA_SASL_MECHANISM: 'plain',
      KAFKA_SASL_USERNAME: 'shop',
      KAFKA_SASL_PASSWORD: 'wrong',
    });
    expect(await line(/not started yet/)).toMatchObject({ level: 40 });
    child.kill('SIGTERM');
    expect(await exited).toBe(0);
  });

  test('a topic that is deleted under a worker ends nothing: it is named, /readyz fails, and a signal ends it with 0', async () => {
    const broker = await openBroker();
    const { child, exited, line } = startShop({
      KAFKA_BROKERS: broker.brokers.join(','),
      KAFKA_SESSION_TIMEOUT_MS: '6000',
      KAFKA_MAX_POLL_INTERVAL_MS: '10000',
    });
    const { port } = await line(/"listening"/);
    await line(/"assigned 2/);
    await deleteOrders(broker);
    await line(/topic\(s\) missing: xact\.orders.*weir topics create/);
    for (let ready = 200; ready !== 503; ready = (await fetch(`http://127.0.0.1:${port}/readyz`)).status)
      await new Promise((resolve) => setTimeout(resolve, 100));
    expect((await fetch(`http://127.0.0.1:${port}/healthz`)).status).toBe(200);
    child.kill('SIGTERM');
    expect(await exited).toBe(0);
  });

  test('an exception that nobody catches is logged, and the exit code is 1', async () => {
    const broker = await openBroker();
    const { exited, line } = startShop({ KAFKA_BROKERS: broker.brokers.join(',') });
    await line(/"started"/);
    await send(broker, { kind: 'crash' });
    expect(await line(/nobody catches this/)).toMatchObject({ level: 50 });
    expect(await exited).toBe(1);
  });

  test('a broker that comes later is waited for, and /readyz says so meanwhile', async () => {
    const port = await freePort();
    const { child, exited, line } = startShop({ KAFKA_BROKERS: `127.0.0.1:${port}` });
    const { port: http } = await line(/"listening"/);
    await line(/not started yet: no Kafka broker answers at/);
    const before = await fetch(`http://127.0.0.1:${http}/readyz`);
    expect(before.status).toBe(503);
    expect(await before.text()).toContain(`no Kafka broker answers at 127.0.0.1:${port}`);
    expect((await fetch(`http://127.0.0.1:${http}/healthz`)).status).toBe(200);
    const broker = await openBroker(port);
    await line(/"started"/);
    await send(broker, { kind: 'ok' });
    await line(/"begun"/);
    expect((await fetch(`http://127.0.0.1:${http}/readyz`)).status).toBe(200);
    child.kill('SIGTERM');
    expect(await exited).toBe(0);
    expect(await committed(broker)).toBe(1);
  });
});
