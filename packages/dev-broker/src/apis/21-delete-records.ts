/**
 * DeleteRecords: v0-2
 *
 * v2: flexible.
 *
 * The log's start moves to the offset (-1: the end), also into the middle of a batch; memory goes in whole segments.
 */
import { CODES } from '../wire/codes.ts';
import { array, int16, int32, int64, string } from '../wire/layout.ts';
import { defineApi } from './api.ts';

export const deleteRecords = defineApi({
  name: 'DeleteRecords',
  key: 21,
  versions: [0, 2],
  flexibleFrom: 2,
  gaps: [],
  request: {
    topics: array({ name: string(), partitions: array({ partitionIndex: int32(), offset: int64() }) }),
    timeoutMs: int32(),
  },
  response: {
    throttleTimeMs: int32(),
    topics: array({
      name: string(),
      partitions: array({ partitionIndex: int32(), lowWatermark: int64('0+', { fallback: -1 }), errorCode: int16() }),
    }),
  },
  handle(request, call) {
    return {
      topics: request.topics.map(({ name, partitions }) => ({
        name,
        partitions: partitions.map(({ partitionIndex, offset }) => {
          const partition = call.cluster.ledBy(call.node, name, partitionIndex);
          if (typeof partition === 'number') return { partitionIndex, errorCode: partition };
          const before = offset === -1 ? partition.endOffset : offset;
          if (before < 0 || before > partition.endOffset) {
            return { partitionIndex, errorCode: CODES.OFFSET_OUT_OF_RANGE };
          }
          partition.deleteBefore(before);
          return { partitionIndex, lowWatermark: partition.logStartOffset };
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
