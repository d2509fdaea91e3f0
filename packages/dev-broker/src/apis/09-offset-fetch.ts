/**
 * OffsetFetch: v1-8
 *
 * v2: null asks for all topics, top-level error.  v5: leader epoch.  v6: flexible.  v7: require stable (no
 * transactions, so always).  v8: several groups in one request.
 *
 * A partition without a commit answers -1 and empty metadata. Not here: v9 (the new group protocol).
 */
import type { CommittedOffset } from '../groups/offsets.ts';
import { CODES } from '../wire/codes.ts';
import { array, arrayOf, bool, int16, int32, int64, nullableArray, nullableString, string } from '../wire/layout.ts';
import { type Call, defineApi } from './api.ts';
import { groupProblem } from './coordinated.ts';

const ANSWERED_TOPIC = {
  name: string(),
  partitions: array({
    partitionIndex: int32(),
    committedOffset: int64(),
    committedLeaderEpoch: int32('5+', { fallback: -1 }),
    metadata: nullableString(),
    errorCode: int16(),
  }),
};
const ASKED_TOPIC = { name: string(), partitionIndexes: arrayOf(int32()) };

export const offsetFetch = defineApi({
  name: 'OffsetFetch',
  key: 9,
  versions: [1, 8],
  flexibleFrom: 6,
  gaps: [],
  request: {
    groupId: string('0-7'),
    topics: nullableArray(ASKED_TOPIC, '0-7', { nullable: '2+' }),
    groups: array({ groupId: string(), topics: nullableArray(ASKED_TOPIC) }, '8+'),
    requireStable: bool('7+'),
  },
  response: {
    throttleTimeMs: int32('3+'),
    topics: array(ANSWERED_TOPIC, '0-7'),
    errorCode: int16('2-7'),
    groups: array({ groupId: string(), topics: array(ANSWERED_TOPIC), errorCode: int16() }, '8+'),
  },
  handle(request, call) {
    if (call.version < 8) return fetchGroup(call, request.groupId, request.topics);
    return {
      groups: request.groups.map(({ groupId, topics }) => ({ groupId, ...fetchGroup(call, groupId, topics) })),
    };
  },
  refuse(request, errorCode) {
    return {
      errorCode,
      topics: (request.topics ?? []).map(({ name, partitionIndexes }) => ({
        name,
        partitions: partitionIndexes.map((index) => ({ ...answer(index, undefined), errorCode })),
      })),
      groups: request.groups.map(({ groupId }) => ({ groupId, errorCode })),
    };
  },
});

type AskedTopics = { name: string; partitionIndexes: number[] }[] | null;

function fetchGroup(call: Call, groupId: string, topics: AskedTopics) {
  const refused = groupProblem(call, groupId);
  if (refused) {
    // Version 1 has no other place for an error than the partitions.
    const partitions = call.version < 2 ? (topics ?? []) : [];
    return {
      errorCode: refused,
      topics: partitions.map(({ name, partitionIndexes }) => ({
        name,
        partitions: partitionIndexes.map((index) => ({ ...answer(index, undefined), errorCode: refused })),
      })),
    };
  }
  const offsets = call.cluster.groups.get(groupId)?.offsets;
  if (topics === null) {
    return {
      errorCode: CODES.NONE,
      topics: [...(offsets?.topics() ?? [])].map(([name, partitions]) => ({
        name,
        partitions: [...partitions].map(([index, committed]) => answer(index, committed)),
      })),
    };
  }
  return {
    errorCode: CODES.NONE,
    topics: topics.map(({ name, partitionIndexes }) => ({
      name,
      partitions: partitionIndexes.map((index) => answer(index, offsets?.get(name, index))),
    })),
  };
}

function answer(partitionIndex: number, committed: CommittedOffset | undefined) {
  return {
    partitionIndex,
    committedOffset: committed?.offset ?? -1,
    committedLeaderEpoch: committed?.leaderEpoch ?? -1,
    metadata: committed?.metadata ?? '',
    errorCode: CODES.NONE as number,
  };
}
