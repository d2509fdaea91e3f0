/**
 * Reads the group's and the log's facts: committed offsets with metadata, first and end offsets, the group's members.
 * One request per broker (kafkajs's admin asks topic by topic, twice), read uncommitted, so that an end offset is the
 * high watermark and never lies below a committed offset.
 *
 * It connects when it is first asked, repeats a question a few times when the cluster is in motion (a leader or
 * coordinator moved, a connection broke), and then says BrokerUnreachableError. A question that gets no answer at all is
 * asked with a new client.
 */
import { describeError, inTime, NoAnswerError, within } from '@weir/core';
import kafkajs, { type Cluster } from 'kafkajs';
import { BrokerUnreachableError } from '../errors.ts';
import type { PortContext } from './kafkajs.ts';
import { clusterOnly } from './kafkajs-assigner.ts';
import { type Client, type Coordinator, createClient, errorType } from './kafkajs-client.ts';
import type { CommittedOffset, GroupDescription, StartPosition, TopicPartition } from './port.ts';

const ATTEMPTS = 6;
/** Of one attempt. kafkajs asks again by itself, under locks of its own; past this, another client asks. */
const ANSWER_WITHIN_MS = 15_000;
const METADATA_MAX_AGE_MS = 20_000;
/** ListOffsets' special timestamps. */
const EARLIEST = -2;
const LATEST = -1;

/** Errors of a cluster in motion: ask again after a look at the metadata. */
const IN_MOTION = new Set([
  'NOT_LEADER_FOR_PARTITION',
  'LEADER_NOT_AVAILABLE',
  'NOT_COORDINATOR_FOR_GROUP',
  'GROUP_COORDINATOR_NOT_AVAILABLE',
  'GROUP_LOAD_IN_PROGRESS',
  'UNKNOWN_TOPIC_OR_PARTITION',
  'REPLICA_NOT_AVAILABLE',
  'BROKER_NOT_AVAILABLE',
  'REQUEST_TIMED_OUT',
  'NETWORK_EXCEPTION',
  'OFFSET_NOT_AVAILABLE',
  'UNSTABLE_OFFSET_COMMIT',
]);
const CONNECTION_ERRORS =
  /KafkaJS(Connection|BrokerNotFound|RequestTimeout|LockTimeout|NumberOfRetries|GroupCoordinatorNotFound|MetadataNotLoaded|TopicMetadataNotLoaded|NoBrokerAvailable)/;

export function isInMotion(error: unknown): boolean {
  if (error instanceof NoAnswerError) return true;
  const type = errorType(error);
  if (type !== undefined) return IN_MOTION.has(type);
  return error instanceof Error && CONNECTION_ERRORS.test(error.name);
}

interface Made {
  readonly client: Client;
  readonly cluster: Cluster;
}

interface OffsetRow {
  partition: number;
  offset: string;
  metadata?: string | null;
}

export class Observer {
  readonly #context: PortContext;
  #made: Made | undefined;
  readonly #closing = new AbortController();

  constructor(context: PortContext) {
    this.#context = context;
  }

  /** First offset that exists and the next to be written, for the given partitions, or all of the topics. */
  offsets(
    topics: readonly string[],
    only?: readonly TopicPartition[],
  ): Promise<(TopicPartition & { start: number; end: number })[]> {
    return this.#ask(async (cluster) => {
      const wanted = await this.#partitions(cluster, topics, only);
      if (wanted.length === 0) return [];
      const ask = (fromTimestamp: number) =>
        cluster.fetchTopicsOffset(wanted.map(({ topic, partitions }) => ({ topic, partitions, fromTimestamp })));
      const [starts, ends] = await Promise.all([ask(EARLIEST), ask(LATEST)]);
      const startOf = new Map(
        starts.flatMap(({ topic, partitions }) =>
          partitions.map((row) => [`${topic}/${row.partition}`, Number(row.offset)] as const),
        ),
      );
      return ends.flatMap(({ topic, partitions }) =>
        partitions.map(({ partition, offset }) => ({
          topic,
          partition,
          start: startOf.get(`${topic}/${partition}`) ?? 0,
          end: Number(offset),
        })),
      );
    });
  }

  offsetsAt(topic: string, timestamp: number): Promise<StartPosition[]> {
    return this.#ask(async (cluster) => {
      const wanted = await this.#partitions(cluster, [topic]);
      if (wanted.length === 0) return [];
      const ask = (fromTimestamp: number) =>
        cluster.fetchTopicsOffset(wanted.map(({ partitions }) => ({ topic, partitions, fromTimestamp })));
      const [found, ends] = await Promise.all([ask(timestamp), ask(LATEST)]);
      const endOf = new Map(
        ends.flatMap(({ partitions }) => partitions.map((row) => [row.partition, Number(row.offset)])),
      );
      return found.flatMap(({ partitions }) =>
        partitions.map(({ partition, offset }) => ({
          topic,
          partition,
          offset: Number(offset) >= 0 ? Number(offset) : (endOf.get(partition) ?? 0),
        })),
      );
    });
  }

  /** What the group has committed, for the given partitions, or all of the topics. */
  committed(group: string, topics: readonly string[], only?: readonly TopicPartition[]): Promise<CommittedOffset[]> {
    return this.#ask(async (cluster) => {
      const wanted = await this.#partitions(cluster, topics, only);
      if (wanted.length === 0) return [];
      const coordinator = await cluster.findGroupCoordinator({ groupId: group });
      const { responses } = await coordinator.offsetFetch({
        groupId: group,
        topics: wanted as unknown as Parameters<typeof coordinator.offsetFetch>[0]['topics'],
      });
      return responses.flatMap(({ topic, partitions }) =>
        (partitions as OffsetRow[]).map(({ partition, offset, metadata }) => ({
          topic,
          partition,
          offset: Number(offset) < 0 ? -1 : Number(offset),
          metadata: Number(offset) < 0 ? '' : (metadata ?? ''),
        })),
      );
    });
  }

  /** Those of the topics that exist. */
  existing(topics: readonly string[]): Promise<string[]> {
    return this.#ask((cluster) => this.#targets(cluster, topics));
  }

  describeGroup(group: string): Promise<GroupDescription> {
    return this.#ask(async (cluster) => {
      const coordinator: Coordinator = await cluster.findGroupCoordinator({ groupId: group });
      let groups: DescribedGroup[];
      try {
        ({ groups } = (await coordinator.describeGroups({ groupIds: [group] })) as { groups: DescribedGroup[] });
      } catch (error) {
        if (errorType(error) === 'GROUP_ID_NOT_FOUND') return { state: 'Dead', members: [] };
        throw error;
      }
      const [described] = groups;
      return {
        state: described?.state || 'Dead',
        members: (described?.members ?? []).map(({ memberId, clientId, memberAssignment }) => ({
          memberId,
          clientId,
          partitions: decodeAssignment(memberAssignment),
        })),
      };
    });
  }

  async stop(): Promise<void> {
    this.#closing.abort(new Error('the observer is stopped'));
    const made = this.#made;
    this.#made = undefined;
    if (made) await made.cluster.disconnect().catch(() => made.client.sockets.destroy('the observer is stopped'));
  }

  /** Partitions to ask for, by topic; topics that do not exist are left out. */
  async #partitions(cluster: Cluster, topics: readonly string[], only?: readonly TopicPartition[]) {
    const known = await this.#targets(cluster, topics);
    // A topic that has just grown: kafkajs would leave its new partitions out, silently.
    const isUnknown = ({ topic, partition }: TopicPartition) =>
      !cluster.findTopicPartitionMetadata(topic).some(({ partitionId }) => partitionId === partition);
    if (only?.some(isUnknown)) await cluster.refreshMetadata();
    return known.map((topic) => ({
      topic,
      partitions: only
        ? only.filter((one) => one.topic === topic).map(({ partition }) => ({ partition }))
        : cluster.findTopicPartitionMetadata(topic).map(({ partitionId }) => ({ partition: partitionId })),
    }));
  }

  /** Makes the cluster know the topics. A missing one spoils kafkajs's metadata for all: then the names are listed. */
  async #targets(cluster: Cluster, topics: readonly string[]): Promise<string[]> {
    try {
      await cluster.addMultipleTargetTopics([...topics]);
      await cluster.refreshMetadataIfNecessary();
      return [...topics];
    } catch (error) {
      const type = errorType(error);
      if (type !== 'UNKNOWN_TOPIC_OR_PARTITION' && type !== 'INVALID_TOPIC_EXCEPTION') throw error;
      forgetTopics(cluster);
      await cluster.refreshMetadata();
      const existing = topics.filter((topic) => cluster.findTopicPartitionMetadata(topic).length > 0);
      if (existing.length > 0) await cluster.addMultipleTargetTopics(existing);
      return existing;
    }
  }

  async #ask<T>(question: (cluster: Cluster) => Promise<T>): Promise<T> {
    const { clock, settings } = this.#context;
    let waitMs = 50;
    for (let attempt = 1; ; attempt++) {
      const made = this.#client();
      let connected = false;
      try {
        const answer = made.cluster.connect().then(() => {
          connected = true;
          return question(made.cluster);
        });
        return await inTime(clock, ANSWER_WITHIN_MS, answer, `no answer within ${ANSWER_WITHIN_MS} ms`);
      } catch (error) {
        if (error instanceof NoAnswerError) this.#giveUp(made, error.message);
        if (this.#closing.signal.aborted || !isInMotion(error)) throw error;
        if (attempt >= ATTEMPTS) {
          throw new BrokerUnreachableError(settings.brokers, describeError(error), { cause: error });
        }
        await clock.sleep(waitMs, this.#closing.signal);
        waitMs = Math.min(waitMs * 2, 1_000);
        if (!connected || made !== this.#made) continue;
        if (errorType(error) === 'UNKNOWN_TOPIC_OR_PARTITION') forgetTopics(made.cluster);
        else await within(clock, ANSWER_WITHIN_MS, made.cluster.refreshMetadata());
      }
    }
  }

  #client(): Made {
    if (this.#made) return this.#made;
    let cluster: Cluster | undefined;
    const client = createClient({ ...this.#context, retries: 2 });
    client.kafka.consumer({
      groupId: 'weir-observer',
      readUncommitted: true,
      allowAutoTopicCreation: false,
      metadataMaxAge: METADATA_MAX_AGE_MS,
      partitionAssigners: [clusterOnly((given) => (cluster = given))],
    });
    if (!cluster) throw new TypeError('this Kafka class gives its cluster to no partition assigner: Weir needs it');
    this.#made = { client, cluster };
    return this.#made;
  }

  /** Everybody else who waits for this client is told as well, and asks the next one. */
  #giveUp(made: Made, reason: string): void {
    if (this.#made === made) this.#made = undefined;
    made.client.sockets.destroy(reason);
  }
}

/** kafkajs goes on with what it knew of a topic that was deleted; so it has to ask for each of its topics as for a new one. */
function forgetTopics(cluster: Cluster): void {
  (cluster as unknown as { targetTopics: Set<string> }).targetTopics.clear();
}

interface DescribedGroup {
  readonly state: string;
  readonly members: readonly { memberId: string; clientId: string; memberAssignment: Buffer }[];
}

/** A member that has not synced yet has no assignment. */
function decodeAssignment(assignment: Buffer): TopicPartition[] {
  if (!assignment || assignment.length < 6) return [];
  const decoded = kafkajs.AssignerProtocol.MemberAssignment.decode(assignment);
  if (!decoded) return [];
  return Object.entries(decoded.assignment).flatMap(([topic, partitions]) =>
    partitions.map((partition) => ({ topic, partition })),
  );
}
