/**
 * CreateTopics: v0-7
 *
 * v1: validate only, error message.  v4: -1 for the broker's default partitions and replication.  v5: flexible, the
 * topic's settings in the answer.  v7: topic id.
 *
 * Not here: topic creation policies, quotas.
 */

import type { Cluster } from '../cluster.ts';
import { checkTopicConfig, TOPIC_CONFIGS } from '../topic-config.ts';
import { CODES } from '../wire/codes.ts';
import {
  array,
  arrayOf,
  bool,
  int8,
  int16,
  int32,
  type Message,
  NO_UUID,
  nullableArray,
  nullableString,
  string,
  uuid,
} from '../wire/layout.ts';
import { type Call, defineApi } from './api.ts';
import { SOURCE } from './config-source.ts';
import { collides, topicNameProblem } from './topic-name.ts';

/** More than this for one topic is a typing mistake on a development broker, and would eat its memory. */
export const MOST_PARTITIONS = 10_000;

const REQUEST = {
  topics: array({
    name: string(),
    numPartitions: int32(),
    replicationFactor: int16(),
    assignments: array({ partitionIndex: int32(), brokerIds: arrayOf(int32()) }),
    configs: array({ name: string(), value: nullableString() }),
  }),
  timeoutMs: int32('0+', { fallback: 60_000 }),
  validateOnly: bool('1+'),
};

type Wanted = Message<typeof REQUEST>['topics'][number];

export const createTopics = defineApi({
  name: 'CreateTopics',
  key: 19,
  versions: [0, 7],
  flexibleFrom: 5,
  gaps: [],
  request: REQUEST,
  response: {
    throttleTimeMs: int32('2+'),
    topics: array({
      name: string(),
      topicId: uuid('7+'),
      errorCode: int16(),
      errorMessage: nullableString('1+'),
      topicConfigErrorCode: int16('5+', { tag: 0 }),
      numPartitions: int32('5+', { fallback: -1 }),
      replicationFactor: int16('5+', { fallback: -1 }),
      configs: nullableArray(
        {
          name: string(),
          value: nullableString(),
          readOnly: bool(),
          configSource: int8('5+', { fallback: -1 }),
          isSensitive: bool(),
        },
        '5+',
      ),
    }),
  },
  handle(request, call) {
    // A name that is given twice is refused once.
    const distinct = request.topics.filter(
      ({ name }, index) => request.topics.findIndex((other) => other.name === name) === index,
    );
    return {
      topics: distinct.map((wanted) => {
        const twice = request.topics.filter(({ name }) => name === wanted.name).length > 1;
        const problem = twice
          ? { errorCode: CODES.INVALID_REQUEST, errorMessage: 'Duplicate topic name.' }
          : topicProblem(wanted, call.cluster);
        if (problem) return { name: wanted.name, topicId: NO_UUID, ...problem, configs: null };
        return create(wanted, request.validateOnly, call);
      }),
    };
  },
  refuse(request, errorCode) {
    return { topics: request.topics.map(({ name }) => ({ name, errorCode, configs: null })) };
  },
});

export interface TopicProblem {
  readonly errorCode: number;
  readonly errorMessage: string;
}

/** What is wrong with a topic that is to be made; undefined when nothing is. */
export function topicProblem(wanted: Wanted, cluster: Cluster): TopicProblem | undefined {
  const nameProblem = topicNameProblem(wanted.name);
  if (nameProblem !== undefined) return { errorCode: CODES.INVALID_TOPIC_EXCEPTION, errorMessage: nameProblem };
  if (cluster.topics.has(wanted.name)) {
    return { errorCode: CODES.TOPIC_ALREADY_EXISTS, errorMessage: `Topic '${wanted.name}' already exists.` };
  }
  const twin = [...cluster.topics.keys()].find((name) => collides(name, wanted.name));
  if (twin !== undefined) {
    return {
      errorCode: CODES.INVALID_TOPIC_EXCEPTION,
      errorMessage: `Topic '${wanted.name}' collides with existing topic: ${twin}`,
    };
  }
  return layoutProblem(wanted, cluster) ?? configProblem(wanted);
}

function layoutProblem(wanted: Wanted, cluster: Cluster): TopicProblem | undefined {
  const nodes = cluster.nodes.length;
  const { numPartitions, replicationFactor, assignments } = wanted;
  if (assignments.length > 0) {
    if (numPartitions !== -1 || replicationFactor !== -1) {
      return {
        errorCode: CODES.INVALID_REQUEST,
        errorMessage: 'Both numPartitions or replicationFactor and replicasAssignments were set.',
      };
    }
    const indexes = new Set(assignments.map(({ partitionIndex }) => partitionIndex));
    const consecutive = indexes.size === assignments.length && assignments.every((_, index) => indexes.has(index));
    const sound = assignments.every(
      ({ brokerIds }) =>
        brokerIds.length > 0 &&
        new Set(brokerIds).size === brokerIds.length &&
        brokerIds.length === assignments[0]!.brokerIds.length &&
        brokerIds.every((id) => cluster.nodes.some((node) => node.id === id)),
    );
    if (consecutive && sound) return undefined;
    return {
      errorCode: CODES.INVALID_REPLICA_ASSIGNMENT,
      errorMessage: 'Partitions must count from 0, and their replicas be distinct nodes of this cluster.',
    };
  }
  if (
    !Number.isInteger(numPartitions) ||
    (numPartitions < 1 && numPartitions !== -1) ||
    numPartitions > MOST_PARTITIONS
  ) {
    return {
      errorCode: CODES.INVALID_PARTITIONS,
      errorMessage: `Number of partitions must be from 1 to ${MOST_PARTITIONS}, ${numPartitions} was given.`,
    };
  }
  if ((replicationFactor < 1 && replicationFactor !== -1) || replicationFactor > nodes) {
    return {
      errorCode: CODES.INVALID_REPLICATION_FACTOR,
      errorMessage: `Replication factor: ${replicationFactor} was given, this cluster has ${nodes} node(s).`,
    };
  }
  return undefined;
}

function configProblem(wanted: Wanted): TopicProblem | undefined {
  for (const { name, value } of wanted.configs) {
    const problem =
      value === null ? `Null value not supported for topic configs: ${name}` : checkTopicConfig(name, value);
    if (problem !== undefined) return { errorCode: CODES.INVALID_CONFIG, errorMessage: problem };
  }
  return undefined;
}

function create(wanted: Wanted, validateOnly: boolean, call: Call) {
  const { cluster } = call;
  const assignment = [...wanted.assignments]
    .sort((a, b) => a.partitionIndex - b.partitionIndex)
    .map(({ brokerIds }) => brokerIds);
  const partitions =
    assignment.length > 0
      ? assignment.length
      : wanted.numPartitions === -1
        ? cluster.options.defaultPartitions
        : wanted.numPartitions;
  const replicationFactor =
    assignment[0]?.length ?? (wanted.replicationFactor === -1 ? cluster.defaultReplication : wanted.replicationFactor);
  const answer = { name: wanted.name, errorCode: CODES.NONE, numPartitions: partitions, replicationFactor };
  if (validateOnly) return { ...answer, topicId: NO_UUID, configs: [] };
  const topic = cluster.createTopic({
    name: wanted.name,
    partitions,
    replicationFactor,
    configs: new Map(wanted.configs.map(({ name, value }) => [name, value ?? ''])),
    ...(assignment.length > 0 ? { assignment } : {}),
  });
  return {
    ...answer,
    topicId: topic.id,
    configs: Object.keys(TOPIC_CONFIGS).map((name) => ({
      name,
      value: topic.config.get(name),
      configSource: SOURCE[topic.config.source(name)],
    })),
  };
}
