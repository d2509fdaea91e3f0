import kafkajs, { type Cluster, type Kafka } from 'kafkajs';

/** A cluster of a client, which is not connected: a consumer shows its own to its assigner. */
export function clusterOf(kafka: Kafka): Cluster {
  let shown: Cluster | undefined;
  kafka.consumer({
    groupId: 'g',
    partitionAssigners: [
      (config) => {
        shown = config.cluster;
        return kafkajs.PartitionAssigners.roundRobin(config);
      },
    ],
  });
  return shown!;
}
