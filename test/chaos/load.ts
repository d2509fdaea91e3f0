/**
 * What is produced during a run: a steady stream per subject, with slow, deaf, failing and unreadable records among it. By the SDK's
 * own producer: kafkajs's alone acknowledges records that it never sent when a leader moves to a node that has just answered.
 */
import { type Random, silentLogger, systemClock, systemRandom } from '@weir/core';
import { type Producer, resolveKafka } from '@weir/sdk';
import { kafkajsPort } from '@weir/sdk/runtime';
import { ID_HEADER, type Work } from './workers/work.ts';

export interface Mix {
  readonly perSecond: number;
  /** Shares of records. */
  readonly failing: number;
  readonly broken: number;
  readonly garbage: number;
  readonly slow: number;
  /** Handler time of the others: up to this. */
  readonly quickMs: number;
  /** And of the slow ones: up to this. */
  readonly slowMs: number;
  readonly keys: number;
}

const TICK_MS = 100;
const FLUSH_DEADLINE_MS = 15_000;

export class Load {
  readonly #producer: Producer;
  readonly #random: Random;
  readonly #streams: readonly { subject: string; topic: string; mix: Mix }[];
  readonly acknowledged: { subject: string; id: string }[] = [];
  /** By subject: how many of the next records are produced twice. */
  readonly #twice = new Map<string, number>();
  #count = 0;
  #timer: NodeJS.Timeout | undefined;

  constructor(
    brokers: readonly string[],
    random: Random,
    streams: readonly { subject: string; topic: string; mix: Mix }[],
  ) {
    const { kafka: settings } = resolveKafka({ KAFKA_BROKERS: brokers.join(',') }, { name: 'chaos' });
    const port = kafkajsPort({ settings, log: silentLogger, clock: systemClock, random: systemRandom });
    this.#producer = port.producer();
    this.#random = random;
    this.#streams = streams;
  }

  async start(): Promise<void> {
    await this.#producer.start();
    this.#timer = setInterval(() => {
      for (const stream of this.#streams) this.#burst(stream);
    }, TICK_MS);
  }

  /** The next records of a subject come twice, as from a producer that repeats what was stored but not acknowledged to it. */
  twice(subject: string, count: number): void {
    this.#twice.set(subject, count);
  }

  /** Ends the stream; what is under way is flushed. */
  async stop(): Promise<void> {
    clearInterval(this.#timer);
    await this.#producer.stop(AbortSignal.timeout(FLUSH_DEADLINE_MS));
  }

  #burst({ subject, topic, mix }: { subject: string; topic: string; mix: Mix }): void {
    const count = Math.round((mix.perSecond * TICK_MS) / 1000);
    for (let at = 0; at < count; at++) {
      const { id, key, value } = this.#record(subject, mix);
      const again = this.#twice.get(subject) ?? 0;
      if (again > 0) this.#twice.set(subject, again - 1);
      for (let times = again > 0 ? 2 : 1; times > 0; times--)
        // Of one that failed nobody was told that it is in the log. If it is there all the same, it is checked like any other.
        void this.#producer.send({ topic, key, value: Buffer.from(value), headers: { [ID_HEADER]: id } }, (error) => {
          if (error === null) this.acknowledged.push({ subject, id });
        });
    }
  }

  #record(subject: string, mix: Mix): { id: string; key: string; value: string } {
    const random = this.#random;
    const id = `${subject[0]}${(this.#count++).toString(36)}`;
    const key = `k${random.below(mix.keys)}`;
    const chance = random.next();
    if (chance < mix.garbage) return { id, key, value: `{"id":"${id}", cut off` };
    const slow = random.next() < mix.slow;
    const failures =
      chance < mix.garbage + mix.broken
        ? -1
        : chance < mix.garbage + mix.broken + mix.failing
          ? 1 + random.below(3)
          : 0;
    const work: Work = {
      id,
      key,
      ms: random.below(1 + (slow ? mix.slowMs : mix.quickMs)),
      deaf: random.next() < 0.2,
      failures,
    };
    return { id, key, value: JSON.stringify(work) };
  }
}
