/** What every group API checks first: a usable group id, and that this node coordinates it. */
import { CODES } from '../wire/codes.ts';
import type { Call } from './api.ts';

/** @returns the code to answer with, or undefined when the group may be served here */
export function groupProblem(call: Call, groupId: string): number | undefined {
  if (groupId === '') return CODES.INVALID_GROUP_ID;
  return call.cluster.coordinatorOf(groupId) === call.node ? undefined : CODES.NOT_COORDINATOR;
}
