/**
 * One member of a consumer group: what it told when it joined, what it was assigned, and the answers it waits for. A
 * member whose join or sync is pending is alive by definition: its connection is silent because the broker has not
 * answered.
 */
import type { Cancel } from '@weir/core';

export interface Protocol {
  readonly name: string;
  readonly metadata: Buffer;
}

export interface JoinRequest {
  readonly memberId: string;
  readonly groupInstanceId: string | null;
  readonly clientId: string;
  readonly clientHost: string;
  readonly sessionTimeoutMs: number;
  readonly rebalanceTimeoutMs: number;
  readonly protocolType: string;
  readonly protocols: readonly Protocol[];
  /** From version 4 on a new member is sent back once with the id it shall use. */
  readonly needsMemberId: boolean;
  /** From version 9 on a returning static leader can be told to leave the assignment alone. */
  readonly knowsSkipAssignment: boolean;
}

export interface JoinResult {
  readonly errorCode: number;
  readonly generationId: number;
  readonly protocolType: string | null;
  readonly protocolName: string | null;
  readonly leader: string;
  readonly memberId: string;
  /** For a leader that came back under its instance id: do not compute an assignment. */
  readonly skipAssignment: boolean;
  readonly members: { memberId: string; groupInstanceId: string | null; metadata: Buffer }[];
}

export interface SyncResult {
  readonly errorCode: number;
  readonly protocolType: string | null;
  readonly protocolName: string | null;
  readonly assignment: Buffer;
}

export interface Member {
  id: string;
  readonly groupInstanceId: string | null;
  clientId: string;
  clientHost: string;
  sessionTimeoutMs: number;
  rebalanceTimeoutMs: number;
  protocols: readonly Protocol[];
  assignment: Buffer;
  /** Joined for the first time and has not been answered: it cannot send heartbeats yet, so a long limit applies. */
  isNew: boolean;
  /** The answers it waits for. */
  joining: ((result: JoinResult) => void) | undefined;
  syncing: ((result: SyncResult) => void) | undefined;
  cancelSession: Cancel;
}

export const NO_BYTES = Buffer.alloc(0);

export function failedJoin(errorCode: number, memberId: string): JoinResult {
  return {
    errorCode,
    generationId: -1,
    protocolType: null,
    protocolName: null,
    leader: '',
    memberId,
    skipAssignment: false,
    members: [],
  };
}

export function failedSync(errorCode: number): SyncResult {
  return { errorCode, protocolType: null, protocolName: null, assignment: NO_BYTES };
}
