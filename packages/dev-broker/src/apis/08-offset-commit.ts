/**
 * OffsetCommit: v1-8
 *
 * v1: member and generation.  v2-4: retention time (ignored, offsets stay).  v6: leader epoch.  v7: static members.
 * v8: flexible.
 *
 * Kept are at most 4,096 characters of metadata (an option). Members of the current generation may commit while a rebalance
 * is being prepared, not between join and sync. Generation -1 commits for a group without members.
 *
 * Not here: v0 (ZooKeeper), v9 (the new group protocol).
 */
import { CODES } from '../wire/codes.ts';
import { array, int16, int32, int64, nullableString, string } from '../wire/layout.ts';
import { defineApi } from './api.ts';
import { groupProblem } from './coordinated.ts';

export const offsetCommit = defineApi({
  name: 'OffsetCommit',
  key: 8,
  versions: [1, 8],
  flexibleFrom: 8,
  gaps: ['offsets never expire'],
  request: {
    groupId: string(),
    generationId: int32('1+', { fallback: -1 }),
    memberId: string('1+'),
    groupInstanceId: nullableString('7+'),
    retentionTimeMs: int64('2-4', { fallback: -1 }),
    topics: array({
      name: string(),
      partitions: array({
        partitionIndex: int32(),
        committedOffset: int64(),
        committedLeaderEpoch: int32('6+', { fallback: -1 }),
        commitTimestamp: int64('1', { fallback: -1 }),
        committedMetadata: nullableString(),
      }),
    }),
  },
  response: {
    throttleTimeMs: int32('3+'),
    topics: array({
      name: string(),
      partitions: array({ partitionIndex: int32(), errorCode: int16() }),
    }),
  },
  handle(request, call) {
    const { cluster } = call;
    const at = cluster.options.clock.now();
    const refused = groupProblem(call, request.groupId) ?? checkMembership();
    return {
      topics: request.topics.map(({ name, partitions }) => ({
        name,
        partitions: partitions.map((entry) => {
          const { partitionIndex, committedOffset: offset } = entry;
          // Null becomes the empty string, as in Kafka.
          const metadata = entry.committedMetadata ?? '';
          const errorCode = refused || problemOf(name, entry);
          if (errorCode === CODES.NONE) {
            const leaderEpoch = entry.committedLeaderEpoch;
            cluster.group(request.groupId).offsets.set(name, partitionIndex, { offset, leaderEpoch, metadata, at });
          }
          cluster.events.emit('offset:committed', {
            group: request.groupId,
            memberId: request.memberId,
            generationId: request.generationId,
            topic: name,
            partition: partitionIndex,
            offset,
            metadata,
            errorCode,
            at,
          });
          return { partitionIndex, errorCode };
        }),
      })),
    };

    function checkMembership(): number {
      const { groupId, generationId, memberId, groupInstanceId } = request;
      // Only a commit from outside any generation may bring a group into being.
      if (!cluster.groups.has(groupId) && generationId >= 0) return CODES.ILLEGAL_GENERATION;
      return cluster.group(groupId).checkCommit(memberId, groupInstanceId, generationId);
    }

    function problemOf(name: string, entry: { partitionIndex: number; committedMetadata: string | null }): number {
      if (!cluster.partition(name, entry.partitionIndex)) return CODES.UNKNOWN_TOPIC_OR_PARTITION;
      const tooLong = (entry.committedMetadata?.length ?? 0) > cluster.options.maxMetadataCharacters;
      return tooLong ? CODES.OFFSET_METADATA_TOO_LARGE : CODES.NONE;
    }
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
