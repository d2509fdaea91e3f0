/** What the conformance suite needs to know about a broker, and what every test builds from it. */
import { randomUUID } from 'node:crypto';
import { type Logger, silentLogger, systemClock } from '@weir/core';
import kafkajs, { type Kafka } from 'kafkajs';
import { test } from 'vitest';
import type { KafkaSettings } from '../../packages/sdk/src/config.ts';
import { kafkajsPort } from '../../packages/sdk/src/kafka/kafkajs.ts';
import type { Admin, KafkaPort, ProducerRecord } from '../../packages/sdk/src/kafka/port.ts';
import type { Network } from './faulty-client.ts';
import { Member, type MemberOptions } from './member.ts';

export interface Harness {
  readonly brokers: readonly string[];
  /** As short as the broker allows: tests wait for it to pass. */
  readonly sessionTimeoutMs: number;
  /** How its listener wants to be spoken to; in the clear and by nobody in particular when absent. */
  readonly security?: Pick<KafkaSettings, 'ssl' | 'sasl'>;
  stop(): Promise<void>;
}

/** What a broker can do beyond what every one must; what is missing is listed in docs as a gap. */
export interface Capabilities {
  readonly transactions: boolean;
}

/** A test with its own bench, closed at the end whatever happens. */
export type Check = (fact: string, body: (bench: Bench) => Promise<void>) => void;

export function checkOn(harness: () => Harness): Check {
  return (fact, body) => {
    test(fact, { timeout: 90_000 }, async () => {
      const bench = new Bench(harness());
      try {
        await body(bench);
      } finally {
        await bench.close();
      }
    });
  };
}

/** One test's clients, names and members; `close` ends them all. */
export class Bench {
  readonly harness: Harness;
  readonly name = randomUUID().slice(0, 8);
  readonly topic = `conf-${this.name}`;
  readonly group = `group-${this.name}`;
  readonly port: KafkaPort;
  readonly admin: Admin;
  readonly #ends: (() => Promise<void>)[] = [];

  constructor(harness: Harness) {
    this.harness = harness;
    this.port = this.newPort();
    this.admin = this.port.admin();
    this.#ends.push(() => this.admin.stop());
  }

  settings(brokers: readonly string[] = this.harness.brokers): KafkaSettings {
    return {
      brokers,
      clientId: `conf-${this.name}`,
      ...(this.harness.security ?? { ssl: false, sasl: undefined }),
      sessionTimeoutMs: this.harness.sessionTimeoutMs,
      heartbeatIntervalMs: 200,
      rebalanceTimeoutMs: 30_000,
      fetchMinBytes: 1,
      fetchMaxWaitMs: 100,
    };
  }

  newPort(network?: Pick<Network, 'Kafka'>, brokers?: readonly string[], log: Logger = silentLogger): KafkaPort {
    return kafkajsPort({
      settings: this.settings(brokers),
      log,
      clock: systemClock,
      ...(network ? { Kafka: network.Kafka } : {}),
    });
  }

  /** A client that has nothing of ours. */
  raw(): Kafka {
    return new kafkajs.Kafka({ brokers: [...this.harness.brokers], logLevel: kafkajs.logLevel.NOTHING });
  }

  async createTopic(partitions: number, topic = this.topic): Promise<string> {
    await this.admin.createTopics([{ topic, partitions }]);
    return topic;
  }

  member(options: Partial<MemberOptions> & { network?: Network } = {}): Member {
    const { network, ...rest } = options;
    const member = new Member({
      port: network ? this.newPort(network) : this.port,
      group: this.group,
      topics: [this.topic],
      ...rest,
    });
    this.#ends.push(() => member.stop());
    return member;
  }

  /** Sends all, waits for all; throws the first failure. */
  async produce(records: readonly ProducerRecord[]): Promise<void> {
    const producer = this.port.producer();
    await producer.start();
    const failures: Error[] = [];
    for (const record of records) await producer.send(record, (error) => error && failures.push(error));
    await producer.flush();
    await producer.stop();
    if (failures[0]) throw failures[0];
  }

  /** `count` numbered records, dealt to the partitions in turn. */
  fill(count: number, partitions: number, topic = this.topic): Promise<void> {
    return this.produce(
      Array.from({ length: count }, (_, index) => ({
        topic,
        partition: index % partitions,
        key: null,
        value: Buffer.from(String(index)),
      })),
    );
  }

  atEnd(end: () => Promise<void>): void {
    this.#ends.push(end);
  }

  async close(): Promise<void> {
    for (const end of this.#ends.reverse()) await end().catch(() => undefined);
  }
}
