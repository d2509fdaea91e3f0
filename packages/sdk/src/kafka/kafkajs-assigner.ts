/**
 * Our assigner as kafkajs wants it, beside kafkajs's own round robin. A member offers both, ours first, so the group
 * uses round robin while some member offers nothing else (a worker of an older version, or a plain kafkajs consumer) and
 * changes to ours, by itself, with the first rebalance after the last of those has gone.
 *
 * kafkajs calls `protocol()` right before every JoinGroup, also on the paths into a join that emit no event: that is how
 * the membership hears of it.
 */
import kafkajs, { type Assigner, type Cluster, type PartitionAssigner } from 'kafkajs';
import { type AssignerMember, assign } from './assigner.ts';
import { type Claim, type ClaimedPartition, decodeClaim, encodeClaim } from './claim.ts';
import type { TopicPartition } from './port.ts';

const { MemberAssignment, MemberMetadata } = kafkajs.AssignerProtocol;

/** The name by which the group's members agree on it. Another way of assigning needs another name. */
export const ASSIGNER_NAME = 'WeirAssigner';
const VERSION = 0;

export interface AssignerHooks {
  /** A JoinGroup is about to be made. */
  joining(): void;
  /** What this member tells the leader. */
  claim(): Claim;
  /** As leader: whether this join was made only to have the partitions balanced. */
  thorough(): boolean;
  /** As leader: a topic of another member's could not be looked up, and none of its partitions are assigned. */
  unknownTopic(topic: string, error: unknown): void;
}

/** The assigners of a member, in the order in which it prefers them. */
export function assigners(onCluster: (cluster: Cluster) => void, hooks: AssignerHooks): PartitionAssigner[] {
  return [
    (config) => {
      onCluster(config.cluster);
      return ourAssigner(config.cluster, hooks);
    },
    kafkajs.PartitionAssigners.roundRobin,
  ];
}

/** For a client that only asks and never joins. */
export function clusterOnly(onCluster: (cluster: Cluster) => void): PartitionAssigner {
  return (config) => {
    onCluster(config.cluster);
    return kafkajs.PartitionAssigners.roundRobin(config);
  };
}

function ourAssigner(cluster: Cluster, hooks: AssignerHooks): Assigner {
  return {
    name: ASSIGNER_NAME,
    version: VERSION,
    protocol({ topics }) {
      hooks.joining();
      const userData = encodeClaim(hooks.claim());
      return { name: ASSIGNER_NAME, metadata: MemberMetadata.encode({ version: VERSION, topics, userData }) };
    },
    async assign({ members, topics }) {
      const joined = members.map(({ memberId, memberMetadata }) => readMember(memberId, memberMetadata, topics));
      const wanted = new Set(joined.flatMap(({ member }) => [...member.topics]));
      const partitions = await partitionsOf(cluster, [...wanted], new Set(topics), hooks);
      const loads = loadsOf(joined);
      const dealt = assign(
        joined.map(({ member }) => member),
        partitions,
        ({ topic, partition }) => loads.get(`${topic}/${partition}`)?.load,
        hooks.thorough(),
      );
      return [...dealt].map(([memberId, share]) => ({ memberId, memberAssignment: encodeShare(share) }));
    },
  };
}

interface Joined {
  readonly member: AssignerMember;
  readonly claimed: readonly ClaimedPartition[];
}

/** Whatever a member sends, it is a member: what cannot be read of it is as if it had sent nothing. */
function readMember(id: string, metadata: Buffer, leaderTopics: readonly string[]): Joined {
  let topics = leaderTopics;
  let claim: Claim | undefined;
  try {
    const read = MemberMetadata.decode(metadata);
    if (read) {
      topics = read.topics;
      claim = decodeClaim(read.userData);
    }
  } catch {
    // cut short, or another client's: it has joined this group, so it reads what the others read
  }
  const { leaving = false, generation = -1, partitions = [] } = claim ?? {};
  return {
    member: { id, topics: new Set(topics), leaving, generation, claims: partitions },
    claimed: partitions,
  };
}

/** Of two that say how heavy a partition is, the one with the newer generation owned it last. */
function loadsOf(joined: readonly Joined[]): Map<string, { load: number | undefined; generation: number }> {
  const loads = new Map<string, { load: number | undefined; generation: number }>();
  for (const { member, claimed } of joined) {
    for (const { topic, partition, load } of claimed) {
      const known = loads.get(`${topic}/${partition}`);
      if (!known || known.generation < member.generation) {
        loads.set(`${topic}/${partition}`, { load, generation: member.generation });
      }
    }
  }
  return loads;
}

async function partitionsOf(
  cluster: Cluster,
  topics: readonly string[],
  own: ReadonlySet<string>,
  hooks: AssignerHooks,
): Promise<TopicPartition[]> {
  const partitions: TopicPartition[] = [];
  for (const topic of topics) {
    try {
      // kafkajs has just refreshed what it knows of our own topics; of others it knows nothing yet.
      if (!own.has(topic)) await cluster.addTargetTopic(topic);
      for (const { partitionId } of cluster.findTopicPartitionMetadata(topic)) {
        partitions.push({ topic, partition: partitionId });
      }
    } catch (error) {
      hooks.unknownTopic(topic, error);
    }
  }
  return partitions;
}

function encodeShare(share: readonly TopicPartition[]): Buffer {
  const assignment: Record<string, number[]> = {};
  for (const { topic, partition } of share) {
    const list = assignment[topic];
    if (list) list.push(partition);
    else assignment[topic] = [partition];
  }
  return MemberAssignment.encode({ version: VERSION, assignment, userData: Buffer.alloc(0) });
}
