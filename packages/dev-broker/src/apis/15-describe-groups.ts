/**
 * DescribeGroups: v0-5
 *
 * v3: authorized operations (never).  v4: static members.  v5: flexible.
 *
 * A group that does not exist is described as Dead, as Kafka does in these versions. Members show their metadata only
 * while the group is Stable.
 */
import { CODES } from '../wire/codes.ts';
import { array, arrayOf, bool, bytes, int16, int32, nullableString, string } from '../wire/layout.ts';
import { type Call, defineApi } from './api.ts';
import { groupProblem } from './coordinated.ts';

export const describeGroups = defineApi({
  name: 'DescribeGroups',
  key: 15,
  versions: [0, 5],
  flexibleFrom: 5,
  gaps: ['no authorized operations'],
  request: { groups: arrayOf(string()), includeAuthorizedOperations: bool('3+') },
  response: {
    throttleTimeMs: int32('1+'),
    groups: array({
      errorCode: int16(),
      groupId: string(),
      groupState: string(),
      protocolType: string(),
      protocolData: string(),
      members: array({
        memberId: string(),
        groupInstanceId: nullableString('4+'),
        clientId: string(),
        clientHost: string(),
        memberMetadata: bytes(),
        memberAssignment: bytes(),
      }),
      authorizedOperations: int32('3+', { fallback: -2147483648 }),
    }),
  },
  handle(request, call) {
    return { groups: request.groups.map((groupId) => describe(call, groupId)) };
  },
  refuse(request, errorCode) {
    return { groups: request.groups.map((groupId) => ({ errorCode, groupId })) };
  },
});

function describe(call: Call, groupId: string) {
  const refused = groupProblem(call, groupId);
  if (refused) return { errorCode: refused, groupId };
  const group = call.cluster.groups.get(groupId);
  if (!group) return { errorCode: CODES.NONE, groupId, groupState: 'Dead' };
  const stable = group.state === 'Stable';
  return {
    errorCode: CODES.NONE,
    groupId,
    groupState: group.state,
    protocolType: group.protocolType ?? '',
    protocolData: stable ? (group.protocolName ?? '') : '',
    members: [...group.members.values()].map((member) => ({
      memberId: member.id,
      groupInstanceId: member.groupInstanceId,
      clientId: member.clientId,
      clientHost: member.clientHost,
      memberAssignment: member.assignment,
      ...(stable ? { memberMetadata: group.metadataOf(member) } : {}),
    })),
  };
}
