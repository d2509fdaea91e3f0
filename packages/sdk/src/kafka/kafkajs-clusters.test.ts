import { silentLogger } from '@weir/core';
import kafkajs, { type Cluster, type Kafka } from 'kafkajs';
import { expect, test } from 'vitest';
import { clusterOf } from './cluster.fixture.ts';
import { kafkajsPort } from './kafkajs.ts';
import { createClient, type KafkaClass } from './kafkajs-client.ts';
import { onClusters } from './kafkajs-clusters.ts';
import { PRODUCER_RETRIES } from './kafkajs-retry.ts';
import { SETTINGS } from './settings.fixture.ts';

interface Queue {
  throttleCheckTimeoutId: unknown;
  readonly pending: unknown[];
  checkPendingRequests(): void;
  scheduleCheckPendingRequests(): void;
  destroy(): void;
}
type InnerCluster = Cluster & {
  readonly retry?: { readonly retries: number };
  readonly connectionPoolBuilder: {
    build(address: object): Promise<{ readonly pool: readonly { readonly requestQueue: Queue }[] }>;
  };
};

const ours = () =>
  createClient({ settings: SETTINGS, log: silentLogger, retries: 3, Kafka: kafkajs.Kafka as KafkaClass }).kafka;
const plain = () => new kafkajs.Kafka({ brokers: [...SETTINGS.brokers], logLevel: kafkajs.logLevel.NOTHING });

const ourCluster = () => clusterOf(ours()) as InnerCluster;
const plainCluster = () => clusterOf(plain()) as InnerCluster;

async function queuesOf(cluster: InnerCluster): Promise<Queue[]> {
  const { pool } = await cluster.connectionPoolBuilder.build({ host: '127.0.0.1', port: 1 });
  return pool.map(({ requestQueue }) => requestQueue);
}

test('a connection of ours arms its queue’s timer only when a request waits', async () => {
  const queues = await queuesOf(ourCluster());
  expect(queues).toHaveLength(2);
  for (const queue of queues) {
    queue.checkPendingRequests();
    expect(queue.throttleCheckTimeoutId).toBeNull();
    queue.pending.push({});
    queue.scheduleCheckPendingRequests();
    expect(queue.throttleCheckTimeoutId).not.toBeNull();
    queue.destroy();
  }
});

test('a producer of ours has its requests written here, a plain kafkajs client’s are kafkajs’s', async () => {
  const writtenBy = async (cluster: InnerCluster): Promise<unknown> => {
    const made = { request: { apiVersion: 7, encode: async () => 'kafkajs' }, response: {} };
    const broker = { lookupRequest: () => (_request: object) => made };
    Object.assign(cluster, { brokerPool: { findBroker: async () => broker } });
    await cluster.findBroker({ nodeId: '0' });
    const looked = broker.lookupRequest as unknown as (key: number, of: object) => (asked: object) => typeof made;
    const asked = { acks: -1, timeout: 1, producerId: '1', producerEpoch: 0, compression: 0, topicData: [] };
    return looked(0, {})(asked).request.encode();
  };
  expect(await writtenBy(ourCluster())).toMatchObject({ buf: expect.any(Buffer) });
  expect(await writtenBy(plainCluster())).toBe('kafkajs');
});

test('a producer of ours asks for its id at our pace', () => {
  expect(ourCluster().retry).toMatchObject({ retries: PRODUCER_RETRIES });
});

test('a plain kafkajs client in the same process is what kafkajs made it', async () => {
  const { emitWarning } = process;
  const before = plainCluster();
  ourCluster();
  kafkajsPort({ settings: SETTINGS, log: silentLogger });
  expect(process.emitWarning).toBe(emitWarning);
  for (const cluster of [before, plainCluster()]) {
    expect('retry' in cluster).toBe(false);
    for (const queue of await queuesOf(cluster)) {
      queue.checkPendingRequests();
      // kafkajs's own way: the timer runs although nothing waits.
      expect(queue.throttleCheckTimeoutId).not.toBeNull();
      queue.destroy();
    }
  }
});

test('a client that has no such insides is left as it is', () => {
  const fork = Object.freeze({ producer: () => undefined }) as unknown as Kafka;
  expect(() => onClusters(fork, () => undefined)).not.toThrow();
});
