/** Resident memory of a hello-world worker, from `dist` on plain node: joined, a thousand records handled, then at rest. */
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { existsSync } from 'node:fs';
import { setTimeout as wait } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';
import { Kafka, logLevel } from 'kafkajs';
import { startDevBroker } from '../load.ts';
import { median, table, type Verdict, verdict } from '../rounds.ts';
import { residentMb } from './child-worker.ts';

const BUILT = fileURLToPath(new URL('../../packages/sdk/dist/index.js', import.meta.url));
const HELLO = fileURLToPath(new URL('./hello-worker.js', import.meta.url));

export async function memory(options: { rounds: number }): Promise<{ verdicts: readonly Verdict[]; text: string }> {
  if (!existsSync(BUILT)) throw new Error('there is no dist to measure: run `npm run build` first');
  const readings: { joined: number; worked: number }[] = [];
  for (let round = 0; round < options.rounds; round++) readings.push(await restingMb());
  const joined = readings.map((reading) => reading.joined);
  const worked = readings.map((reading) => reading.worked);
  const row = (name: string, of: readonly number[]) => [
    name,
    median(of).toFixed(1),
    Math.min(...of).toFixed(1),
    Math.max(...of).toFixed(1),
  ];
  const text = table([
    ['hello-world worker, dist', 'RSS at rest, MB', 'least', 'most'],
    row('joined, before its first record', joined),
    row('after a thousand records', worked),
  ]);
  return {
    text,
    verdicts: [
      verdict('hello-world worker, joined: RSS in MB', median(joined), { under: 100 }),
      verdict('hello-world worker, after a thousand records: RSS in MB', median(worked), { under: 100 }),
    ],
  };
}

async function restingMb(): Promise<{ joined: number; worked: number }> {
  const broker = await startDevBroker();
  const kafka = new Kafka({ brokers: [...broker.brokers], logLevel: logLevel.NOTHING });
  const admin = kafka.admin();
  await admin.connect();
  // all that the declaration derives: its topic, the retry ladder, the dead letters
  const names = ['greetings', ...['5m', '10m', '20m', '40m'].map((delay) => `hello.retry.${delay}`), 'hello.dlq'];
  await admin.createTopics({ topics: names.map((name) => ({ topic: `xact.${name}`, numPartitions: 3 })) });
  await admin.disconnect();
  const child = spawn(process.execPath, [HELLO], {
    env: {
      PATH: process.env.PATH ?? '',
      KAFKA_BROKERS: broker.brokers.join(','),
      METRICS_PORT: '0',
      LOG_LEVEL: 'warn',
    },
    stdio: ['ignore', 'pipe', 'inherit'],
  });
  try {
    const greeted = new Promise<void>((resolve, reject) => {
      child.stdout.on('data', (data: Buffer) => data.toString().includes('greeted 1000') && resolve());
      child.on('exit', (code) => reject(new Error(`the hello-world worker ended with exit code ${code}`)));
      setTimeout(() => reject(new Error('the hello-world worker greeted nobody for 30 s')), 30_000).unref();
    });
    await wait(4_000);
    const joined = residentMb(child.pid!);
    const producer = kafka.producer();
    await producer.connect();
    const messages = Array.from({ length: 1000 }, (_, index) => ({ value: JSON.stringify({ name: `n${index}` }) }));
    await producer.send({ topic: 'xact.greetings', messages });
    await producer.disconnect();
    await greeted;
    await wait(5_000);
    return { joined, worked: residentMb(child.pid!) };
  } finally {
    if (child.exitCode === null) {
      child.removeAllListeners('exit');
      child.kill('SIGTERM');
      await once(child, 'exit');
    }
    await broker.stop();
  }
}
