/**
 * One look at a group: what it has committed and what stands beside it, where its topics end, who its members are. Three
 * requests at once; nothing is kept. Everything that plans (each replica, the scaler service, the CLI) starts here.
 */
import { TopicMissingError } from '../errors.ts';
import type { Admin, TopicPartition } from '../kafka/port.ts';
import { decodeMetadata, type MetadataIgnored, type Signal } from '../metadata.ts';
import type { TopologyWorker } from '../topology.ts';
import type { PlanInput, PlanMemory } from './plan.ts';

export interface PartitionSnapshot extends TopicPartition {
  readonly start: number;
  readonly end: number;
  /** -1 when nothing is committed. */
  readonly committed: number;
  /** Records from the committed offset to the end; from the log's start when nothing usable is committed. */
  readonly behind: number;
  readonly signal: Signal | undefined;
  /** Why what stands beside the commit is no signal; undefined when it is one. */
  readonly ignored: MetadataIgnored | undefined;
}

export interface Snapshot {
  readonly worker: string;
  readonly group: string;
  /** Milliseconds since the epoch. */
  readonly takenAt: number;
  /** Kafka's own: Empty, PreparingRebalance, CompletingRebalance, Stable, Dead. */
  readonly state: string;
  readonly members: readonly { readonly memberId: string; readonly partitions: readonly TopicPartition[] }[];
  /** In the order of topic and partition. */
  readonly partitions: readonly PartitionSnapshot[];
}

/**
 * @param now  milliseconds since the epoch, kept as `takenAt`
 * @throws TopicMissingError, and whatever the admin client throws when a broker does not answer
 */
export async function takeSnapshot(admin: Admin, worker: TopologyWorker, now: number): Promise<Snapshot> {
  const topics = worker.consumes.map((topic) => topic.name);
  const [committed, offsets, group] = await Promise.all([
    admin.committed(worker.group, topics),
    admin.offsets(topics),
    admin.describeGroup(worker.group),
  ]);
  const missing = topics.filter((topic) => !offsets.some((each) => each.topic === topic));
  if (missing.length > 0) throw new TopicMissingError(missing, 'create with `weir topics create`');
  const commits = new Map(committed.map((commit) => [`${commit.topic}/${commit.partition}`, commit]));
  const partitions = offsets.map(({ topic, partition, start, end }): PartitionSnapshot => {
    const commit = commits.get(`${topic}/${partition}`);
    // kafkajs writes -1 or -2 by itself when an offset is out of range: the position is the log's start then.
    const position = commit && commit.offset >= 0 ? commit.offset : -1;
    const decoded = decodeMetadata(position < 0 ? '' : commit?.metadata, position);
    return {
      topic,
      partition,
      start,
      end,
      committed: position,
      // The three requests are not of the same moment, and retention may have passed the commit.
      behind: Math.max(0, end - Math.max(position, start)),
      signal: decoded.signal,
      ignored: decoded.ignored,
    };
  });
  return {
    worker: worker.name,
    group: worker.group,
    takenAt: now,
    state: group.state,
    members: group.members
      .map(({ memberId, partitions }) => ({ memberId, partitions: [...partitions].sort(byName) }))
      .sort((a, b) => (a.memberId < b.memberId ? -1 : 1)),
    partitions: partitions.sort(byName),
  };
}

export function planInput(snapshot: Snapshot, scaling: PlanInput['scaling'], memory?: PlanMemory): PlanInput {
  return {
    now: snapshot.takenAt,
    scaling,
    group: { state: snapshot.state, members: snapshot.members.map((member) => member.partitions) },
    partitions: snapshot.partitions,
    ...(memory ? { memory } : {}),
  };
}

function byName(a: TopicPartition, b: TopicPartition): number {
  return a.topic === b.topic ? a.partition - b.partition : a.topic < b.topic ? -1 : 1;
}
