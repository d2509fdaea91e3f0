/** What administrators ask, by kafkajs: topics, settings, offsets by time, groups, records. */
import { gzipSync } from 'node:zlib';
import kafkajs, { type Admin } from 'kafkajs';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { type Broker, startBroker } from './broker.ts';
import { Clients, signalled } from './kafkajs-client.fixture.ts';

let broker: Broker;
let clients: Clients;
let admin: Admin;
beforeEach(async () => {
  broker = await startBroker();
  clients = new Clients(broker);
  admin = await clients.admin();
});
afterEach(async () => {
  await clients.close();
  await broker.stop();
});

const create = (topic: string, more: object = {}) => admin.createTopics({ topics: [{ topic, ...more }] });

describe('topics', () => {
  test('are created once, listed, grown and deleted with their offsets', async () => {
    expect(await create('t', { numPartitions: 3 })).toBe(true);
    expect(await create('t', { numPartitions: 3 })).toBe(false);
    expect(await admin.listTopics()).toEqual(['t']);
    await admin.createPartitions({ topicPartitions: [{ topic: 't', count: 5 }] });
    expect((await admin.fetchTopicMetadata({ topics: ['t'] })).topics[0]?.partitions).toHaveLength(5);
    await admin.setOffsets({ groupId: 'g', topic: 't', partitions: [{ partition: 0, offset: '7' }] });
    expect(broker.inspect().groups[0]?.offsets).toMatchObject([{ topic: 't', partition: 0, offset: 7 }]);
    await admin.deleteTopics({ topics: ['t'] });
    expect(await admin.listTopics()).toEqual([]);
    expect(broker.inspect().groups[0]?.offsets).toEqual([]);
  });

  test.each([
    ['an illegal name', 'a/b', {}, 'INVALID_TOPIC_EXCEPTION'],
    ['no partitions', 't', { numPartitions: 0 }, 'INVALID_PARTITIONS'],
    ['more replicas than nodes', 't', { replicationFactor: 2 }, 'INVALID_REPLICATION_FACTOR'],
    ['an unknown setting', 't', { configEntries: [{ name: 'nope', value: '1' }] }, 'INVALID_CONFIG'],
    ['a bad value', 't', { configEntries: [{ name: 'max.message.bytes', value: 'x' }] }, 'INVALID_CONFIG'],
  ])('%s is refused', async (_what, topic, more, type) => {
    const error = await create(topic, more).catch((thrown: unknown) => thrown);
    const inner = (error as { errors?: { type: string }[] }).errors?.[0] ?? (error as { type: string });
    expect(inner.type).toBe(type);
    expect(broker.inspect().topics).toEqual([]);
  });

  test('fewer partitions than there are is refused', async () => {
    await create('t', { numPartitions: 3 });
    await expect(admin.createPartitions({ topicPartitions: [{ topic: 't', count: 2 }] })).rejects.toThrow();
    await expect(admin.createPartitions({ topicPartitions: [{ topic: 't', count: 3 }] })).rejects.toThrow();
  });

  test('validateOnly makes nothing', async () => {
    await admin.createTopics({ validateOnly: true, waitForLeaders: false, topics: [{ topic: 't', numPartitions: 3 }] });
    expect(await admin.listTopics()).toEqual([]);
  });

  test('asking for an unknown topic makes it only where that is switched on', async () => {
    await expect(admin.fetchTopicMetadata({ topics: ['new'] })).rejects.toThrow();
    const open = await startBroker({ autoCreateTopics: 3 });
    const others = new Clients(open);
    const producer = await others.producer({ allowAutoTopicCreation: true });
    await producer.send({ topic: 'new', messages: [{ value: 'a' }] });
    expect(open.inspect().topics[0]?.partitions).toHaveLength(3);
    await others.close();
    await open.stop();
  });
});

describe('settings', () => {
  test('are described, changed and enforced', async () => {
    await create('t', { configEntries: [{ name: 'max.message.bytes', value: '2000' }] });
    const resource = { type: kafkajs.ConfigResourceTypes.TOPIC, name: 't' };
    const read = async () => {
      const described = await admin.describeConfigs({
        includeSynonyms: false,
        resources: [{ ...resource, configNames: ['max.message.bytes'] }],
      });
      return described.resources[0]?.configEntries[0];
    };
    expect(await read()).toMatchObject({ configName: 'max.message.bytes', configValue: '2000' });
    const producer = await clients.producer();
    const send = () => producer.send({ topic: 't', messages: [{ value: 'x'.repeat(3000) }] });
    await expect(send()).rejects.toMatchObject({ type: 'MESSAGE_TOO_LARGE' });
    await admin.alterConfigs({
      validateOnly: false,
      resources: [{ ...resource, configEntries: [{ name: 'max.message.bytes', value: '9000' }] }],
    });
    expect(await read()).toMatchObject({ configValue: '9000' });
    await send();
  });
});

describe('offsets and records', () => {
  test('offsets by time, the start, the end, and deleted records', async () => {
    await create('t', { numPartitions: 1 });
    const producer = await clients.producer();
    for (let batch = 0; batch < 3; batch++) {
      await producer.send({
        topic: 't',
        messages: Array.from({ length: 10 }, (_, index) => ({
          value: 'v',
          timestamp: String(1000 + batch * 10 + index),
        })),
      });
    }
    const at = async (time?: number) => (await admin.fetchTopicOffsetsByTimestamp('t', time))[0]?.offset;
    expect(await at(1000)).toBe('0');
    expect(await at(1017)).toBe('17');
    expect(await at(5000)).toBe('30');
    await admin.deleteTopicRecords({ topic: 't', partitions: [{ partition: 0, offset: '13' }] });
    expect(await admin.fetchTopicOffsets('t')).toEqual([{ partition: 0, offset: '30', high: '30', low: '13' }]);
    const consumer = await clients.consumer('g');
    await consumer.subscribe({ topic: 't', fromBeginning: true });
    const first = signalled<string>();
    await consumer.run({ eachMessage: async ({ message }) => first.fire(message.offset) });
    expect(await first.promise).toBe('13');
  });

  test('groups are listed and described with their members', async () => {
    await create('t', { numPartitions: 2 });
    const consumer = await clients.consumer('g');
    await consumer.subscribe({ topic: 't' });
    const joined = signalled();
    consumer.on('consumer.group_join', () => joined.fire());
    await consumer.run({ eachMessage: async () => undefined });
    await joined.promise;
    expect((await admin.listGroups()).groups).toEqual([{ groupId: 'g', protocolType: 'consumer' }]);
    const described = (await admin.describeGroups(['g', 'nobody'])).groups;
    expect(described[0]).toMatchObject({ groupId: 'g', state: 'Stable', protocol: 'RoundRobinAssigner' });
    expect(described[0]?.members[0]).toMatchObject({ clientId: 'test', clientHost: '/127.0.0.1' });
    expect(described[1]?.state).toBe('Dead');
  });
});

describe('compression', () => {
  const other = {
    compress: async (encoder: { buffer: Buffer }) => gzipSync(encoder.buffer).reverse(),
    decompress: async (buffer: Buffer) => {
      const { gunzipSync } = await import('node:zlib');
      return gunzipSync(Buffer.from(buffer).reverse());
    },
  };

  test.each([
    ['gzip', kafkajs.CompressionTypes.GZIP],
    ['a codec the broker has never seen', kafkajs.CompressionTypes.LZ4],
  ])('%s passes through untouched', async (_name, compression) => {
    kafkajs.CompressionCodecs[kafkajs.CompressionTypes.LZ4] = () => other;
    await create('t');
    const producer = await clients.producer();
    const values = Array.from({ length: 100 }, (_, index) => `value ${index} ${'x'.repeat(50)}`);
    await producer.send({ topic: 't', compression, messages: values.map((value) => ({ value })) });
    const consumer = await clients.consumer('g');
    await consumer.subscribe({ topic: 't', fromBeginning: true });
    const got: string[] = [];
    const done = signalled();
    await consumer.run({
      eachMessage: async ({ message }) => {
        got.push(message.value!.toString());
        if (got.length === values.length) done.fire();
      },
    });
    await done.promise;
    expect(got).toEqual(values);
    expect(broker.inspect().topics[0]?.partitions[0]?.bytes).toBeLessThan(3000);
  });
});
