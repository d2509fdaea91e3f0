/** A plain picture of what the broker holds, for tests and the command line. */
import type { Cluster } from './cluster.ts';
import type { Group, GroupState } from './groups/group.ts';

export interface PartitionView {
  readonly partition: number;
  readonly leader: number;
  readonly leaderEpoch: number;
  readonly replicas: readonly number[];
  readonly logStartOffset: number;
  readonly endOffset: number;
  readonly bytes: number;
}

export interface TopicView {
  readonly name: string;
  readonly id: string;
  readonly configs: Readonly<Record<string, string>>;
  readonly partitions: readonly PartitionView[];
}

export interface OffsetView {
  readonly topic: string;
  readonly partition: number;
  readonly offset: number;
  readonly leaderEpoch: number;
  readonly metadata: string;
  readonly at: number;
}

export interface GroupView {
  readonly id: string;
  readonly state: GroupState;
  readonly generation: number;
  readonly protocol: string | null;
  readonly leader: string | null;
  readonly coordinator: number;
  readonly members: readonly {
    readonly id: string;
    readonly groupInstanceId: string | null;
    readonly clientId: string;
    readonly clientHost: string;
    readonly metadata: Buffer;
    readonly assignment: Buffer;
  }[];
  readonly offsets: readonly OffsetView[];
}

export interface BrokerView {
  readonly clusterId: string;
  readonly nodes: readonly { readonly id: number; readonly address: string; readonly alive: boolean }[];
  /** Memory that the logs hold. */
  readonly bytes: number;
  readonly topics: readonly TopicView[];
  readonly groups: readonly GroupView[];
}

export function inspect(cluster: Cluster): BrokerView {
  return {
    clusterId: cluster.id,
    nodes: cluster.nodes.map(({ id, host, port, alive }) => ({ id, address: `${host}:${port}`, alive })),
    bytes: cluster.memory.bytes,
    topics: [...cluster.topics.values()].map((topic) => ({
      name: topic.name,
      id: topic.id,
      configs: Object.fromEntries(topic.config.overrides),
      partitions: topic.partitions.map((partition) => ({
        partition: partition.index,
        leader: partition.leader,
        leaderEpoch: partition.leaderEpoch,
        replicas: partition.replicas,
        logStartOffset: partition.logStartOffset,
        endOffset: partition.endOffset,
        bytes: partition.bytes,
      })),
    })),
    groups: [...cluster.groups.values()].map((group) => groupView(cluster, group)),
  };
}

function groupView(cluster: Cluster, group: Group): GroupView {
  const offsets: OffsetView[] = [];
  for (const [topic, partitions] of group.offsets.topics()) {
    for (const [partition, committed] of partitions) offsets.push({ topic, partition, ...committed });
  }
  return {
    id: group.id,
    state: group.state,
    generation: group.generation,
    protocol: group.protocolName,
    leader: group.leader,
    coordinator: cluster.coordinatorOf(group.id),
    members: [...group.members.values()].map((member) => ({
      id: member.id,
      groupInstanceId: member.groupInstanceId,
      clientId: member.clientId,
      clientHost: member.clientHost,
      metadata: group.metadataOf(member),
      assignment: member.assignment,
    })),
    offsets,
  };
}
