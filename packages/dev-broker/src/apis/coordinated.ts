/** What every group API checks first: that this node coordinates the group, and for members that it has a name. */
import { CODES } from '../wire/codes.ts';
import type { Call } from './api.ts';

/** For requests of members. @returns the code to answer with, or undefined when the group may be served here */
export function memberGroupProblem(call: Call, groupId: string): number | undefined {
  return groupId === '' ? CODES.INVALID_GROUP_ID : groupProblem(call, groupId);
}

/** For everything else: offsets may be kept under the empty name, as very old consumers do. */
export function groupProblem(call: Call, groupId: string): number | undefined {
  return call.cluster.coordinatorOf(groupId) === call.node ? undefined : CODES.NOT_COORDINATOR;
}
