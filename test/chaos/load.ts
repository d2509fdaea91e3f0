/** What is produced during a run: a steady stream per subject, with slow, deaf, failing and unreadable records among it. */
import type { Random } from '@weir/core';
import type { Kafka, Producer } from 'kafkajs';
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

export class Load {
  readonly #producer: Producer;
  readonly #random: Random;
  readonly #streams: readonly { subject: string; topic: string; mix: Mix }[];
  readonly acknowledged: { subject: string; id: string }[] = [];
  #count = 0;
  #timer: NodeJS.Timeout | undefined;
  readonly #underWay = new Set<Promise<void>>();

  constructor(client: Kafka, random: Random, streams: readonly { subject: string; topic: string; mix: Mix }[]) {
    this.#producer = client.producer({ idempotent: false, retry: { retries: 3, initialRetryTime: 50 } });
    this.#random = random;
    this.#streams = streams;
  }

  async start(): Promise<void> {
    await this.#producer.connect();
    this.#timer = setInterval(() => {
      for (const stream of this.#streams) this.#burst(stream);
    }, TICK_MS);
  }

  async stop(): Promise<void> {
    clearInterval(this.#timer);
    await Promise.all(this.#underWay);
    await this.#producer.disconnect();
  }

  #burst({ subject, topic, mix }: { subject: string; topic: string; mix: Mix }): void {
    const count = Math.round((mix.perSecond * TICK_MS) / 1000);
    const records = Array.from({ length: count }, () => this.#record(subject, mix));
    const messages = records.map(({ id, key, value }) => ({ key, value, headers: { [ID_HEADER]: id } }));
    const sent = this.#producer.send({ topic, messages, acks: -1 }).then(
      () => {
        for (const { id } of records) this.acknowledged.push({ subject, id });
      },
      // Nobody was told that these are in the log. Those that are there all the same are checked like any other.
      () => undefined,
    );
    this.#underWay.add(sent);
    void sent.then(() => this.#underWay.delete(sent));
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
