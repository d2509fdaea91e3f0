/**
 * Fetch: v4-12
 *
 * v4: isolation level, aborted transactions (always none).  v5: log start offset.  v7: sessions.  v9: leader epoch
 * check.  v10: zstd allowed.  v11: rack and preferred replica (never one).  v12: flexible.
 *
 * Waits until `minBytes` are there or `maxWaitMs` have passed. Whole batches only. The first batch of the first
 * partition that has one is given even when it is larger than every limit, so that no consumer is ever stuck behind it.
 *
 * Not here: v13 and later (topic ids), sessions (session id 0 says "none made", as a full cache does in Kafka),
 * truncation detection.
 */

import type { Partition } from '../log/partition.ts';
import { CODES } from '../wire/codes.ts';
import {
  array,
  arrayOf,
  chunks,
  int8,
  int16,
  int32,
  int64,
  type Message,
  nullableArray,
  nullableString,
  string,
} from '../wire/layout.ts';
import { type Call, defineApi } from './api.ts';

/** The most one answer carries, whatever was asked for; Kafka's fetch.max.bytes. */
const MOST_BYTES = 55 * 1024 * 1024;

const REQUEST = {
  clusterId: nullableString('12+', { tag: 0 }),
  replicaId: int32('0+', { fallback: -1 }),
  maxWaitMs: int32(),
  minBytes: int32(),
  maxBytes: int32('3+', { fallback: 0x7fff_ffff }),
  isolationLevel: int8('4+'),
  sessionId: int32('7+'),
  sessionEpoch: int32('7+', { fallback: -1 }),
  topics: array({
    topic: string(),
    partitions: array({
      partition: int32(),
      currentLeaderEpoch: int32('9+', { fallback: -1 }),
      fetchOffset: int64(),
      lastFetchedEpoch: int32('12+', { fallback: -1 }),
      logStartOffset: int64('5+', { fallback: -1 }),
      partitionMaxBytes: int32(),
    }),
  }),
  forgottenTopics: array({ topic: string(), partitions: arrayOf(int32()) }, '7+'),
  rackId: string('11+'),
};

type FetchRequest = Message<typeof REQUEST>;

export const fetch = defineApi({
  name: 'Fetch',
  key: 1,
  versions: [4, 12],
  flexibleFrom: 12,
  gaps: ['no fetch sessions (session id 0)', 'no topic ids (v13)', 'no truncation detection'],
  request: REQUEST,
  response: {
    throttleTimeMs: int32('1+'),
    errorCode: int16('7+'),
    sessionId: int32('7+'),
    topics: array({
      topic: string(),
      partitions: array({
        partition: int32(),
        errorCode: int16(),
        highWatermark: int64('0+', { fallback: -1 }),
        lastStableOffset: int64('4+', { fallback: -1 }),
        logStartOffset: int64('5+', { fallback: -1 }),
        abortedTransactions: nullableArray({ producerId: int64(), firstOffset: int64() }, '4+'),
        preferredReadReplica: int32('11+', { fallback: -1 }),
        records: chunks(),
      }),
    }),
  },
  handle(request, call) {
    // Only a session that was made can be continued, and none ever is.
    if (request.sessionId !== 0) return { errorCode: CODES.FETCH_SESSION_ID_NOT_FOUND };
    const waiting = waitFor(request, call);
    return waiting ? waiting.then(() => collect(request, call)) : collect(request, call);
  },
  refuse(request, errorCode) {
    return {
      topics: request.topics.map(({ topic, partitions }) => ({
        topic,
        partitions: partitions.map(({ partition }) => ({ partition, errorCode, abortedTransactions: null })),
      })),
    };
  },
});

/** The partition to read from, or the code to answer with. */
function find(call: Call, topic: string, wanted: FetchRequest['topics'][number]['partitions'][number]) {
  const partition = call.cluster.ledBy(call.node, topic, wanted.partition);
  if (typeof partition === 'number') return partition;
  if (wanted.currentLeaderEpoch >= 0 && wanted.currentLeaderEpoch !== partition.leaderEpoch) {
    return wanted.currentLeaderEpoch < partition.leaderEpoch ? CODES.FENCED_LEADER_EPOCH : CODES.UNKNOWN_LEADER_EPOCH;
  }
  const { fetchOffset } = wanted;
  if (fetchOffset < partition.logStartOffset || fetchOffset > partition.endOffset) return CODES.OFFSET_OUT_OF_RANGE;
  return partition;
}

/** Resolves when enough is there, time is up or something is wrong; undefined when there is nothing to wait for. */
function waitFor(request: FetchRequest, call: Call): Promise<void> | undefined {
  const minBytes = Math.min(request.minBytes, request.maxBytes, MOST_BYTES);
  if (request.maxWaitMs <= 0 || minBytes <= 0) return undefined;
  const partitions: Partition[] = [];
  let bytes = 0;
  for (const { topic, partitions: wanted } of request.topics) {
    for (const each of wanted) {
      const partition = find(call, topic, each);
      if (typeof partition === 'number') return undefined;
      if (!partitions.includes(partition)) partitions.push(partition);
      bytes += partition.bytesFrom(each.fetchOffset, each.partitionMaxBytes);
      if (bytes >= minBytes) return undefined;
    }
  }
  return new Promise((resolve) => {
    const done = () => {
      for (const stop of stops) stop();
      call.signal.removeEventListener('abort', done);
      resolve();
    };
    const stops = partitions.map((partition) =>
      partition.wait((appended) => {
        bytes += appended;
        if (bytes >= minBytes) done();
      }),
    );
    stops.push(call.cluster.options.clock.after(request.maxWaitMs, done));
    call.signal.addEventListener('abort', done, { once: true });
  });
}

function collect(request: FetchRequest, call: Call) {
  let left = Math.min(request.maxBytes, MOST_BYTES);
  let nothingYet = true;
  return {
    topics: request.topics.map(({ topic, partitions }) => ({
      topic,
      partitions: partitions.map((wanted) => {
        const partition = find(call, topic, wanted);
        if (typeof partition === 'number') {
          return { partition: wanted.partition, errorCode: partition, abortedTransactions: null };
        }
        const limit = Math.min(wanted.partitionMaxBytes, left);
        const pieces = limit > 0 || nothingYet ? partition.read(wanted.fetchOffset, limit, nothingYet) : [];
        for (const piece of pieces) {
          left -= piece.length;
          nothingYet = false;
        }
        return {
          partition: wanted.partition,
          highWatermark: partition.endOffset,
          lastStableOffset: partition.endOffset,
          logStartOffset: partition.logStartOffset,
          abortedTransactions: null,
          records: pieces,
        };
      }),
    })),
  };
}
