/**
 * A worker whose handlers together want more memory than its heap has. With the guard it takes turns and finishes; the
 * same worker with the guard off dies of "heap out of memory", which shows that the guard is what saves it.
 */
import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { join } from 'node:path';
import { setTimeout } from 'node:timers/promises';
import { type Broker, startBroker } from '@weir/dev-broker';
import { Kafka, logLevel } from 'kafkajs';
import { afterEach, expect, test } from 'vitest';

const RECORDS = 300;
/** 200 would come to be in flight and hold 60 MB; with what a worker at rest has, the heap is full after 4 s. */
const PER_SECOND = 40;
const children: ChildProcess[] = [];
const brokers: Broker[] = [];
afterEach(async () => {
  for (const child of children.splice(0))
    if (child.exitCode === null && child.signalCode === null) child.kill('SIGKILL');
  for (const broker of brokers.splice(0)) await broker.stop();
});

async function openBroker(): Promise<Broker> {
  const broker = await startBroker();
  brokers.push(broker);
  for (const topic of ['xact.hoarder.retry.5s', 'xact.hoarder.dlq', 'xact.loads'])
    broker.createTopic(topic, { partitions: 2 });
  return broker;
}

/** In tenths of a second. */
async function sendAll(broker: Broker): Promise<void> {
  const producer = new Kafka({ brokers: [...broker.brokers], logLevel: logLevel.NOTHING }).producer();
  await producer.connect();
  for (let sent = 0; sent < RECORDS; sent += PER_SECOND / 10) {
    const messages = Array.from({ length: PER_SECOND / 10 }, (_, at) => ({
      value: JSON.stringify({ n: sent + at }),
      partition: at % 2,
    }));
    await producer.send({ topic: 'xact.loads', messages });
    await setTimeout(100);
  }
  await producer.disconnect();
}

/** 64 MB of old generation: a worker at rest has some 20 of them. */
function startHoarder(broker: Broker, env: Record<string, string> = {}) {
  const child = spawn(
    process.execPath,
    ['--max-old-space-size=64', '--conditions=source', join(import.meta.dirname, 'hoarding-worker.ts')],
    {
      env: {
        PATH: process.env.PATH,
        METRICS_PORT: '0',
        KAFKA_BROKERS: broker.brokers.join(','),
        WEIR_SIGNAL_INTERVAL_MS: '200',
        ...env,
      },
      stdio: ['ignore', 'pipe', 'pipe'],
    },
  );
  children.push(child);
  let output = '';
  for (const stream of [child.stdout, child.stderr])
    stream.on('data', (data: Buffer) => {
      output += data.toString();
    });
  return { child, exited: once(child, 'close'), output: () => output };
}

async function committed(broker: Broker): Promise<number> {
  const admin = new Kafka({ brokers: [...broker.brokers], logLevel: logLevel.NOTHING }).admin();
  await admin.connect();
  const [topic] = await admin.fetchOffsets({ groupId: 'xact-hoarder', topics: ['xact.loads'] });
  await admin.disconnect();
  return (topic?.partitions ?? []).reduce((sum, { offset }) => sum + Math.max(0, Number(offset)), 0);
}

test('a worker that nears its heap limit takes turns, finishes everything and ends by itself', async () => {
  const broker = await openBroker();
  const { child, exited, output } = startHoarder(broker);
  await expect.poll(output, { timeout: 20_000 }).toContain('"started"');
  await sendAll(broker);
  let ended = false;
  void exited.then(() => {
    ended = true;
  });
  await expect
    .poll(
      async () => {
        // Thrown here it would be tried again for a minute.
        return ended ? `the worker died: ${output()}` : await committed(broker);
      },
      { timeout: 60_000, interval: 250 },
    )
    .toBe(RECORDS);
  expect(output()).toMatch(/memory is short: \d+ of 58 MB of V8’s heap in use, above 85 %/);
  expect(output()).toContain('memory is no longer short');
  child.kill('SIGTERM');
  expect(await exited).toEqual([0, null]);
}, 90_000);

test('the same worker without the guard dies of its heap', async () => {
  const broker = await openBroker();
  const { exited, output } = startHoarder(broker, { WEIR_MEMORY_PAUSE_PERCENT: '0' });
  await expect.poll(output, { timeout: 20_000 }).toContain('"started"');
  await sendAll(broker);
  const [code] = await exited;
  expect(code).not.toBe(0);
  expect(output()).toContain('heap out of memory');
  expect(await committed(broker)).toBeLessThan(RECORDS);
}, 90_000);
