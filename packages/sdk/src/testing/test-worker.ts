/**
 * A worker under test: its declaration with the real lanes, ledger, retries and dead letters, over Kafka in memory and a
 * clock that moves only when told to.
 *
 *   const t = await testWorker(shouter);
 *   await t.send({ text: 'hi' });
 *   expect(t.sent('loud')).toEqual([{ text: 'HI' }]);
 */
import { type Duration, type Logger, parseDuration, seededRandom, silentLogger } from '@weir/core';
import { ManualClock } from '@weir/core/testing';
import { type Resolved, resolve } from '../config.ts';
import type { InputOf, Schema, Topic, Worker } from '../define.ts';
import { decode, encode } from '../delivery/codec.ts';
import { HEADER, headerText, storyHeaders } from '../delivery/headers.ts';
import type { ErrorClass } from '../errors.ts';
import type { MemoryProbe } from '../flow/memory-guard.ts';
import { createMetrics } from '../metrics.ts';
import type { Environment } from '../reading.ts';
import { deriveTopics, topologyOf } from '../topology.ts';
import { createWorker, type RunningWorker } from '../worker.ts';
import { MemoryKafka, type StoredRecord } from './memory-kafka.ts';

export interface DeadLetter {
  /** The original bytes. */
  readonly value: Buffer;
  readonly key: string | null;
  readonly errorClass: ErrorClass;
  readonly error: string;
  readonly attempts: number;
  readonly headers: Readonly<Record<string, string>>;
}

export interface TestWorkerOptions<R> {
  /** In place of what `open` makes. */
  readonly resources?: R;
  /** Environment variables; KAFKA_BROKERS is set already. */
  readonly env?: Environment;
  readonly clock?: ManualClock;
  /** Kafka of another test worker (with its clock): what the next owner finds after it left, or after `kafka.crash()`. */
  readonly kafka?: MemoryKafka;
  readonly log?: Logger;
  /** Memory that is as full as the test says. */
  readonly memory?: MemoryProbe;
}

export interface TestSendOptions {
  readonly key?: string | Buffer | null;
  readonly headers?: Readonly<Record<string, string | Buffer>>;
  readonly partition?: number;
  /** Which consumed topic, by its declared name; the first unless told. */
  readonly topic?: string;
  /** False returns at once: for a handler that waits for the clock, which only `advance` moves. */
  readonly wait?: boolean;
}

type SentValue<T> = T extends Topic<infer S extends Schema> ? InputOf<S> : unknown;

export interface TestWorker<V, P extends Readonly<Record<string, Topic>>> {
  readonly clock: ManualClock;
  readonly kafka: MemoryKafka;
  readonly resolved: Resolved;
  readonly worker: RunningWorker;
  /** Publishes a value to the consumed topic and waits until the worker has nothing left to run. */
  send(value: V, options?: TestSendOptions): Promise<void>;
  /** Publishes bytes as they are: for what a producer should never send. */
  sendRaw(value: Buffer | string | null, options?: TestSendOptions): Promise<void>;
  /** What the worker has sent to one of its `produces`, in order. */
  sent<K extends keyof P & string>(to: K): SentValue<P[K]>[];
  /** Records that wait in retry topics, oldest first. */
  retries(): readonly { readonly topic: string; readonly dueAt: number; readonly attempt: number }[];
  deadLetters(): DeadLetter[];
  /** Moves the clock; retry records that come due go back to where they came from, and the worker handles them. */
  advance(by: Duration | number): Promise<void>;
  /** Waits until the worker has nothing left to run; real I/O in a handler is waited for. */
  settle(): Promise<void>;
  stop(): Promise<void>;
  [Symbol.asyncDispose](): Promise<void>;
}

/** Real time that a handler may take in a test before `settle` gives up. */
const SETTLE_WITHIN_MS = 10_000;
/** Real time that `advance` gives a handler between two steps; one that waits for the clock itself goes on with the next. */
const WORK_ON_WITHIN_MS = 250;

export async function testWorker<V, P extends Readonly<Record<string, Topic>>, R>(
  worker: Worker<V, P, R>,
  options: TestWorkerOptions<R> = {},
): Promise<TestWorker<V, P>> {
  const clock = options.clock ?? new ManualClock();
  const resolved = resolve(worker as unknown as Worker, {
    KAFKA_BROKERS: 'memory:9092',
    METRICS_PORT: '0',
    ...options.env,
  });
  const kafka = options.kafka ?? new MemoryKafka(clock);
  for (const spec of deriveTopics(resolved)) kafka.createTopic(spec.topic, spec.partitions);
  const member = createWorker({
    resolved,
    kafka,
    clock,
    random: seededRandom(kafka.nextMember()),
    log: options.log ?? silentLogger,
    metrics: createMetrics({ resolved, clock, nodeMetrics: false }),
    topology: topologyOf([resolved]),
    ...(options.memory ? { memory: options.memory } : {}),
    ...('resources' in options ? { resources: options.resources } : {}),
  });
  await member.start();
  const test = new InMemoryTest(resolved, kafka, clock, member);
  await test.settle();
  return test as unknown as TestWorker<V, P>;
}

class InMemoryTest {
  readonly resolved: Resolved;
  readonly kafka: MemoryKafka;
  readonly clock: ManualClock;
  readonly worker: RunningWorker;
  /** Retry records already sent back, by topic and offset. */
  readonly #returned = new Set<string>();

  constructor(resolved: Resolved, kafka: MemoryKafka, clock: ManualClock, worker: RunningWorker) {
    this.resolved = resolved;
    this.kafka = kafka;
    this.clock = clock;
    this.worker = worker;
  }

  async send(value: unknown, options: TestSendOptions = {}): Promise<void> {
    const target = this.#target(options.topic);
    const encoded = encode(target.topic, value);
    await this.#publish(target.name, encoded.value, options.key === undefined ? encoded.key : options.key, options);
  }

  async sendRaw(value: Buffer | string | null, options: TestSendOptions = {}): Promise<void> {
    const bytes = typeof value === 'string' ? Buffer.from(value) : value;
    await this.#publish(this.#target(options.topic).name, bytes, options.key ?? null, options);
  }

  sent(to: string): unknown[] {
    const target = this.resolved.produces[to];
    if (target === undefined) throw new TypeError(`"${to}" is not in the declaration's "produces"`);
    return this.kafka.records(target.name).map((record) => decode(target.topic, record.value));
  }

  retries(): { topic: string; dueAt: number; attempt: number }[] {
    return this.#waiting().map((record) => ({
      topic: record.topic,
      dueAt: Number(headerText(record.headers, HEADER.dueAt)),
      attempt: Number(headerText(record.headers, HEADER.attempt)),
    }));
  }

  deadLetters(): DeadLetter[] {
    return this.kafka.records(this.resolved.deadLetters).map((record) => ({
      value: record.value ?? Buffer.alloc(0),
      key: record.key === null ? null : record.key.toString('utf8'),
      errorClass: headerText(record.headers, HEADER.errorClass) as ErrorClass,
      error: headerText(record.headers, HEADER.error) ?? '',
      attempts: Number(headerText(record.headers, HEADER.attempt)),
      headers: storyHeaders(record.headers),
    }));
  }

  /** In steps to the next retry that is due, so that a record retried three times on the way is. */
  async advance(by: Duration | number): Promise<void> {
    const until = this.clock.now() + (typeof by === 'number' ? by : parseDuration(by));
    for (;;) {
      const next = Math.min(until, ...this.retries().map((retry) => retry.dueAt));
      if (next > this.clock.now()) {
        await this.clock.advance(next - this.clock.now());
        await this.#calm(WORK_ON_WITHIN_MS);
      }
      for (const record of this.#waiting()) {
        if (Number(headerText(record.headers, HEADER.dueAt)) > this.clock.now()) continue;
        this.#returned.add(`${record.topic}/${record.partition}/${record.offset}`);
        const origin = headerText(record.headers, HEADER.origin)?.split('/')[0];
        const target = this.resolved.consumes.find((each) => each.name === origin) ?? this.resolved.consumes[0]!;
        this.kafka.append({ topic: target.name, key: record.key, value: record.value, headers: record.headers });
      }
      await this.#calm(WORK_ON_WITHIN_MS);
      if (this.clock.now() >= until && this.retries().every((retry) => retry.dueAt > until)) return;
    }
  }

  async settle(): Promise<void> {
    if (await this.#calm(SETTLE_WITHIN_MS)) return;
    throw new Error(
      `the worker still has work after ${SETTLE_WITHIN_MS} ms: for a handler that waits for the clock, send with { wait: false } and move the clock with advance()`,
    );
  }

  /** Waits for the worker to be idle for a few turns of the event loop. False when it was not within `withinMs`. */
  async #calm(withinMs: number): Promise<boolean> {
    const giveUpAt = performance.now() + withinMs;
    for (let quiet = 0; quiet < 5; ) {
      await new Promise<void>((resolve) => setImmediate(resolve));
      quiet = this.worker.idle ? quiet + 1 : 0;
      if (performance.now() > giveUpAt) return false;
    }
    return true;
  }

  async stop(): Promise<void> {
    await this.worker.drain(AbortSignal.timeout(1_000));
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.stop();
  }

  #target(declared: string | undefined): Resolved['consumes'][number] {
    if (declared === undefined) return this.resolved.consumes[0]!;
    const target = this.resolved.consumes.find((each) => each.topic.name === declared);
    if (target === undefined) throw new TypeError(`the worker does not consume "${declared}"`);
    return target;
  }

  async #publish(
    topic: string,
    value: Buffer | null,
    key: string | Buffer | null,
    options: TestSendOptions,
  ): Promise<void> {
    this.kafka.append({
      topic,
      key,
      value,
      headers: options.headers ?? {},
      ...(options.partition === undefined ? {} : { partition: options.partition }),
    });
    if (options.wait ?? true) await this.settle();
  }

  #waiting(): StoredRecord[] {
    return this.resolved.retry
      .flatMap((rung) => this.kafka.records(rung.topic))
      .filter((record) => !this.#returned.has(`${record.topic}/${record.partition}/${record.offset}`))
      .sort((a, b) => a.timestamp - b.timestamp);
  }
}
