/**
 * SyncGroup: v0-5
 *
 * v3: static members.  v4: flexible.  v5: protocol type and name are checked.
 */
import { CODES } from '../wire/codes.ts';
import { array, bytes, int16, int32, nullableString, string } from '../wire/layout.ts';
import { defineApi } from './api.ts';
import { memberGroupProblem } from './coordinated.ts';

export const syncGroup = defineApi({
  name: 'SyncGroup',
  key: 14,
  versions: [0, 5],
  flexibleFrom: 4,
  gaps: [],
  request: {
    groupId: string(),
    generationId: int32(),
    memberId: string(),
    groupInstanceId: nullableString('3+'),
    protocolType: nullableString('5+'),
    protocolName: nullableString('5+'),
    assignments: array({ memberId: string(), assignment: bytes() }),
  },
  response: {
    throttleTimeMs: int32('1+'),
    errorCode: int16(),
    protocolType: nullableString('5+'),
    protocolName: nullableString('5+'),
    assignment: bytes(),
  },
  handle(request, call) {
    const refused = memberGroupProblem(call, request.groupId);
    if (refused) return { errorCode: refused };
    const group = call.cluster.groups.get(request.groupId);
    return group ? group.sync(request) : { errorCode: CODES.UNKNOWN_MEMBER_ID };
  },
  refuse(_request, errorCode) {
    return { errorCode };
  },
});
