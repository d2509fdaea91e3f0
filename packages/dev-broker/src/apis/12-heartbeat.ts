/**
 * Heartbeat: v0-4
 *
 * v3: static members.  v4: flexible.
 */
import { CODES } from '../wire/codes.ts';
import { int16, int32, nullableString, string } from '../wire/layout.ts';
import { defineApi } from './api.ts';
import { memberGroupProblem } from './coordinated.ts';

export const heartbeat = defineApi({
  name: 'Heartbeat',
  key: 12,
  versions: [0, 4],
  flexibleFrom: 4,
  gaps: [],
  request: {
    groupId: string(),
    generationId: int32(),
    memberId: string(),
    groupInstanceId: nullableString('3+'),
  },
  response: { throttleTimeMs: int32('1+'), errorCode: int16() },
  handle(request, call) {
    const refused = memberGroupProblem(call, request.groupId);
    if (refused) return { errorCode: refused };
    const group = call.cluster.groups.get(request.groupId);
    if (!group) return { errorCode: CODES.UNKNOWN_MEMBER_ID };
    return { errorCode: group.heartbeat(request.memberId, request.groupInstanceId, request.generationId) };
  },
  refuse(_request, errorCode) {
    return { errorCode };
  },
});
