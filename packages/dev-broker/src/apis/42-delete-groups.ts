/**
 * DeleteGroups: v0-2
 *
 * v2: flexible.
 *
 * Only a group without members can be deleted; its offsets go with it.
 */
import { CODES } from '../wire/codes.ts';
import { array, arrayOf, int16, int32, string } from '../wire/layout.ts';
import { type Call, defineApi } from './api.ts';
import { groupProblem } from './coordinated.ts';

export const deleteGroups = defineApi({
  name: 'DeleteGroups',
  key: 42,
  versions: [0, 2],
  flexibleFrom: 2,
  gaps: [],
  request: { groupsNames: arrayOf(string()) },
  response: {
    throttleTimeMs: int32(),
    results: array({ groupId: string(), errorCode: int16() }),
  },
  handle(request, call) {
    return { results: request.groupsNames.map((groupId) => ({ groupId, errorCode: remove(groupId, call) })) };
  },
  refuse(request, errorCode) {
    return { results: request.groupsNames.map((groupId) => ({ groupId, errorCode })) };
  },
});

function remove(groupId: string, call: Call): number {
  const refused = groupProblem(call, groupId);
  if (refused) return refused;
  const group = call.cluster.groups.get(groupId);
  if (!group) return CODES.GROUP_ID_NOT_FOUND;
  if (group.state !== 'Empty') return CODES.NON_EMPTY_GROUP;
  call.cluster.deleteGroup(groupId);
  return CODES.NONE;
}
