import { type Clock, silentLogger, systemClock } from '@weir/core';
import { type Broker, startBroker } from '@weir/dev-broker';
import kafkajs, { type Cluster, type ConsumerConfig } from 'kafkajs';
import { expect, test } from 'vitest';
import { BrokerUnreachableError } from '../../packages/sdk/src/errors.ts';
import { kafkajsPort } from '../../packages/sdk/src/kafka/kafkajs.ts';
import { until } from '../support/until.ts';
import { assignerSuite } from './assigner-suite.ts';
import { Bench } from './harness.ts';
import { kafkaSuite } from './kafka-suite.ts';

kafkaSuite(
  'dev broker',
  async () => {
    const broker = await startBroker({ port: 0 });
    return { brokers: broker.brokers, sessionTimeoutMs: 2_000, stop: () => broker.stop() };
  },
  { transactions: false },
);

kafkaSuite(
  'dev broker of three nodes',
  async () => {
    const broker = await startBroker({ port: 0, nodes: 3 });
    return { brokers: broker.brokers, sessionTimeoutMs: 2_000, stop: () => broker.stop() };
  },
  { transactions: false },
);

assignerSuite('dev broker', async () => {
  const broker = await startBroker({ port: 0 });
  return { brokers: broker.brokers, sessionTimeoutMs: 2_000, stop: () => broker.stop() };
});

test('a broker that is not there is said to be missing, looked for, and used when it comes', async () => {
  const placeholder = await startBroker({ port: 0 });
  const [address] = placeholder.brokers;
  await placeholder.stop();
  const bench = new Bench({ brokers: [address!], sessionTimeoutMs: 2_000, stop: async () => undefined });
  try {
    const member = await bench.member().start();
    const producer = bench.port.producer();
    bench.atEnd(() => producer.stop());
    await producer.start();
    let written = false;
    void producer.send({ topic: bench.topic, key: 'k', value: Buffer.from('v') }, (error) => {
      written = error === null;
    });
    await until('it is said', () => member.consumer.status.detail.includes(`no Kafka broker answers at ${address}`));
    expect(member.consumer.status.state).toBe('connecting');
    await expect(bench.admin.listGroups()).rejects.toThrow(BrokerUnreachableError);
    expect(written).toBe(false);
    const broker = await startBroker({ port: Number(address!.split(':')[1]) });
    bench.atEnd(() => broker.stop());
    await bench.createTopic(1);
    await until('the record is written', () => written, 30_000);
    await until('and read', () => member.delivered === 1, 30_000);
  } finally {
    await bench.close();
  }
});

test('a broker that refuses producer ids for a while delays records by little more than that while', async () => {
  const broker = await startBroker({ port: 0 });
  const bench = new Bench({ brokers: broker.brokers, sessionTimeoutMs: 2_000, stop: () => broker.stop() });
  try {
    bench.atEnd(() => broker.stop());
    await bench.createTopic(1);
    const GROUP_LOAD_IN_PROGRESS = 14;
    let refused = 0;
    let waits = true;
    broker.control('InitProducerId', () => {
      if (waits) refused++;
      return waits ? { errorCode: GROUP_LOAD_IN_PROGRESS } : undefined;
    });
    const producer = bench.port.producer();
    bench.atEnd(() => producer.stop());
    await producer.start();
    const fates: (Error | null)[] = [];
    for (let index = 0; index < 100; index++) {
      void producer.send({ topic: bench.topic, key: null, value: Buffer.from('v') }, (error) => fates.push(error));
    }
    // With kafkajs's own waits the fourteenth came after 20 s.
    await until('14 are refused', () => refused >= 14, 10_000);
    expect(fates).toEqual([]);
    waits = false;
    await until('all are written', () => fates.length === 100, 10_000);
    expect(fates.every((fate) => fate === null)).toBe(true);
    const [end] = await bench.admin.offsets([bench.topic]);
    expect(end?.end).toBe(100);
  } finally {
    await bench.close();
  }
});

test('a question that a broker takes and never answers is asked again by a new client', () =>
  onDevBroker(async (bench, broker) => {
    // The wait for the answer is shortened; kafkajs's own, of 30 s, is not.
    const clock: Clock = Object.create(systemClock, {
      sleep: { value: (ms: number, signal?: AbortSignal) => systemClock.sleep(ms / 20, signal) },
    });
    const admin = kafkajsPort({ settings: bench.settings(), log: silentLogger, clock }).admin();
    try {
      await bench.createTopic(2);
      let asked = 0;
      broker.control('OffsetFetch', () => (++asked === 1 ? { delayMs: 600_000 } : undefined));
      const since = performance.now();
      expect(await admin.committed(bench.group, [bench.topic])).toHaveLength(2);
      expect(asked).toBe(2);
      expect(performance.now() - since).toBeLessThan(10_000);
    } finally {
      await admin.stop();
    }
  }));

test('a join that breaks off while the group goes on as it was is made up for', () =>
  onDevBroker(async (bench, broker) => {
    await bench.createTopic(2);
    const member = await bench.member().start();
    await until('it has the partitions', () => member.owned === 2);
    const REBALANCE_IN_PROGRESS = 27;
    let broken = 0;
    broker.control('JoinGroup', () => (++broken === 1 ? 'drop' : undefined));
    broker.control('Heartbeat', () => (broken === 0 ? { errorCode: REBALANCE_IN_PROGRESS } : undefined));
    await until('its join breaks off', () => broken > 0);
    await bench.produce([{ topic: bench.topic, key: null, value: Buffer.from('v') }]);
    await until('it goes on', () => member.delivered === 1);
    expect((await bench.admin.describeGroup(bench.group)).members).toHaveLength(1);
  }));

test('a member that stops while the set of brokers changes leaves the event loop to others', { timeout: 60_000 }, () =>
  onDevBroker(async (bench) => {
    let cluster: (Cluster & { getNodeIds(): number[] }) | undefined;
    class Watched extends kafkajs.Kafka {
      override consumer(config: ConsumerConfig) {
        if (config.groupId !== bench.group) return super.consumer(config);
        const assigners = config.partitionAssigners?.map((assigner): typeof assigner => (given) => {
          cluster = given.cluster as typeof cluster;
          return assigner(given);
        });
        return super.consumer({ ...config, ...(assigners ? { partitionAssigners: assigners } : {}) });
      }
    }
    await bench.createTopic(1);
    // kafkajs takes some microtasks from the change to the new fetchers: the stop comes after each number of them.
    for (let turns = 0; turns < 24; turns++) {
      const member = bench.member({ network: { Kafka: Watched } as never });
      await member.start();
      await until('it has the partition', () => member.owned === 1);
      const nodeIds = cluster!.getNodeIds.bind(cluster);
      const stopped = new Promise<void>((resolve, reject) => {
        let isSeen = false;
        cluster!.getNodeIds = () => {
          if (!isSeen) void after(turns).then(() => member.stop().then(resolve, reject));
          isSeen = true;
          return [...nodeIds(), 99];
        };
      });
      await stopped;
    }
  }),
);

async function after(microtasks: number): Promise<void> {
  for (let turn = 0; turn < microtasks; turn++) await Promise.resolve();
}

async function onDevBroker(body: (bench: Bench, broker: Broker) => Promise<void>): Promise<void> {
  const broker = await startBroker({ port: 0 });
  const bench = new Bench({ brokers: broker.brokers, sessionTimeoutMs: 2_000, stop: () => broker.stop() });
  try {
    await body(bench, broker);
  } finally {
    await bench.close();
    await broker.stop();
  }
}
