/**
 * Records that end the process which handles them, and processes that end for reasons of their own: real processes,
 * started again by a supervisor as a pod is, on the dev broker and on real Kafka.
 */
import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { existsSync, mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { type Broker, startBroker } from '@weir/dev-broker';
import { type IHeaders, Kafka, logLevel } from 'kafkajs';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { startKafka } from '../support/kafka.ts';

const PARTITIONS = 4;
const RECORDS = 400;
const KILLER = 217;
/** One partition, one place in it. */
const KILLER_AT = `${KILLER % PARTITIONS}/${Math.floor(KILLER / PARTITIONS)}`;
/** Longer than a process stands still on a busy machine. */
const SESSION_MS = 2_000;
const TIMEOUT = { timeout: 240_000 };
/** Four starts of a process, on a machine that is busy with other tests. */
const PATIENCE_MS = 150_000;

type Kind = 'ok' | 'kill' | 'abort' | 'memory';

/** One group of processes that are started again whenever they end, until the scene is over. */
class Scene {
  readonly #env: Record<string, string>;
  readonly #args: readonly string[];
  readonly #folder = mkdtempSync(join(tmpdir(), 'weir-poison-'));
  readonly #running = new Set<ChildProcess>();
  readonly #client: Kafka;
  readonly #prefix = `p${process.hrtime.bigint().toString(36)}`;
  readonly #over: Promise<unknown>[] = [];
  #output = '';
  #ending = false;
  /** How processes ended that were not told to. */
  readonly ends: (number | string)[] = [];

  constructor(brokers: readonly string[], options: { env?: Record<string, string>; args?: readonly string[] } = {}) {
    this.#client = new Kafka({ brokers: [...brokers], logLevel: logLevel.NOTHING });
    this.#args = options.args ?? [];
    this.#env = {
      PATH: process.env.PATH ?? '',
      METRICS_PORT: '0',
      KAFKA_BROKERS: brokers.join(','),
      KAFKA_SESSION_TIMEOUT_MS: String(SESSION_MS),
      KAFKA_HEARTBEAT_INTERVAL_MS: '200',
      WEIR_SIGNAL_INTERVAL_MS: '200',
      WEIR_TOPIC_PREFIX: this.#prefix,
      FRAGILE_LOG: join(this.#folder, 'log'),
      ...options.env,
    };
  }

  get group(): string {
    return `${this.#prefix}-fragile`;
  }

  /** Makes the topics and sends `RECORDS` records, in turn over the partitions. */
  async prepare(kindOf: (n: number) => Kind, ms: number): Promise<void> {
    const topic = `${this.#prefix}.tasks`;
    const admin = this.#client.admin();
    await admin.connect();
    await admin.createTopics({
      waitForLeaders: true,
      topics: [
        { topic, numPartitions: PARTITIONS },
        ...['retry.5s', 'dlq'].map((name) => ({ topic: `${this.#prefix}.fragile.${name}`, numPartitions: 1 })),
      ],
    });
    await admin.disconnect();
    // Right after its creation a topic refuses some partitions for a moment: kafkajs then sends to all of them again.
    const producer = this.#client.producer({ idempotent: true });
    await producer.connect();
    const messages = Array.from({ length: RECORDS }, (_, n) => ({
      partition: n % PARTITIONS,
      value: JSON.stringify({ n, kind: kindOf(n), ms }),
    }));
    await producer.send({ topic, messages });
    await producer.disconnect();
  }

  start(): void {
    const child = spawn(
      process.execPath,
      [...this.#args, '--conditions=source', join(import.meta.dirname, 'fragile-worker.ts')],
      { env: this.#env, cwd: this.#folder, stdio: ['ignore', 'pipe', 'pipe'] },
    );
    this.#running.add(child);
    for (const stream of [child.stdout, child.stderr])
      stream.on('data', (data: Buffer) => {
        this.#output += data.toString();
      });
    this.#over.push(
      once(child, 'close').then(([code, signal]) => {
        this.#running.delete(child);
        if (this.#ending) return;
        this.ends.push((signal ?? code) as string | number);
        this.start();
      }),
    );
  }

  kill(): void {
    for (const child of this.#running) child.kill('SIGKILL');
  }

  get output(): string {
    return this.#output;
  }

  /** How often each record was begun, or done. */
  counts(what: 'begun' | 'done'): Map<number, number> {
    const counts = new Map<number, number>();
    if (!existsSync(this.#env.FRAGILE_LOG!)) return counts;
    for (const line of readFileSync(this.#env.FRAGILE_LOG!, 'utf8').split('\n')) {
      const [word, n] = line.split(' ');
      if (word === what) counts.set(Number(n), (counts.get(Number(n)) ?? 0) + 1);
    }
    return counts;
  }

  async until(what: string, holds: () => boolean | Promise<boolean>): Promise<void> {
    const giveUpAt = Date.now() + PATIENCE_MS;
    while (!(await holds())) {
      if (Date.now() > giveUpAt) throw new Error(`not in time: ${what}\n${this.ends}\n${this.#output.slice(-20_000)}`);
      await new Promise((resolve) => setTimeout(resolve, 50));
    }
  }

  /** Records between what is committed and the ends of the logs. */
  async lag(): Promise<number> {
    const name = `${this.#prefix}.tasks`;
    const admin = this.#client.admin();
    await admin.connect();
    const [committed] = await admin.fetchOffsets({ groupId: this.group, topics: [name] });
    const ends = await admin.fetchTopicOffsets(name);
    await admin.disconnect();
    const sum = (offsets: readonly { offset: string }[] = []) =>
      offsets.reduce((total, { offset }) => total + Math.max(0, Number(offset)), 0);
    return sum(ends) - sum(committed?.partitions);
  }

  async deadLetters(): Promise<{ n: number; headers: Record<string, string> }[]> {
    const topic = `${this.#prefix}.fragile.dlq`;
    const admin = this.#client.admin();
    await admin.connect();
    const [end] = await admin.fetchTopicOffsets(topic);
    await admin.disconnect();
    const letters: { n: number; headers: Record<string, string> }[] = [];
    if (Number(end!.high) === 0) return letters;
    const consumer = this.#client.consumer({ groupId: `${this.#prefix}-reader`, maxWaitTimeInMs: 100 });
    await consumer.connect();
    await consumer.subscribe({ topic, fromBeginning: true });
    const all = Promise.withResolvers<void>();
    await consumer.run({
      eachMessage: async ({ message }) => {
        const { n } = JSON.parse(message.value!.toString()) as { n: number };
        letters.push({ n, headers: plain(message.headers) });
        if (letters.length === Number(end!.high)) all.resolve();
      },
    });
    await all.promise;
    await consumer.disconnect();
    return letters;
  }

  /** Everything is committed; the processes are told to leave. */
  async finish(): Promise<void> {
    // Nobody may ask before the group has a coordinator.
    await this.until('nearly all are done', () => this.counts('done').size >= RECORDS - 1);
    await this.until('everything is committed', async () => (await this.lag()) === 0);
    this.#ending = true;
    for (const child of this.#running) child.kill('SIGTERM');
    await Promise.all(this.#over);
  }

  async close(): Promise<void> {
    this.#ending = true;
    this.kill();
    await Promise.all(this.#over);
    rmSync(this.#folder, { recursive: true, force: true });
  }
}

function plain(headers: IHeaders = {}): Record<string, string> {
  return Object.fromEntries(Object.entries(headers).map(([name, value]) => [name, String(value)]));
}

/** The record was handled three times and is a dead letter that says why; every other one is handled. */
async function expectOneBuried(scene: Scene): Promise<void> {
  const letters = await scene.deadLetters();
  expect(letters.map(({ n }) => n)).toEqual([KILLER]);
  expect(letters[0]!.headers).toMatchObject({
    'weir-group': scene.group,
    'weir-error-class': 'poison',
    'weir-attempt': '3',
    'weir-error': expect.stringMatching(
      /^3 processes ended without leaving while this record was in flight .*WEIR_RECORD_POISONOUS/,
    ) as string,
    'weir-origin': expect.stringContaining(`tasks/${KILLER_AT}`) as string,
  });
  expect(scene.counts('begun').get(KILLER)).toBe(3);
  const done = scene.counts('done');
  expect(Array.from({ length: RECORDS }, (_, n) => n).filter((n) => !done.has(n))).toEqual([KILLER]);
}

/** What the record does to its process, how that ends, and what the processes are like. */
const DEATHS: readonly {
  title: string;
  kind: Kind;
  end: number | string;
  members: number;
  env?: Record<string, string>;
  args?: readonly string[];
}[] = [
  { title: 'kills one of two members', kind: 'kill', end: 'SIGKILL', members: 2 },
  { title: 'aborts, in a batch', kind: 'abort', end: 'SIGABRT', members: 1, env: { FRAGILE_BATCH: '1' } },
  { title: 'fills the heap', kind: 'memory', end: 'SIGABRT', members: 1, args: ['--max-old-space-size=64'] },
];

async function die(scene: Scene, { kind, end, members }: Pick<(typeof DEATHS)[number], 'kind' | 'end' | 'members'>) {
  await scene.prepare((n) => (n === KILLER ? kind : 'ok'), 10);
  for (let member = 0; member < members; member++) scene.start();
  await scene.finish();
  expect(scene.ends, scene.output).toEqual([end, end, end]);
  await expectOneBuried(scene);
}

const kafka = await startKafka();
let broker: Broker;
beforeAll(async () => {
  broker = await startBroker();
});
afterAll(async () => {
  await broker.stop();
  await kafka?.stop();
});

describe('a record that', () => {
  for (const death of DEATHS)
    test.concurrent(`${death.title} is a dead letter at the fourth start`, TIMEOUT, async (context) => {
      const scene = new Scene(broker.brokers, death);
      context.onTestFinished(() => scene.close());
      await die(scene, death);
    });

  const onKafka = kafka === undefined ? test.skip : test.concurrent;
  onKafka('kills its process is one on real Kafka too', TIMEOUT, async (context) => {
    const scene = new Scene(kafka!.brokers);
    context.onTestFinished(() => scene.close());
    await die(scene, DEATHS[0]!);
  });

  test.concurrent('is healthy is none when its worker is killed three times', TIMEOUT, async (context) => {
    const scene = new Scene(broker.brokers);
    context.onTestFinished(() => scene.close());
    await scene.prepare(() => 'ok', 60);
    scene.start();
    for (const done of [60, 120, 180]) {
      await scene.until(`${done} are done`, () => scene.counts('done').size >= done);
      scene.kill();
      await scene.until('it has ended', () => scene.ends.length === done / 60);
    }
    await scene.finish();
    expect(scene.ends).toEqual(['SIGKILL', 'SIGKILL', 'SIGKILL']);
    expect(await scene.deadLetters()).toEqual([]);
    expect(scene.counts('done').size).toBe(RECORDS);
  });
});
