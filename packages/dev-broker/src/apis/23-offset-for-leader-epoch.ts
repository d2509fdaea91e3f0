/**
 * OffsetForLeaderEpoch: v0-4
 *
 * v1: leader epoch in the answer.  v2: current leader epoch is checked.  v3: replica id.  v4: flexible.
 */
import { CODES } from '../wire/codes.ts';
import { array, int16, int32, int64, string } from '../wire/layout.ts';
import { defineApi } from './api.ts';

export const offsetForLeaderEpoch = defineApi({
  name: 'OffsetForLeaderEpoch',
  key: 23,
  versions: [0, 4],
  flexibleFrom: 4,
  gaps: [],
  request: {
    replicaId: int32('3+', { fallback: -2 }),
    topics: array({
      topic: string(),
      partitions: array({
        partition: int32(),
        currentLeaderEpoch: int32('2+', { fallback: -1 }),
        leaderEpoch: int32(),
      }),
    }),
  },
  response: {
    throttleTimeMs: int32('2+'),
    topics: array({
      topic: string(),
      partitions: array({
        errorCode: int16(),
        partition: int32(),
        leaderEpoch: int32('1+', { fallback: -1 }),
        endOffset: int64('0+', { fallback: -1 }),
      }),
    }),
  },
  handle(request, call) {
    return {
      topics: request.topics.map(({ topic, partitions }) => ({
        topic,
        partitions: partitions.map(({ partition: index, currentLeaderEpoch, leaderEpoch }) => {
          const partition = call.cluster.ledBy(call.node, topic, index);
          if (typeof partition === 'number') return { partition: index, errorCode: partition };
          if (currentLeaderEpoch >= 0 && currentLeaderEpoch !== partition.leaderEpoch) {
            const behind = currentLeaderEpoch < partition.leaderEpoch;
            const errorCode = behind ? CODES.FENCED_LEADER_EPOCH : CODES.UNKNOWN_LEADER_EPOCH;
            return { partition: index, errorCode };
          }
          const end = partition.endOfEpoch(leaderEpoch);
          return { partition: index, leaderEpoch: end.epoch, endOffset: end.endOffset };
        }),
      })),
    };
  },
  refuse(request, errorCode) {
    return {
      topics: request.topics.map(({ topic, partitions }) => ({
        topic,
        partitions: partitions.map(({ partition }) => ({ partition, errorCode })),
      })),
    };
  },
});
