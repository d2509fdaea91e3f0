/**
 * Metadata: v0-12
 *
 * v1: all topics are asked for with null, controller.  v4: auto-creation may be declined.  v5: offline replicas.
 * v7: leader epoch.  v9: flexible.  v10: topic ids.  v12: topics may be asked for by id alone.
 *
 * Not here: authorized operations (always "not asked for"), racks.
 */
import type { Topic } from '../cluster.ts';
import { CODES } from '../wire/codes.ts';
import {
  array,
  arrayOf,
  bool,
  int16,
  int32,
  NO_UUID,
  nullableArray,
  nullableString,
  string,
  uuid,
} from '../wire/layout.ts';
import { type Call, defineApi } from './api.ts';
import { topicNameProblem } from './topic-name.ts';

/** "Not computed", as Kafka says it. */
const NO_OPERATIONS = -2147483648;

export const metadata = defineApi({
  name: 'Metadata',
  key: 3,
  versions: [0, 12],
  flexibleFrom: 9,
  gaps: ['no authorized operations', 'no racks'],
  request: {
    topics: nullableArray({ topicId: uuid('10+'), name: nullableString('0+', { nullable: '10+' }) }, '0+', {
      nullable: '1+',
    }),
    allowAutoTopicCreation: bool('4+', { fallback: true }),
    includeClusterAuthorizedOperations: bool('8-10'),
    includeTopicAuthorizedOperations: bool('8+'),
  },
  response: {
    throttleTimeMs: int32('3+'),
    brokers: array({ nodeId: int32(), host: string(), port: int32(), rack: nullableString('1+') }),
    clusterId: nullableString('2+'),
    controllerId: int32('1+', { fallback: -1 }),
    topics: array({
      errorCode: int16(),
      name: nullableString('0+', { nullable: '12+' }),
      topicId: uuid('10+'),
      isInternal: bool('1+'),
      partitions: array({
        errorCode: int16(),
        partitionIndex: int32(),
        leaderId: int32(),
        leaderEpoch: int32('7+', { fallback: -1 }),
        replicaNodes: arrayOf(int32()),
        isrNodes: arrayOf(int32()),
        offlineReplicas: arrayOf(int32(), '5+'),
      }),
      topicAuthorizedOperations: int32('8+', { fallback: NO_OPERATIONS }),
    }),
    clusterAuthorizedOperations: int32('8-10', { fallback: NO_OPERATIONS }),
  },
  handle(request, call) {
    const { cluster } = call;
    const all = request.topics === null || (call.version === 0 && request.topics.length === 0);
    const topics = all
      ? [...cluster.topics.values()].map((topic) => describe(topic, call))
      : request.topics!.map(({ name, topicId }) => {
          if (name === null) {
            const topic = cluster.topicById(topicId);
            return topic ? describe(topic, call) : { errorCode: CODES.UNKNOWN_TOPIC_ID, topicId };
          }
          return named(name, request.allowAutoTopicCreation, call);
        });
    return {
      brokers: cluster.aliveNodes.map(({ id, host, port }) => ({ nodeId: id, host, port, rack: null })),
      clusterId: cluster.id,
      controllerId: cluster.controller,
      topics,
    };
  },
  refuse(request, errorCode, call) {
    const { cluster } = call;
    return {
      brokers: cluster.aliveNodes.map(({ id, host, port }) => ({ nodeId: id, host, port })),
      clusterId: cluster.id,
      controllerId: cluster.controller,
      topics: (request.topics ?? []).map(({ name, topicId }) => ({ errorCode, name, topicId })),
    };
  },
});

function named(name: string, mayCreate: boolean, call: Call) {
  const { cluster } = call;
  const known = cluster.topics.get(name);
  if (known) return describe(known, call);
  if (topicNameProblem(name) !== undefined) {
    return { errorCode: CODES.INVALID_TOPIC_EXCEPTION, name, topicId: NO_UUID };
  }
  const { autoCreateTopics } = cluster.options;
  if (!mayCreate || autoCreateTopics === false) {
    return { errorCode: CODES.UNKNOWN_TOPIC_OR_PARTITION, name, topicId: NO_UUID };
  }
  return describe(cluster.createTopic({ name, partitions: autoCreateTopics }), call);
}

function describe(topic: Topic, call: Call) {
  const down = new Set(call.cluster.nodes.filter((node) => !node.alive).map((node) => node.id));
  return {
    errorCode: CODES.NONE,
    name: topic.name,
    topicId: topic.id,
    partitions: topic.partitions.map((partition) => ({
      errorCode: partition.leader < 0 ? CODES.LEADER_NOT_AVAILABLE : CODES.NONE,
      partitionIndex: partition.index,
      leaderId: partition.leader,
      leaderEpoch: partition.leaderEpoch,
      replicaNodes: [...partition.replicas],
      isrNodes: partition.replicas.filter((id) => !down.has(id)),
      offlineReplicas: partition.replicas.filter((id) => down.has(id)),
    })),
  };
}
