/**
 * InitProducerId: v0-4
 *
 * v2: flexible.  v3: an id and epoch the producer has already.
 *
 * Gives idempotent producers their id, always a new one. Not here: transactional ids.
 */
import { CODES } from '../wire/codes.ts';
import { int16, int32, int64, nullableString } from '../wire/layout.ts';
import { defineApi } from './api.ts';

export const initProducerId = defineApi({
  name: 'InitProducerId',
  key: 22,
  versions: [0, 4],
  flexibleFrom: 2,
  gaps: ['transactional ids are refused'],
  request: {
    transactionalId: nullableString(),
    transactionTimeoutMs: int32(),
    producerId: int64('3+', { fallback: -1 }),
    producerEpoch: int16('3+', { fallback: -1 }),
  },
  response: {
    throttleTimeMs: int32(),
    errorCode: int16(),
    producerId: int64('0+', { fallback: -1 }),
    producerEpoch: int16('0+', { fallback: -1 }),
  },
  handle(request, call) {
    if (request.transactionalId !== null) return { errorCode: CODES.INVALID_REQUEST };
    return { errorCode: CODES.NONE, producerId: call.cluster.nextProducerId(), producerEpoch: 0 };
  },
  refuse(_request, errorCode) {
    return { errorCode };
  },
});
