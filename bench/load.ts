/** A topic full of records for the consumers to read, and the brokers that they read it from. */
import { startBroker } from '@weir/dev-broker';
import { Kafka, logLevel } from 'kafkajs';

export interface BrokerUnderTest {
  readonly name: string;
  readonly brokers: readonly string[];
  /** Seconds from the call to the first answer. */
  readonly startSeconds: number;
  stop(): Promise<void>;
}

export async function startDevBroker(): Promise<BrokerUnderTest> {
  const begin = performance.now();
  // the load must not fall to retention: a million records of 100 bytes are some 120 MB
  const broker = await startBroker({ retentionBytes: 1024 * 1024 * 1024 });
  await answers(broker.brokers);
  const startSeconds = (performance.now() - begin) / 1000;
  return { name: 'dev broker', brokers: broker.brokers, startSeconds, stop: () => broker.stop() };
}

/** Undefined, after its own loud line, when there is none to be had. */
export async function startRealKafka(): Promise<BrokerUnderTest | undefined> {
  const { startKafka } = await import('../test/support/kafka.ts');
  const begin = performance.now();
  const kafka = await startKafka();
  if (!kafka) return undefined;
  await answers(kafka.brokers);
  const startSeconds = (performance.now() - begin) / 1000;
  return { name: 'Apache Kafka', brokers: kafka.brokers, startSeconds, stop: () => kafka.stop() };
}

function client(brokers: readonly string[]): Kafka {
  return new Kafka({ clientId: 'bench', brokers: [...brokers], logLevel: logLevel.NOTHING });
}

async function answers(brokers: readonly string[]): Promise<void> {
  const admin = client(brokers).admin();
  await admin.connect();
  await admin.listTopics();
  await admin.disconnect();
}

/** Makes a topic with `records` records of `bytes` bytes, spread evenly; 500 to a batch, as a busy producer sends them. */
export async function fill(options: {
  brokers: readonly string[];
  topic: string;
  partitions: number;
  records: number;
  bytes: number;
}): Promise<void> {
  const kafka = client(options.brokers);
  const admin = kafka.admin();
  await admin.connect();
  await admin.createTopics({
    topics: [{ topic: options.topic, numPartitions: options.partitions }],
    waitForLeaders: true,
  });
  await admin.disconnect();
  const producer = kafka.producer({ allowAutoTopicCreation: false });
  await producer.connect();
  const value = Buffer.alloc(options.bytes, 'x');
  const batch = 500;
  let partition = 0;
  for (let sent = 0; sent < options.records; ) {
    const requests: Promise<unknown>[] = [];
    for (let parallel = 0; parallel < 8 && sent < options.records; parallel++) {
      const count = Math.min(batch, options.records - sent);
      const messages = Array.from({ length: count }, () => ({ value, partition }));
      partition = (partition + 1) % options.partitions;
      sent += count;
      requests.push(producer.send({ topic: options.topic, messages, acks: 1 }));
    }
    await Promise.all(requests);
  }
  await producer.disconnect();
}
