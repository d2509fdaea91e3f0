/**
 * A group of whole workers in this process, under a steady load, whose size is changed while every record that is begun
 * and done is written down. What the workers say of themselves (their metrics) can then be held against what happened.
 */
import { setTimeout as sleep } from 'node:timers/promises';
import { silentLogger, systemClock, systemRandom } from '@weir/core';
import { bytes, defineWorker, deriveTopics, resolve, topic, topologyOf } from '@weir/sdk';
import { createMetrics, createWorker, kafkajsPort } from '@weir/sdk/runtime';
import { until } from '../support/until.ts';

export const PARTITIONS = 24;

export interface CrewOptions {
  readonly brokers: readonly string[];
  readonly name: string;
  /** What a handler takes. */
  readonly handlerMs: number;
  readonly recordsPerSecond: number;
  readonly env?: Readonly<Record<string, string>>;
}

type Metrics = ReturnType<typeof createMetrics>;

interface Member {
  readonly worker: ReturnType<typeof createWorker>;
  readonly metrics: Metrics;
}

/** What changing the size of the group did. */
export interface Step {
  readonly from: number;
  readonly to: number;
  /** Partitions that have another owner than before. */
  readonly moved: number;
  /** Longest time in which nobody in the whole group finished a record, from the change until a while after it. */
  readonly gapMs: number;
  /** Until everybody had the new assignment. */
  readonly settledMs: number;
}

export class Crew {
  readonly #options: CrewOptions;
  readonly #resolved;
  readonly #producer;
  readonly #admin;
  readonly #members: Member[] = [];
  readonly #gone: Member[] = [];
  readonly #stop = new AbortController();
  #load: Promise<void> | undefined;
  /** How often each record was begun, and by how many calls it was given up. */
  readonly begun = new Map<string, number>();
  readonly done = new Map<string, number>();
  readonly doneAt: number[] = [];
  abandoned = 0;
  sent = 0;
  readonly failed: Error[] = [];

  constructor(options: CrewOptions) {
    this.#options = options;
    const { name, handlerMs } = options;
    const work = topic(name, bytes, { partitions: PARTITIONS, key: () => undefined });
    const worker = defineWorker({
      name,
      consumes: work,
      concurrency: { fixed: 64 },
      handle: async (record, ctx) => {
        const id = `${record.partition}/${record.offset}`;
        this.begun.set(id, (this.begun.get(id) ?? 0) + 1);
        try {
          if (handlerMs > 0) await sleep(handlerMs, undefined, { signal: ctx.signal });
        } catch (error) {
          this.abandoned++;
          throw error;
        }
        this.done.set(id, (this.done.get(id) ?? 0) + 1);
        this.doneAt.push(performance.now());
      },
    });
    this.#resolved = resolve(worker, {
      KAFKA_BROKERS: options.brokers.join(','),
      METRICS_PORT: '0',
      ...options.env,
    });
    const kafka = kafkajsPort({ settings: this.#resolved.kafka, log: silentLogger });
    this.#producer = kafka.producer();
    this.#admin = kafka.admin();
  }

  get topic(): string {
    return this.#resolved.consumes[0]!.name;
  }

  get group(): string {
    return this.#resolved.group;
  }

  get size(): number {
    return this.#members.length;
  }

  async open(): Promise<void> {
    await this.#admin.start();
    await this.#admin.createTopics(
      deriveTopics(this.#resolved).map(({ topic, partitions }) => ({ topic, partitions })),
    );
    await this.#producer.start();
    this.#load = this.#produce();
  }

  /** Starts or stops members, one after the other in the same moment, and says what came of it. */
  async resize(to: number, watchMs: number): Promise<Step> {
    const from = this.size;
    const before = this.owners();
    const beganAt = performance.now();
    const leaving: Promise<unknown>[] = [];
    while (this.size < to) this.#add();
    while (this.size > to) {
      const member = this.#members.pop()!;
      this.#gone.push(member);
      leaving.push(member.worker.drain(AbortSignal.timeout(20_000)));
    }
    await Promise.all(leaving);
    await until(
      () => `${to} members share: ${this}`,
      () =>
        this.#members.every(({ worker }) => worker.gauges().assigned > 0 && worker.health().ready) &&
        this.owners().size === PARTITIONS &&
        this.#members.reduce((sum, { worker }) => sum + worker.gauges().assigned, 0) === PARTITIONS,
    );
    const settledMs = performance.now() - beganAt;
    await sleep(watchMs);
    const watchedAt = performance.now();
    const after = this.owners();
    const moved = [...before].filter(([partition, owner]) => after.get(partition) !== owner).length;
    const times = this.doneAt.filter((at) => at > beganAt - 500 && at <= watchedAt);
    let gapMs = 0;
    for (let at = 1; at < times.length; at++) gapMs = Math.max(gapMs, times[at]! - times[at - 1]!);
    return { from, to, moved, gapMs, settledMs };
  }

  /** Which member owns which partition. */
  owners(): Map<number, Member> {
    return new Map(
      this.#members.flatMap((member) =>
        member.worker.gauges().partitions.map(({ partition }) => [partition, member] as const),
      ),
    );
  }

  /** Sum of a metric over every member that there ever was. */
  async metric(name: string): Promise<number> {
    let sum = 0;
    for (const { metrics } of [...this.#members, ...this.#gone]) {
      const text = await metrics.registry.metrics();
      for (const line of text.split('\n')) {
        const found = new RegExp(`^${name}(?:\\{[^}]*\\})? ([0-9.e+-]+)$`).exec(line);
        if (found) sum += Number(found[1]);
      }
    }
    return sum;
  }

  /** Ends the load, waits until everything sent is done, and leaves. */
  async close(): Promise<void> {
    this.#stop.abort();
    await this.#load;
    await this.#producer.flush();
    if (this.failed[0]) throw this.failed[0];
    await until(
      () => `all of ${this.sent} records are done: ${this}`,
      () => this.done.size >= this.sent,
    );
    await this.quit();
  }

  async quit(): Promise<void> {
    this.#stop.abort();
    await this.#load?.catch(() => undefined);
    const members = this.#members.splice(0);
    this.#gone.push(...members);
    await Promise.all(members.map(({ worker }) => worker.drain(AbortSignal.timeout(5_000))));
    await this.#producer.stop();
    await this.#admin.stop();
  }

  get repeats(): number {
    let repeats = 0;
    for (const times of this.begun.values()) repeats += times - 1;
    return repeats;
  }

  toString(): string {
    const members = this.#members.map(({ worker }) => `${worker.gauges().assigned} (${worker.health().detail})`);
    return `${this.begun.size} begun, ${this.done.size} done of ${this.sent}; members own ${members.join(', ')}`;
  }

  #add(): void {
    const clock = systemClock;
    const resolved = this.#resolved;
    const metrics = createMetrics({ resolved, clock });
    const log = silentLogger;
    const worker = createWorker({
      resolved,
      kafka: kafkajsPort({ settings: resolved.kafka, log }),
      metrics,
      log,
      clock,
      random: systemRandom,
      topology: topologyOf([resolved]),
    });
    this.#members.push({ worker, metrics });
    void worker.start();
  }

  async #produce(): Promise<void> {
    const { recordsPerSecond } = this.#options;
    const everyMs = 20;
    const beganAt = performance.now();
    let partition = 0;
    while (!this.#stop.signal.aborted) {
      const due = Math.floor(((performance.now() - beganAt) / 1_000) * recordsPerSecond) - this.sent;
      for (let one = 0; one < due; one++) {
        this.sent++;
        const record = { topic: this.topic, partition: partition++ % PARTITIONS, key: null, value: Buffer.from('v') };
        await this.#producer.send(record, (error) => {
          if (error) this.failed.push(error);
        });
      }
      await sleep(everyMs);
    }
  }
}
