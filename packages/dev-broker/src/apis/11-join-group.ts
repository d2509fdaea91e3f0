/**
 * JoinGroup: v0-9
 *
 * v1: rebalance timeout.  v4: a new member is sent back with MEMBER_ID_REQUIRED and its id.  v5: static members.
 * v6: flexible.  v7: protocol type in the answer.  v8: reason (ignored).  v9: skip assignment.
 *
 * Not here: group.max.size.
 */
import { CODES } from '../wire/codes.ts';
import { array, bool, bytes, int16, int32, nullableString, string } from '../wire/layout.ts';
import { defineApi } from './api.ts';
import { memberGroupProblem } from './coordinated.ts';

export const joinGroup = defineApi({
  name: 'JoinGroup',
  key: 11,
  versions: [0, 9],
  flexibleFrom: 6,
  gaps: ['no limit on the size of a group'],
  request: {
    groupId: string(),
    sessionTimeoutMs: int32(),
    rebalanceTimeoutMs: int32('1+', { fallback: -1 }),
    memberId: string(),
    groupInstanceId: nullableString('5+'),
    protocolType: string(),
    protocols: array({ name: string(), metadata: bytes() }),
    reason: nullableString('8+'),
  },
  response: {
    throttleTimeMs: int32('2+'),
    errorCode: int16(),
    generationId: int32('0+', { fallback: -1 }),
    protocolType: nullableString('7+'),
    protocolName: nullableString('0+', { nullable: '7+' }),
    leader: string(),
    skipAssignment: bool('9+'),
    memberId: string(),
    members: array({ memberId: string(), groupInstanceId: nullableString('5+'), metadata: bytes() }),
  },
  handle(request, call) {
    const { cluster } = call;
    const { groupId, memberId, sessionTimeoutMs } = request;
    const refused = memberGroupProblem(call, groupId);
    if (refused) return { errorCode: refused, memberId };
    const { minSessionTimeoutMs, maxSessionTimeoutMs } = cluster.options;
    if (sessionTimeoutMs < minSessionTimeoutMs || sessionTimeoutMs > maxSessionTimeoutMs) {
      return { errorCode: CODES.INVALID_SESSION_TIMEOUT, memberId };
    }
    if (memberId !== '' && !cluster.groups.has(groupId)) return { errorCode: CODES.UNKNOWN_MEMBER_ID, memberId };
    return cluster.group(groupId).join({
      memberId,
      groupInstanceId: request.groupInstanceId,
      clientId: call.clientId,
      clientHost: call.clientHost,
      sessionTimeoutMs,
      rebalanceTimeoutMs: request.rebalanceTimeoutMs < 0 ? sessionTimeoutMs : request.rebalanceTimeoutMs,
      protocolType: request.protocolType,
      // Copies: a member outlives the frame it came in.
      protocols: request.protocols.map(({ name, metadata }) => ({ name, metadata: Buffer.from(metadata) })),
      needsMemberId: call.version >= 4,
      knowsSkipAssignment: call.version >= 9,
    });
  },
  refuse(request, errorCode) {
    return { errorCode, memberId: request.memberId };
  },
});
