/**
 * Produce: v3-9
 *
 * v3: message format v2 only, transactional id.  v5: log start offset.  v7: zstd allowed.  v8: record errors and a
 * message.  v9: flexible.
 *
 * Not here: v0-2 (old message formats), transactions, quotas; records inside a batch are not opened and checked.
 */
import { CODES } from '../wire/codes.ts';
import { array, int16, int32, int64, nullableString, records, string } from '../wire/layout.ts';
import { type Call, defineApi } from './api.ts';

export const produce = defineApi({
  name: 'Produce',
  key: 0,
  versions: [3, 9],
  flexibleFrom: 9,
  gaps: ['transactions are refused', 'records inside a batch are not checked', 'acks=all does not wait for replicas'],
  request: {
    transactionalId: nullableString('3+'),
    acks: int16(),
    timeoutMs: int32(),
    topics: array({
      name: string(),
      partitions: array({ index: int32(), records: records() }),
    }),
  },
  response: {
    topics: array({
      name: string(),
      partitions: array({
        index: int32(),
        errorCode: int16(),
        baseOffset: int64('0+', { fallback: -1 }),
        logAppendTimeMs: int64('2+', { fallback: -1 }),
        logStartOffset: int64('5+', { fallback: -1 }),
        recordErrors: array({ batchIndex: int32(), message: nullableString() }, '8+'),
        errorMessage: nullableString('8+'),
      }),
    }),
    throttleTimeMs: int32('1+'),
  },
  handle(request, call) {
    const topics = request.topics.map(({ name, partitions }) => ({
      name,
      partitions: partitions.map(({ index, records: batch }) => {
        if (request.transactionalId !== null) {
          return { index, errorCode: CODES.INVALID_REQUEST, errorMessage: 'this broker has no transactions' };
        }
        if (request.acks < -1 || request.acks > 1) return { index, errorCode: CODES.INVALID_REQUIRED_ACKS };
        return { index, ...append(call, name, index, batch) };
      }),
    }));
    if (request.acks !== 0) return { topics };
    // Nobody waits for an answer; a producer learns of an error by losing its connection, as from Kafka.
    const failed = topics.some(({ partitions }) => partitions.some(({ errorCode }) => errorCode !== CODES.NONE));
    return failed ? 'hang-up' : undefined;
  },
  refuse(request, errorCode) {
    if (request.acks === 0) return 'hang-up';
    return {
      topics: request.topics.map(({ name, partitions }) => ({
        name,
        partitions: partitions.map(({ index }) => ({ index, errorCode })),
      })),
    };
  },
});

function append(call: Call, topicName: string, index: number, batch: Buffer | null) {
  const { cluster } = call;
  const partition = cluster.ledBy(call.node, topicName, index);
  if (typeof partition === 'number') return { errorCode: partition };
  const { config } = cluster.topics.get(topicName)!;
  const result = partition.append(batch, {
    maxMessageBytes: config.maxMessageBytes,
    timestampBeforeMaxMs: config.timestampBeforeMaxMs,
    timestampAfterMaxMs: config.timestampAfterMaxMs,
    logAppendTime: config.logAppendTime,
    retentionBytes: config.retentionBytes,
    now: cluster.options.clock.now(),
  });
  if ('code' in result) {
    cluster.options.log.debug({ topic: topicName, partition: index, reason: result.reason }, 'batch refused');
    return { errorCode: result.code, errorMessage: result.reason };
  }
  cluster.events.emit('records:appended', {
    topic: topicName,
    partition: index,
    baseOffset: result.baseOffset,
    records: result.records,
    bytes: batch?.length ?? 0,
    repeated: result.repeated,
  });
  return {
    errorCode: CODES.NONE,
    baseOffset: result.baseOffset,
    logAppendTimeMs: result.logAppendTime,
    logStartOffset: partition.logStartOffset,
  };
}
