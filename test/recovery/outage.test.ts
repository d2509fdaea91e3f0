/**
 * An HTTP server that goes away and comes back, under a real worker on the development broker. In CI it is away for 6 s
 * with a cool-down of 3; by hand for a minute with the cool-down that is the default:
 *
 *   WEIR_OUTAGE_MS=60000 npx vitest run test/recovery/outage.test.ts
 */
import { once } from 'node:events';
import { Agent, createServer, get, type Server } from 'node:http';
import { setTimeout as sleep } from 'node:timers/promises';
import { createLogger } from '@weir/core';
import { type Broker, startBroker } from '@weir/dev-broker';
import { bytes, defineWorker, deriveTopics, resolve, runWorker, topic } from '@weir/sdk';
import { Kafka, logLevel } from 'kafkajs';
import { afterEach, expect, test } from 'vitest';
import { freePorts } from '../support/kafka.ts';
import { until } from '../support/until.ts';

const OUTAGE_MS = Number(process.env.WEIR_OUTAGE_MS ?? 6_000);
const COOL_DOWN_MS = OUTAGE_MS / 2;
const PER_SECOND = 60;

const endings: (() => unknown)[] = [];
afterEach(async () => {
  for (const end of endings.splice(0).reverse()) await end();
});

/** Answers on a port of its own, or nobody is there. */
class Host {
  readonly port: number;
  calls = 0;
  #server: Server | undefined;

  constructor(port: number) {
    this.port = port;
  }

  async up(): Promise<void> {
    this.#server = createServer((_request, response) => {
      this.calls++;
      setTimeout(() => response.end('ok'), 10);
    });
    this.#server.listen(this.port, '127.0.0.1');
    await once(this.#server, 'listening');
  }

  async down(): Promise<void> {
    const server = this.#server;
    this.#server = undefined;
    if (server === undefined) return;
    server.closeAllConnections();
    await new Promise((resolve) => server.close(resolve));
  }
}

async function openHosts(count: number): Promise<Host[]> {
  const hosts = (await freePorts(count)).map((port) => new Host(port));
  for (const host of hosts) {
    await host.up();
    endings.push(() => host.down());
  }
  return hosts;
}

/** A worker that requests the port that is in the record. */
async function openWorker(broker: Broker, name: string, keyed: boolean) {
  const agent = new Agent({ keepAlive: true });
  endings.push(() => agent.destroy());
  const done: { port: number; atMs: number }[] = [];
  const seen = { burnt: 0 };
  const request = (port: number, signal: AbortSignal) =>
    new Promise<void>((resolve, reject) => {
      get({ port, host: '127.0.0.1', agent, signal }, (response) => {
        response.resume();
        response.on('end', resolve).on('error', reject);
      }).on('error', reject);
    });
  const worker = defineWorker({
    name,
    consumes: topic(name, bytes, { partitions: 4 }),
    retry: { delays: ['5m'] },
    dependencies: { hosts: { keyed: true, timeout: '2s' }, service: { timeout: '2s' } },
    async handle({ value, attempt }, ctx) {
      if (attempt > 0) seen.burnt++;
      const port = Number(value.toString());
      if (keyed) await ctx.call('hosts', String(port), (signal) => request(port, signal));
      else await ctx.call('service', (signal) => request(port, signal));
      done.push({ port, atMs: performance.now() });
    },
  });
  const env = {
    KAFKA_BROKERS: broker.brokers.join(','),
    METRICS_PORT: '0',
    WEIR_BREAKER_COOL_DOWN_MS: String(COOL_DOWN_MS),
    WEIR_SIGNAL_INTERVAL_MS: '200',
  };
  for (const spec of deriveTopics(resolve(worker, env)))
    broker.createTopic(spec.topic, { partitions: spec.partitions });
  const lines: { msg: string; port?: number }[] = [];
  const stop = new AbortController();
  const log = createLogger({ name, destination: { write: (line: string) => void lines.push(JSON.parse(line)) } });
  const running = runWorker(worker, { env, signal: stop.signal, log });
  endings.push(async () => {
    stop.abort(new Error('the test is over'));
    await running;
  });
  await until('it has an assignment', () => lines.some(({ msg }) => msg.startsWith('assigned ')));
  const metrics = async () =>
    await (await fetch(`http://127.0.0.1:${lines.find(({ msg }) => msg === 'listening')!.port}/metrics`)).text();
  return { done, seen, lines, metrics };
}

/** Sends a steady load round robin to the hosts until told to stop. */
async function startLoad(broker: Broker, name: string, hosts: readonly Host[]) {
  const producer = new Kafka({ brokers: [...broker.brokers], logLevel: logLevel.NOTHING }).producer();
  await producer.connect();
  let sent = 0;
  let sending = true;
  const running = (async () => {
    while (sending) {
      const messages = Array.from({ length: PER_SECOND / 20 }, () => ({
        value: String(hosts[sent++ % hosts.length]!.port),
        partition: sent % 4,
      }));
      await producer.send({ topic: `xact.${name}`, messages });
      await sleep(50);
    }
    await producer.disconnect();
  })();
  return async () => {
    sending = false;
    await running;
    return sent;
  };
}

function written(broker: Broker, topicName: string): number {
  const found = broker.inspect().topics.find((each) => each.name === topicName);
  return (found?.partitions ?? []).reduce((sum, each) => sum + each.endOffset, 0);
}

test('a service that is away costs no attempt and no dead letter, and is used again within one cool-down', async () => {
  const broker = await startBroker();
  endings.push(() => broker.stop());
  const [host] = (await openHosts(1)) as [Host];
  const { done, seen, metrics } = await openWorker(broker, 'plain', false);
  const stopLoad = await startLoad(broker, 'plain', [host]);
  await until('it flows', () => done.length > PER_SECOND);

  await host.down();
  await sleep(OUTAGE_MS * 0.6);
  const page = await metrics();
  expect(page).toMatch(/kafka_circuit_breaker_state\{dependency="service",state="(open|half-open)"\} 1/);
  expect(page).toMatch(/weir_paused\{reason="breaker",[^}]*\} [01]/);
  await sleep(OUTAGE_MS * 0.4);
  await host.up();
  const back = performance.now();
  const before = done.length;
  await until('it is used again', () => done.length > before, COOL_DOWN_MS + 5_000);
  expect(performance.now() - back).toBeLessThan(COOL_DOWN_MS + 2_000);

  const sent = await stopLoad();
  await until(
    () => `${sent - done.length} of ${sent} are not done`,
    () => done.length >= sent,
    60_000,
  );
  expect(done.length).toBe(sent);
  expect(seen.burnt).toBe(0);
  expect(written(broker, 'xact.plain.retry.5m')).toBe(0);
  expect(written(broker, 'xact.plain.dlq')).toBe(0);
}, 240_000);

test('one host of four that is away takes nothing from the others', async () => {
  const broker = await startBroker();
  endings.push(() => broker.stop());
  const hosts = await openHosts(4);
  const dead = hosts[3]!;
  const { done, seen } = await openWorker(broker, 'keyed', true);
  const stopLoad = await startLoad(broker, 'keyed', hosts);
  await until('it flows', () => done.length > PER_SECOND);
  const others = (from: number, to: number) =>
    done.filter((each) => each.port !== dead.port && each.atMs > from && each.atMs <= to).length;

  const begin = performance.now();
  await sleep(OUTAGE_MS / 2);
  const from = performance.now();
  await dead.down();
  await sleep(OUTAGE_MS);
  const to = performance.now();
  await dead.up();
  const share = others(from, to) / (to - from) / (others(begin, from) / (from - begin));
  expect(share).toBeGreaterThan(0.9);
  expect(share).toBeLessThan(1.1);
  await until(
    'it is used again',
    () => done.some((each) => each.port === dead.port && each.atMs > to),
    COOL_DOWN_MS + 5_000,
  );
  const sent = await stopLoad();
  const waiting = () => written(broker, 'xact.keyed.retry.5m');
  await until(
    () => `${sent - done.length - waiting()} are nowhere`,
    () => done.length + waiting() >= sent,
    60_000,
  );
  expect(seen.burnt).toBe(0);
  expect(written(broker, 'xact.keyed.dlq')).toBe(0);
}, 240_000);
