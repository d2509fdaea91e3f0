/**
 * A foreign member: plain kafkajs with its round-robin assigner, as in the middle of a rolling upgrade from it. It joins a worker's
 * group, is given partitions, handles and commits nothing, and leaves. Everybody joins again twice, on any Kafka.
 */
import { setTimeout as wait } from 'node:timers/promises';
import kafkajs, { type Cluster, type Kafka } from 'kafkajs';
import { endFetching } from '../../packages/sdk/src/kafka/kafkajs-stop.ts';

/** One that is not in the group yet cannot leave it, and would hold the others up until its session is over. */
const MOST_JOIN_MS = 10_000;

/** @returns leaves the group */
export async function visit(client: Kafka, group: string, topics: readonly string[]): Promise<() => Promise<void>> {
  let cluster: Cluster | undefined;
  const consumer = client.consumer({
    groupId: group,
    partitionAssigners: [
      (config) => {
        cluster = config.cluster;
        return kafkajs.PartitionAssigners.roundRobin(config);
      },
    ],
    heartbeatInterval: 300,
    sessionTimeout: 10_000,
    retry: { retries: 20 },
  });
  await consumer.connect();
  await consumer.subscribe({ topics: [...topics], fromBeginning: true });
  const joined = new Promise((resolve) => consumer.on('consumer.group_join', resolve));
  await consumer.run({
    autoCommit: false,
    eachBatchAutoResolve: false,
    eachBatch: async ({ batch, resolveOffset }) => resolveOffset(batch.lastOffset()),
  });
  return async () => {
    await Promise.race([joined, wait(MOST_JOIN_MS)]);
    const left = consumer.disconnect();
    // It shares this process with the brokers, which would stand still with it.
    endFetching(cluster);
    await left;
  };
}
