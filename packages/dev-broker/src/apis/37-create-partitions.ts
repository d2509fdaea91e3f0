/**
 * CreatePartitions: v0-3
 *
 * v2: flexible.
 */
import { CODES } from '../wire/codes.ts';
import {
  array,
  arrayOf,
  bool,
  int16,
  int32,
  type Message,
  nullableArray,
  nullableString,
  string,
} from '../wire/layout.ts';
import { MOST_PARTITIONS } from './19-create-topics.ts';
import { type Call, defineApi } from './api.ts';

const REQUEST = {
  topics: array({
    name: string(),
    count: int32(),
    assignments: nullableArray({ brokerIds: arrayOf(int32()) }),
  }),
  timeoutMs: int32(),
  validateOnly: bool(),
};

type Wanted = Message<typeof REQUEST>['topics'][number];

export const createPartitions = defineApi({
  name: 'CreatePartitions',
  key: 37,
  versions: [0, 3],
  flexibleFrom: 2,
  gaps: [],
  request: REQUEST,
  response: {
    throttleTimeMs: int32(),
    results: array({ name: string(), errorCode: int16(), errorMessage: nullableString() }),
  },
  handle(request, call) {
    return {
      results: request.topics.map((wanted) => ({
        name: wanted.name,
        ...grow(wanted, request.validateOnly, call),
      })),
    };
  },
  refuse(request, errorCode) {
    return { results: request.topics.map(({ name }) => ({ name, errorCode })) };
  },
});

function grow({ name, count, assignments }: Wanted, validateOnly: boolean, call: Call) {
  const { cluster } = call;
  const topic = cluster.topics.get(name);
  if (!topic) return { errorCode: CODES.UNKNOWN_TOPIC_OR_PARTITION, errorMessage: null };
  const has = topic.partitions.length;
  if (count <= has || count > MOST_PARTITIONS) {
    const errorMessage =
      count === has
        ? `Topic already has ${has} partition(s).`
        : `The topic ${name} has ${has} partition(s); ${count} is not from ${has + 1} to ${MOST_PARTITIONS}.`;
    return { errorCode: CODES.INVALID_PARTITIONS, errorMessage };
  }
  const assignment = assignments?.map(({ brokerIds }) => brokerIds);
  const known = (id: number) => cluster.nodes.some((node) => node.id === id);
  if (
    assignment &&
    (assignment.length !== count - has || assignment.some((ids) => ids.length === 0 || !ids.every(known)))
  ) {
    return {
      errorCode: CODES.INVALID_REPLICA_ASSIGNMENT,
      errorMessage: `${count - has} new partition(s) need as many lists of nodes of this cluster.`,
    };
  }
  if (!validateOnly) cluster.growTopic(topic, count, assignment);
  return { errorCode: CODES.NONE, errorMessage: null };
}
