/** kafkajs as the tests use it: quiet, quick to retry, closed at the end of the test. */
import kafkajs, {
  type Admin,
  type Consumer,
  type Kafka,
  type KafkaConfig,
  type Producer,
  type ProducerConfig,
} from 'kafkajs';
import type { Broker } from './broker.ts';

export function kafkaOf(brokers: readonly string[], config: Partial<KafkaConfig> = {}): Kafka {
  return new kafkajs.Kafka({
    brokers: [...brokers],
    clientId: 'test',
    logLevel: kafkajs.logLevel.NOTHING,
    retry: { initialRetryTime: 20, multiplier: 1.3, retries: 20 },
    ...config,
  });
}

/** Clients of one test. */
export class Clients {
  readonly kafka: Kafka;
  readonly #open: { disconnect(): Promise<void> }[] = [];

  constructor(broker: Broker, config: Partial<KafkaConfig> = {}) {
    this.kafka = kafkaOf(broker.brokers, config);
  }

  async admin(): Promise<Admin> {
    return this.#keep(this.kafka.admin());
  }

  async producer(config: ProducerConfig = {}): Promise<Producer> {
    return this.#keep(this.kafka.producer({ createPartitioner: kafkajs.Partitioners.DefaultPartitioner, ...config }));
  }

  async consumer(
    groupId: string,
    more: { sessionTimeout?: number; rebalanceTimeout?: number } = {},
  ): Promise<Consumer> {
    return this.#keep(
      this.kafka.consumer({ groupId, heartbeatInterval: 100, maxWaitTimeInMs: 100, sessionTimeout: 6000, ...more }),
    );
  }

  async close(): Promise<void> {
    await Promise.all(this.#open.splice(0).map((client) => client.disconnect().catch(() => undefined)));
  }

  async #keep<T extends { connect(): Promise<void>; disconnect(): Promise<void> }>(client: T): Promise<T> {
    this.#open.push(client);
    await client.connect();
    return client;
  }
}

/** A promise and the function that fulfils it. */
export function signalled<T = void>(): { promise: Promise<T>; fire: (value: T) => void } {
  let fire: (value: T) => void = () => undefined;
  const promise = new Promise<T>((resolve) => {
    fire = resolve;
  });
  return { promise, fire };
}
