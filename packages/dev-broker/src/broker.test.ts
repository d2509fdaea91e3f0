/** The broker under a real client, kafkajs: what every other test builds on. */
import kafkajs, { type Kafka } from 'kafkajs';
import { afterEach, describe, expect, test } from 'vitest';
import { type Broker, startBroker } from './broker.ts';
import { PortTakenError } from './errors.ts';

let broker: Broker | undefined;
afterEach(async () => {
  await broker?.stop();
  broker = undefined;
});

function clientOf(started: Broker): Kafka {
  return new kafkajs.Kafka({ brokers: started.brokers, logLevel: kafkajs.logLevel.NOTHING, clientId: 'test' });
}

describe('starting and stopping', () => {
  test('a taken port is named', async () => {
    broker = await startBroker();
    const port = Number(broker.brokers[0]!.split(':')[1]);
    await expect(startBroker({ port })).rejects.toThrow(PortTakenError);
    await expect(startBroker({ port })).rejects.toThrow(String(port));
  });

  test.each([
    ['a name twice', 't', {}, "Topic 't' already exists."],
    ['an illegal name', 'a b', {}, 'has characters other than'],
    ['too many replicas', 'u', { replicationFactor: 2 }, 'this cluster has 1 node(s)'],
    ['half a partition', 'u', { partitions: 0.5 }, '0.5 was given'],
    ['an unknown setting', 'u', { configs: { nope: '1' } }, 'Unknown topic config name: nope'],
  ])('a topic with %s is refused in words', async (_what, name, options, words) => {
    const started = await startBroker();
    broker = started;
    started.createTopic('t');
    expect(() => started.createTopic(name, options)).toThrow(words);
  });

  test('stopping twice is safe', async () => {
    broker = await startBroker();
    await broker.stop();
    await broker.stop();
  });

  test('an option out of range names itself', async () => {
    await expect(startBroker({ nodes: 0 })).rejects.toThrow('nodes: 0 was given, a whole number of 1 to 64 is allowed');
  });
});

describe('kafkajs', () => {
  test('what is produced is consumed, in order, with keys, headers and timestamps', async () => {
    broker = await startBroker();
    broker.createTopic('t', { partitions: 1 });
    const kafka = clientOf(broker);
    const producer = kafka.producer({ idempotent: true, createPartitioner: kafkajs.Partitioners.DefaultPartitioner });
    await producer.connect();
    const sent = Array.from({ length: 50 }, (_, index) => ({
      key: `k${index}`,
      value: `v${index}`,
      headers: { a: 'b' },
      timestamp: String(1_000_000 + index),
    }));
    await producer.send({ topic: 't', messages: sent.slice(0, 20) });
    await producer.send({ topic: 't', messages: sent.slice(20) });
    const consumer = kafka.consumer({ groupId: 'g' });
    await consumer.connect();
    await consumer.subscribe({ topic: 't', fromBeginning: true });
    const got: unknown[] = [];
    await new Promise<void>((resolve) => {
      void consumer.run({
        eachMessage: async ({ message }) => {
          got.push({
            key: message.key?.toString(),
            value: message.value?.toString(),
            headers: { a: message.headers?.a?.toString() },
            timestamp: message.timestamp,
          });
          if (got.length === sent.length) resolve();
        },
      });
    });
    expect(got).toEqual(sent);
    await consumer.disconnect();
    await producer.disconnect();
  });
});
