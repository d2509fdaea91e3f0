/**
 * LeaveGroup: v0-5
 *
 * v3: several members, static ones by instance id.  v4: flexible.  v5: reason (ignored).
 */
import { CODES } from '../wire/codes.ts';
import { array, int16, int32, nullableString, string } from '../wire/layout.ts';
import { defineApi } from './api.ts';
import { memberGroupProblem } from './coordinated.ts';

export const leaveGroup = defineApi({
  name: 'LeaveGroup',
  key: 13,
  versions: [0, 5],
  flexibleFrom: 4,
  gaps: [],
  request: {
    groupId: string(),
    memberId: string('0-2'),
    members: array({ memberId: string(), groupInstanceId: nullableString(), reason: nullableString('5+') }, '3+'),
  },
  response: {
    throttleTimeMs: int32('1+'),
    errorCode: int16(),
    members: array({ memberId: string(), groupInstanceId: nullableString(), errorCode: int16() }, '3+'),
  },
  handle(request, call) {
    const refused = memberGroupProblem(call, request.groupId);
    if (refused) return { errorCode: refused };
    const group = call.cluster.groups.get(request.groupId);
    if (call.version < 3) return { errorCode: group?.leave(request.memberId, null) ?? CODES.UNKNOWN_MEMBER_ID };
    return {
      members: request.members.map(({ memberId, groupInstanceId }) => ({
        memberId,
        groupInstanceId,
        errorCode: group?.leave(memberId, groupInstanceId) ?? CODES.UNKNOWN_MEMBER_ID,
      })),
    };
  },
  refuse(_request, errorCode) {
    return { errorCode };
  },
});
