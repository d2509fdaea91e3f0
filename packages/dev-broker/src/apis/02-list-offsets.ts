/**
 * ListOffsets: v1-7
 *
 * v2: isolation level.  v4: leader epochs.  v6: flexible.  v7: -3, the newest timestamp.
 *
 * Not here: v0 (lists of segment offsets), v8 and later (tiered storage). In a batch compressed with snappy or lz4 the
 * answer for a timestamp is the batch's first record.
 */
import type { Partition } from '../log/partition.ts';
import { CODES } from '../wire/codes.ts';
import { array, int8, int16, int32, int64, string } from '../wire/layout.ts';
import { defineApi } from './api.ts';

const LATEST = -1;
const EARLIEST = -2;
const NEWEST_TIMESTAMP = -3;

export const listOffsets = defineApi({
  name: 'ListOffsets',
  key: 2,
  versions: [1, 7],
  flexibleFrom: 6,
  gaps: ['by timestamp, a snappy or lz4 batch answers with its first record'],
  request: {
    replicaId: int32(),
    isolationLevel: int8('2+'),
    topics: array({
      name: string(),
      partitions: array({
        partitionIndex: int32(),
        currentLeaderEpoch: int32('4+', { fallback: -1 }),
        timestamp: int64(),
      }),
    }),
  },
  response: {
    throttleTimeMs: int32('2+'),
    topics: array({
      name: string(),
      partitions: array({
        partitionIndex: int32(),
        errorCode: int16(),
        timestamp: int64('1+', { fallback: -1 }),
        offset: int64('1+', { fallback: -1 }),
        leaderEpoch: int32('4+', { fallback: -1 }),
      }),
    }),
  },
  handle(request, call) {
    return {
      topics: request.topics.map(({ name, partitions }) => ({
        name,
        partitions: partitions.map(({ partitionIndex, currentLeaderEpoch, timestamp }) => {
          const partition = call.cluster.ledBy(call.node, name, partitionIndex);
          if (typeof partition === 'number') return { partitionIndex, errorCode: partition };
          if (currentLeaderEpoch >= 0 && currentLeaderEpoch !== partition.leaderEpoch) {
            const behind = currentLeaderEpoch < partition.leaderEpoch;
            return { partitionIndex, errorCode: behind ? CODES.FENCED_LEADER_EPOCH : CODES.UNKNOWN_LEADER_EPOCH };
          }
          const found = look(partition, timestamp);
          return { partitionIndex, ...found, leaderEpoch: 'offset' in found ? partition.leaderEpoch : -1 };
        }),
      })),
    };
  },
  refuse(request, errorCode) {
    return {
      topics: request.topics.map(({ name, partitions }) => ({
        name,
        partitions: partitions.map(({ partitionIndex }) => ({ partitionIndex, errorCode })),
      })),
    };
  },
});

function look(partition: Partition, timestamp: number) {
  if (timestamp === LATEST) return { offset: partition.endOffset };
  if (timestamp === EARLIEST) return { offset: partition.logStartOffset };
  if (timestamp === NEWEST_TIMESTAMP) return partition.newest ?? {};
  if (timestamp < 0) return { errorCode: CODES.UNSUPPORTED_VERSION };
  return partition.offsetAt(timestamp) ?? {};
}
