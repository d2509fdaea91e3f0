/**
 * The admin side of the port: topics and groups. `start` waits for nothing; every question connects when it must, and
 * ends in BrokerUnreachableError when no broker answers. Facts about offsets and members come from the observer.
 */
import { describeError } from '@weir/core';
import type { Admin as KafkaAdmin } from 'kafkajs';
import { BrokerUnreachableError } from '../errors.ts';
import type { PortContext } from './kafkajs.ts';
import { type Client, createClient, errorType } from './kafkajs-client.ts';
import { isInMotion, Observer } from './kafkajs-observer.ts';
import type { Admin, CommittedOffset, GroupDescription, StartPosition, TopicPartition, TopicSpec } from './port.ts';

const TOPIC_VISIBLE_TIMEOUT_MS = 10_000;
const TOPIC_VISIBLE_POLL_MS = 50;

export class KafkajsAdmin implements Admin {
  readonly #context: PortContext;
  readonly #observer: Observer;
  #made: { client: Client; admin: KafkaAdmin; connecting: Promise<void> } | undefined;

  constructor(context: PortContext) {
    this.#context = context;
    this.#observer = new Observer(context);
  }

  async start(): Promise<void> {}

  async stop(): Promise<void> {
    const made = this.#made;
    this.#made = undefined;
    await this.#observer.stop();
    await made?.admin.disconnect().catch(() => made.client.sockets.destroy('the admin is stopped'));
  }

  async createTopics(topics: readonly TopicSpec[]): Promise<readonly string[]> {
    if (topics.length === 0) return [];
    // kafkajs tells that some existed, but not which. Asked beforehand; a topic that another process makes in between
    // counts as made by both.
    const existing = await this.partitionCounts(topics.map(({ topic }) => topic));
    const missing = topics.filter(({ topic }) => !existing.has(topic));
    if (missing.length === 0) return [];
    await this.#ask(async (admin) => {
      try {
        await admin.createTopics({
          waitForLeaders: false,
          topics: missing.map(({ topic, partitions, replicationFactor, config }) => ({
            topic,
            numPartitions: partitions,
            replicationFactor: replicationFactor ?? -1,
            configEntries: Object.entries(config ?? {}).map(([name, value]) => ({ name, value })),
          })),
        });
      } catch (error) {
        const each = (error as { errors?: unknown }).errors;
        if (!Array.isArray(each)) throw error;
        const refused = each.find((one) => errorType(one) !== 'TOPIC_ALREADY_EXISTS') as Error | undefined;
        if (refused) throw refused;
      }
    });
    await this.#visible(missing.map(({ topic }) => topic));
    return missing.map(({ topic }) => topic);
  }

  async deleteTopics(topics: readonly string[]): Promise<void> {
    const existing = [...(await this.partitionCounts(topics)).keys()];
    if (existing.length > 0) await this.#ask((admin) => admin.deleteTopics({ topics: existing, timeout: 10_000 }));
  }

  partitionCounts(topics: readonly string[]): Promise<ReadonlyMap<string, number>> {
    return this.#ask(async (admin) => {
      if (topics.length === 0) return new Map();
      const count = async (names: string[]) => {
        if (names.length === 0) return new Map<string, number>();
        const { topics: found } = await admin.fetchTopicMetadata({ topics: names });
        return new Map(found.map(({ name, partitions }) => [name, partitions.length]));
      };
      try {
        return await count([...topics]);
      } catch (error) {
        if (!['UNKNOWN_TOPIC_OR_PARTITION', 'INVALID_TOPIC_EXCEPTION'].includes(errorType(error) ?? '')) throw error;
        const names = new Set(await admin.listTopics());
        return count(topics.filter((topic) => names.has(topic)));
      }
    });
  }

  async createPartitions(topic: string, total: number): Promise<void> {
    await this.#ask((admin) => admin.createPartitions({ topicPartitions: [{ topic, count: total }] }));
    const deadline = this.#context.clock.monotonic() + TOPIC_VISIBLE_TIMEOUT_MS;
    while (this.#context.clock.monotonic() < deadline) {
      if (((await this.partitionCounts([topic])).get(topic) ?? 0) >= total) return;
      await this.#context.clock.sleep(TOPIC_VISIBLE_POLL_MS);
    }
  }

  offsets(topics: readonly string[]): Promise<readonly (TopicPartition & { start: number; end: number })[]> {
    return this.#observer.offsets(topics);
  }

  offsetsAt(topic: string, timestamp: number): Promise<readonly StartPosition[]> {
    return this.#observer.offsetsAt(topic, timestamp);
  }

  committed(group: string, topics: readonly string[]): Promise<readonly CommittedOffset[]> {
    return this.#observer.committed(group, topics);
  }

  describeGroup(group: string): Promise<GroupDescription> {
    return this.#observer.describeGroup(group);
  }

  async listGroups(): Promise<readonly string[]> {
    const { groups } = await this.#ask((admin) => admin.listGroups());
    return groups.map(({ groupId }) => groupId);
  }

  /** A new topic is known to all brokers a moment after the controller has made it. */
  async #visible(topics: readonly string[]): Promise<void> {
    const deadline = this.#context.clock.monotonic() + TOPIC_VISIBLE_TIMEOUT_MS;
    while (this.#context.clock.monotonic() < deadline) {
      if ((await this.partitionCounts(topics)).size === topics.length) return;
      await this.#context.clock.sleep(TOPIC_VISIBLE_POLL_MS);
    }
  }

  async #ask<T>(question: (admin: KafkaAdmin) => Promise<T>): Promise<T> {
    for (let attempt = 1; ; attempt++) {
      try {
        return await question(await this.#connected());
      } catch (error) {
        if (!isInMotion(error) || errorType(error) === 'UNKNOWN_TOPIC_OR_PARTITION') throw error;
        if (attempt >= 4) {
          throw new BrokerUnreachableError(this.#context.settings.brokers, describeError(error), { cause: error });
        }
        await this.#context.clock.sleep(100 * attempt);
      }
    }
  }

  async #connected(): Promise<KafkaAdmin> {
    if (!this.#made) {
      const client = createClient({ ...this.#context, retries: 3 });
      const admin = client.kafka.admin();
      this.#made = { client, admin, connecting: admin.connect() };
    }
    const made = this.#made;
    try {
      await made.connecting;
    } catch (error) {
      if (this.#made === made) this.#made = undefined;
      throw error;
    }
    return made.admin;
  }
}
