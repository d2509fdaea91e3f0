/**
 * Workers of one group and a producer that keeps sending to them: what every recovery test needs. Records are numbered; the
 * crew knows which the broker has acknowledged and how often each was handled, so that "nothing was lost" and "nothing was
 * repeated" are counts, not impressions.
 */
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { setTimeout as sleep } from 'node:timers/promises';
import { createLogger } from '@weir/core';
import { deriveTopics, resolve, runWorker } from '@weir/sdk';
import { type Admin, Kafka, logLevel, type Producer } from 'kafkajs';
import { until } from '../support/until.ts';
import { declareHand } from './hand.ts';

export interface Hand {
  readonly lines: { readonly level: number; readonly msg: string }[];
  /** Of a process: freezes and wakes it. */
  signal(signal: NodeJS.Signals): void;
  /** Drains and leaves; rejects when it had failed before. */
  leave(): Promise<void>;
}

let crews = 0;
const ASSIGNED = /^assigned [1-9]/;

export class Crew {
  readonly prefix = `rec${process.pid}-${++crews}`;
  readonly topic = `${this.prefix}.jobs`;
  readonly group = `${this.prefix}-hand`;
  readonly brokers: readonly string[];
  readonly admin: Admin;
  readonly hands: Hand[] = [];
  /** Numbers of the records that the broker has taken. */
  readonly acknowledged = new Set<number>();
  /** Numbers that were handled. */
  readonly handled = new Set<number>();
  /**
   * How often each record was handled, by its place in the topic: kafkajs's producer sends all partitions of a request
   * again when the leader of one was not ready, so a number may well be in the topic twice.
   */
  readonly #times = new Map<string, number>();
  /** Records that the broker has taken, by partition. */
  readonly takenOf = new Map<number, number>();
  readonly #producer: Producer;
  readonly #partitions: number;
  readonly #workMs: number;
  #next = 0;
  #sending = false;
  #load: Promise<void> = Promise.resolve();

  constructor(brokers: readonly string[], options: { partitions: number; workMs?: number }) {
    this.brokers = brokers;
    this.#partitions = options.partitions;
    this.#workMs = options.workMs ?? 5;
    const kafka = new Kafka({
      brokers: [...brokers],
      clientId: 'recovery',
      logLevel: logLevel.NOTHING,
      retry: { initialRetryTime: 100, multiplier: 1.3, maxRetryTime: 1_000, retries: 60 },
    });
    this.admin = kafka.admin();
    // New metadata often: it must notice a topic that has grown.
    this.#producer = kafka.producer({ metadataMaxAge: 500, maxInFlightRequests: 1 });
  }

  async open(): Promise<this> {
    await this.admin.connect();
    await this.#producer.connect();
    await this.makeTopics();
    return this;
  }

  /** Those that are missing. */
  async makeTopics(): Promise<void> {
    const specs = deriveTopics(resolve(this.#declare(), this.#env({})));
    await this.admin.createTopics({
      topics: specs.map((each) => ({ topic: each.topic, numPartitions: each.partitions, replicationFactor: 1 })),
      waitForLeaders: true,
    });
  }

  /** One more worker, in this process; resolves once it has partitions. */
  async hire(env: Readonly<Record<string, string>> = {}): Promise<Hand> {
    const lines: Hand['lines'] = [];
    const stop = new AbortController();
    const log = createLogger({
      name: 'hand',
      destination: { write: (line: string) => void lines.push(JSON.parse(line)) },
    });
    const ended = runWorker(this.#declare(), { env: this.#env(env), signal: stop.signal, log });
    ended.catch(() => undefined);
    return await this.#taken({
      lines,
      signal: () => {
        throw new Error('only a process can be frozen');
      },
      leave: async () => {
        stop.abort(new Error('the test is over'));
        await ended;
      },
    });
  }

  /** One more worker, as a process. */
  async hireProcess(env: Readonly<Record<string, string>> = {}): Promise<Hand> {
    const lines: Hand['lines'] = [];
    const child = spawn(
      process.execPath,
      [
        '--conditions=source',
        join(import.meta.dirname, 'hand-process.ts'),
        String(this.#partitions),
        String(this.#workMs),
      ],
      { env: { PATH: process.env.PATH, ...this.#env(env) }, stdio: ['ignore', 'pipe', 'ignore'] },
    );
    const kill = () => child.kill('SIGKILL');
    process.once('exit', kill);
    createInterface({ input: child.stdout }).on('line', (line) => {
      if (line.startsWith('handled ')) {
        const [, number, place] = line.split(' ');
        this.#count(Number(number), place!);
      }
      if (line.startsWith('{')) lines.push(JSON.parse(line));
    });
    const closed = once(child, 'close');
    return await this.#taken({
      lines,
      signal: (signal) => void child.kill(signal),
      leave: async () => {
        child.kill('SIGCONT');
        child.kill('SIGTERM');
        const killer = setTimeout(kill, 15_000);
        await closed;
        clearTimeout(killer);
        process.off('exit', kill);
      },
    });
  }

  /** Sends so many records a second, round robin, until `rest`. A record counts when it is acknowledged. */
  load(perSecond: number, partitions = this.#partitions): void {
    this.#sending = true;
    const each = Math.max(1, Math.round(perSecond / 20));
    this.#load = (async () => {
      while (this.#sending) {
        const numbers = Array.from({ length: each }, () => this.#next++);
        try {
          const answers = await this.#producer.send({
            topic: this.topic,
            acks: -1,
            messages: numbers.map((number) => ({ value: String(number), partition: number % partitions })),
          });
          // kafkajs leaves records for a partition that it has not heard of out, and says nothing.
          const took = new Set(answers.filter((one) => one.errorCode === 0).map((one) => one.partition));
          for (const number of numbers) {
            const partition = number % partitions;
            if (!took.has(partition)) continue;
            this.acknowledged.add(number);
            this.takenOf.set(partition, (this.takenOf.get(partition) ?? 0) + 1);
          }
        } catch {
          // Not acknowledged: nobody was promised anything.
        }
        await sleep(50);
      }
    })();
  }

  /** Deletes the topic and makes it again at once. */
  async remakeTopic(): Promise<void> {
    await this.admin.deleteTopics({ topics: [this.topic] });
    await until('it is there again', async () => {
      await this.makeTopics().catch(() => undefined);
      return (await this.admin.listTopics()).includes(this.topic);
    });
  }

  /** Counts from here: records of before were deleted on purpose. */
  forget(): void {
    this.acknowledged.clear();
    this.handled.clear();
    this.#times.clear();
    this.takenOf.clear();
  }

  async rest(): Promise<void> {
    this.#sending = false;
    await this.#load;
  }

  get missing(): number {
    let missing = 0;
    for (const number of this.acknowledged) if (!this.handled.has(number)) missing++;
    return missing;
  }

  /** Handler calls that ended well beyond the first of their record. */
  get repeats(): number {
    let repeats = 0;
    for (const times of this.#times.values()) repeats += times - 1;
    return repeats;
  }

  said(text: RegExp): string | undefined {
    return this.hands.flatMap(({ lines }) => lines).find(({ msg }) => text.test(msg))?.msg;
  }

  async allHandled(withinMs = 40_000): Promise<void> {
    await until(
      () => `${this.missing} of ${this.acknowledged.size} are not handled`,
      () => this.missing === 0,
      withinMs,
    );
  }

  /** Records in the retry topic and in the dead letters. */
  async failed(): Promise<number> {
    let failed = 0;
    for (const topic of [`${this.prefix}.hand.retry.5s`, `${this.prefix}.hand.dlq`])
      for (const { high } of await this.admin.fetchTopicOffsets(topic)) failed += Number(high);
    return failed;
  }

  async close(): Promise<void> {
    await this.rest();
    await Promise.all(this.hands.map((hand) => hand.leave()));
    await this.#producer.disconnect();
    await this.admin.disconnect();
  }

  #declare() {
    return declareHand({
      partitions: this.#partitions,
      workMs: this.#workMs,
      handled: (number, place) => this.#count(number, place),
    });
  }

  #count(number: number, place: string): void {
    this.handled.add(number);
    this.#times.set(place, (this.#times.get(place) ?? 0) + 1);
  }

  #env(more: Readonly<Record<string, string>>): Record<string, string> {
    return {
      KAFKA_BROKERS: this.brokers.join(','),
      WEIR_TOPIC_PREFIX: this.prefix,
      METRICS_PORT: '0',
      KAFKA_SESSION_TIMEOUT_MS: '6000',
      KAFKA_MAX_POLL_INTERVAL_MS: '10000',
      WEIR_SIGNAL_INTERVAL_MS: '200',
      ...more,
    };
  }

  async #taken(hand: Hand): Promise<Hand> {
    this.hands.push(hand);
    await until('it has an assignment', () => hand.lines.some(({ msg }) => ASSIGNED.test(msg)));
    return hand;
  }
}
