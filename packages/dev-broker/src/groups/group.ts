/**
 * A consumer group, by the rules of Kafka's classic protocol.
 *
 *   Empty ──join──▶ PreparingRebalance ──all joined, or time is up──▶ CompletingRebalance ──leader syncs──▶ Stable
 *     ▲                  ▲       │ nobody left                              │ join, leave, expiry             │
 *     └──────────────────┼───────┘                                          ▼                                 │
 *                        └───────────────────────────────────────────────────◀──── join, leave, expiry ───────┘
 *   any ──deleted──▶ Dead
 *
 * PreparingRebalance waits for every known member to join again; whoever has not by the largest rebalance timeout is
 * dropped. CompletingRebalance waits for the leader's assignment. Generations count completed joins. A member is
 * expired when neither heartbeat nor commit came for its session timeout, unless it waits for an answer from here.
 *
 * Who is in is the roster's business, which protocol is chosen is in protocols.ts; here are the transitions, side by
 * side.
 */
import type { Cancel, Clock, Random } from '@weir/core';
import { dashed, randomId } from '../identity.ts';
import { CODES } from '../wire/codes.ts';
import {
  failedJoin,
  failedSync,
  type JoinRequest,
  type JoinResult,
  type Member,
  NO_BYTES,
  type SyncResult,
} from './member.ts';
import { CommittedOffsets } from './offsets.ts';
import { electProtocol, fits, sameProtocols } from './protocols.ts';
import { Roster } from './roster.ts';

export type GroupState = 'Empty' | 'PreparingRebalance' | 'CompletingRebalance' | 'Stable' | 'Dead';

const NEXT: Record<GroupState, readonly GroupState[]> = {
  Empty: ['PreparingRebalance', 'Dead'],
  PreparingRebalance: ['CompletingRebalance', 'Empty', 'Dead'],
  CompletingRebalance: ['Stable', 'PreparingRebalance', 'Dead'],
  Stable: ['PreparingRebalance', 'Dead'],
  Dead: [],
};

export interface GroupOptions {
  readonly id: string;
  readonly clock: Clock;
  readonly random: Random;
  readonly initialRebalanceDelayMs: number;
  /** Called after every change of state. */
  readonly moved: (group: Group, from: GroupState) => void;
}

export class Group {
  readonly id: string;
  readonly offsets = new CommittedOffsets();
  generation = 0;
  protocolType: string | null = null;
  protocolName: string | null = null;
  leader: string | null = null;
  readonly #options: GroupOptions;
  readonly #clock: Clock;
  #state: GroupState = 'Empty';
  readonly #roster: Roster;
  #cancelRebalance: Cancel | undefined;
  #cancelSync: Cancel | undefined;
  readonly #unsynced = new Set<string>();
  #newMemberJoined = false;
  #holdingFirst = false;

  constructor(options: GroupOptions) {
    this.id = options.id;
    this.#options = options;
    this.#clock = options.clock;
    this.#roster = new Roster({
      clock: options.clock,
      expired: (memberId) => this.remove(memberId),
      forgotten: () => this.#completeWhenAllJoined(),
    });
  }

  get members(): ReadonlyMap<string, Member> {
    return this.#roster.members;
  }

  get state(): GroupState {
    return this.#state;
  }

  join(request: JoinRequest): JoinResult | Promise<JoinResult> {
    if (this.#state === 'Dead') return failedJoin(CODES.COORDINATOR_NOT_AVAILABLE, request.memberId);
    if (!this.#supports(request)) return failedJoin(CODES.INCONSISTENT_GROUP_PROTOCOL, request.memberId);
    if (request.memberId === '') return this.#joinNew(request);
    if (this.#roster.takeBack(request.memberId)) return this.#add(request.memberId, request);
    const refused = this.#checkMember(request.memberId, request.groupInstanceId);
    if (refused) return failedJoin(refused, request.memberId);
    const member = this.members.get(request.memberId)!;
    switch (this.#state) {
      case 'PreparingRebalance':
        return this.#rejoin(member, request);
      case 'CompletingRebalance':
        // A repeated request: its answer was lost, the member's offer is the same.
        if (sameProtocols(member.protocols, request.protocols)) return this.#currentGeneration(member);
        return this.#rejoin(member, request);
      case 'Stable':
        if (member.id === this.leader || !sameProtocols(member.protocols, request.protocols)) {
          return this.#rejoin(member, request);
        }
        return this.#currentGeneration(member);
      case 'Empty':
        return failedJoin(CODES.UNKNOWN_MEMBER_ID, request.memberId);
      default:
        return this.#state satisfies never;
    }
  }

  sync(request: {
    memberId: string;
    groupInstanceId: string | null;
    generationId: number;
    protocolType: string | null;
    protocolName: string | null;
    assignments: readonly { memberId: string; assignment: Buffer }[];
  }): SyncResult | Promise<SyncResult> {
    const refused =
      this.#checkMember(request.memberId, request.groupInstanceId) ?? this.#checkGeneration(request.generationId);
    if (refused) return failedSync(refused);
    if (
      (request.protocolType !== null && request.protocolType !== this.protocolType) ||
      (request.protocolName !== null && request.protocolName !== this.protocolName)
    ) {
      return failedSync(CODES.INCONSISTENT_GROUP_PROTOCOL);
    }
    const member = this.members.get(request.memberId)!;
    switch (this.#state) {
      case 'PreparingRebalance':
        return failedSync(CODES.REBALANCE_IN_PROGRESS);
      case 'Stable':
        this.#unsynced.delete(member.id);
        this.#roster.touch(member);
        return this.#syncResult(member);
      case 'CompletingRebalance': {
        this.#unsynced.delete(member.id);
        const answer = new Promise<SyncResult>((resolve) => {
          member.syncing?.(failedSync(CODES.REBALANCE_IN_PROGRESS));
          member.syncing = resolve;
        });
        if (member.id === this.leader) this.#assign(request.assignments);
        return answer;
      }
      case 'Empty':
      case 'Dead':
        return failedSync(CODES.UNKNOWN_MEMBER_ID);
      default:
        return this.#state satisfies never;
    }
  }

  heartbeat(memberId: string, groupInstanceId: string | null, generationId: number): number {
    const refused = this.#checkMember(memberId, groupInstanceId) ?? this.#checkGeneration(generationId);
    if (refused) return refused;
    this.#roster.touch(this.members.get(memberId)!);
    return this.#state === 'PreparingRebalance' ? CODES.REBALANCE_IN_PROGRESS : CODES.NONE;
  }

  /** Whether a commit may be stored; keeps the member alive when it is. */
  checkCommit(memberId: string, groupInstanceId: string | null, generationId: number): number {
    if (this.#state === 'Dead') return CODES.COORDINATOR_NOT_AVAILABLE;
    if (generationId < 0 && this.#state === 'Empty') return CODES.NONE;
    const refused = this.#checkMember(memberId, groupInstanceId) ?? this.#checkGeneration(generationId);
    if (refused) return refused;
    // The member has the new generation and not yet its assignment: it cannot own anything.
    if (this.#state === 'CompletingRebalance') return CODES.REBALANCE_IN_PROGRESS;
    this.#roster.touch(this.members.get(memberId)!);
    return CODES.NONE;
  }

  leave(memberId: string, groupInstanceId: string | null): number {
    if (this.#roster.takeBack(memberId)) {
      this.#completeWhenAllJoined();
      return CODES.NONE;
    }
    const id = memberId === '' ? (this.#roster.byInstance(groupInstanceId)?.id ?? '') : memberId;
    const refused = this.#checkMember(id, groupInstanceId);
    if (refused) return refused;
    this.remove(id);
    return CODES.NONE;
  }

  /** Takes a member out, as its leave or the end of its session does. */
  remove(memberId: string): boolean {
    const member = this.members.get(memberId);
    if (!member) return false;
    this.#dropMember(member, CODES.UNKNOWN_MEMBER_ID);
    if (this.#state === 'Stable' || this.#state === 'CompletingRebalance') this.#prepare();
    else this.#completeWhenAllJoined();
    return true;
  }

  /** Makes every member join again. */
  rebalance(): boolean {
    if (this.#state !== 'Stable' && this.#state !== 'CompletingRebalance') return false;
    this.#prepare();
    return true;
  }

  /**
   * Answers everyone who waits with an error, as a coordinator does that moves away. Members keep their place, but who has
   * never been told a generation is not known to the next coordinator: nobody waits for it.
   */
  interrupt(errorCode: number): void {
    this.#answerAll(errorCode);
    this.#roster.forgetHandedOut();
    for (const member of [...this.members.values()]) if (member.isNew) this.#dropMember(member, errorCode);
    this.#completeWhenAllJoined();
  }

  /** Ends the group: timers stop, whoever waits is told. */
  end(errorCode: number): void {
    this.#answerAll(errorCode);
    this.#roster.clear();
    this.#cancelRebalance?.();
    this.#cancelSync?.();
    this.#move('Dead');
  }

  #answerAll(errorCode: number): void {
    for (const member of this.members.values()) {
      const { joining, syncing } = member;
      member.joining = undefined;
      member.syncing = undefined;
      if (joining || syncing) this.#roster.touch(member);
      joining?.(failedJoin(errorCode, member.id));
      syncing?.(failedSync(errorCode));
    }
  }

  // Members ----------------------------------------------------------------------------------------------------------

  #joinNew(request: JoinRequest): JoinResult | Promise<JoinResult> {
    const id = `${request.groupInstanceId ?? request.clientId}-${dashed(randomId(this.#options.random))}`;
    const previous = this.#roster.byInstance(request.groupInstanceId);
    if (previous) return this.#replace(previous, id, request);
    if (request.needsMemberId && request.groupInstanceId === null) {
      this.#roster.handOut(id, request.sessionTimeoutMs);
      return failedJoin(CODES.MEMBER_ID_REQUIRED, id);
    }
    return this.#add(id, request);
  }

  #add(id: string, request: JoinRequest): Promise<JoinResult> {
    const member: Member = {
      id,
      groupInstanceId: request.groupInstanceId,
      clientId: request.clientId,
      clientHost: request.clientHost,
      sessionTimeoutMs: request.sessionTimeoutMs,
      rebalanceTimeoutMs: request.rebalanceTimeoutMs,
      protocols: request.protocols,
      assignment: NO_BYTES,
      isNew: true,
      joining: undefined,
      syncing: undefined,
      cancelSession: () => undefined,
    };
    if (this.members.size === 0) this.protocolType = request.protocolType;
    this.#roster.add(member);
    this.leader ??= id;
    this.#newMemberJoined = true;
    const answer = this.#awaitJoin(member);
    this.#roster.touch(member);
    this.#prepareOrComplete();
    return answer;
  }

  #rejoin(member: Member, request: JoinRequest): Promise<JoinResult> {
    member.protocols = request.protocols;
    member.sessionTimeoutMs = request.sessionTimeoutMs;
    member.rebalanceTimeoutMs = request.rebalanceTimeoutMs;
    member.clientId = request.clientId;
    member.clientHost = request.clientHost;
    const answer = this.#awaitJoin(member);
    this.#prepareOrComplete();
    return answer;
  }

  /** A static member is back under a new id: it takes the old one's place, which is fenced. */
  #replace(member: Member, id: string, request: JoinRequest): JoinResult | Promise<JoinResult> {
    const old = member.id;
    const wasLeader = this.leader === old;
    const { joining, syncing } = member;
    member.joining = undefined;
    member.syncing = undefined;
    joining?.(failedJoin(CODES.FENCED_INSTANCE_ID, old));
    syncing?.(failedSync(CODES.FENCED_INSTANCE_ID));
    this.#unsynced.delete(old);
    this.#roster.rename(member, id);
    if (wasLeader) this.leader = id;
    const same = sameProtocols(member.protocols, request.protocols);
    if (this.#state !== 'Stable' || !same) return this.#rejoin(member, request);
    this.#roster.touch(member);
    const current = this.#currentGeneration(member);
    if (!wasLeader) return current;
    if (request.knowsSkipAssignment) return { ...current, skipAssignment: true };
    // Naming the old leader keeps an older client from assigning anew.
    return { ...current, leader: old, members: [] };
  }

  #dropMember(member: Member, errorCode: number): void {
    this.#roster.remove(member);
    this.#unsynced.delete(member.id);
    if (this.leader === member.id) {
      const joined = [...this.members.values()].find((other) => other.joining);
      this.leader = (joined ?? this.members.values().next().value)?.id ?? null;
    }
    const { joining, syncing } = member;
    member.joining = undefined;
    member.syncing = undefined;
    joining?.(failedJoin(errorCode, member.id));
    syncing?.(failedSync(errorCode));
  }

  #awaitJoin(member: Member): Promise<JoinResult> {
    return new Promise((resolve) => {
      // A second join on another connection: the first one's answer no longer matters to anybody.
      member.joining?.(failedJoin(CODES.REBALANCE_IN_PROGRESS, member.id));
      member.joining = resolve;
    });
  }

  #checkMember(memberId: string, groupInstanceId: string | null): number | undefined {
    return this.#state === 'Dead' ? CODES.COORDINATOR_NOT_AVAILABLE : this.#roster.check(memberId, groupInstanceId);
  }

  #checkGeneration(generationId: number): number | undefined {
    return generationId === this.generation ? undefined : CODES.ILLEGAL_GENERATION;
  }

  #supports(request: JoinRequest): boolean {
    if (request.protocolType === '' || request.protocols.length === 0) return false;
    const others = [...this.members.values()].filter((member) => member.id !== request.memberId);
    if (others.length === 0) return true;
    if (this.protocolType !== null && this.protocolType !== request.protocolType) return false;
    return fits(request.protocols, others);
  }

  // Rebalance --------------------------------------------------------------------------------------------------------

  #prepareOrComplete(): void {
    if (this.#state === 'PreparingRebalance') this.#completeWhenAllJoined();
    else this.#prepare();
  }

  #prepare(): void {
    const first = this.#state === 'Empty';
    const assigning = this.#state === 'CompletingRebalance';
    this.#cancelSync?.();
    this.#cancelSync = undefined;
    this.#unsynced.clear();
    for (const member of this.members.values()) {
      if (assigning) member.assignment = NO_BYTES;
      const { syncing } = member;
      if (!syncing) continue;
      member.syncing = undefined;
      this.#roster.touch(member);
      syncing(failedSync(CODES.REBALANCE_IN_PROGRESS));
    }
    this.#move('PreparingRebalance');
    this.#cancelRebalance?.();
    if (first && this.#options.initialRebalanceDelayMs > 0) {
      this.#holdFirst(this.#rebalanceTimeoutMs());
      return;
    }
    this.#cancelRebalance = this.#clock.after(this.#rebalanceTimeoutMs(), () => this.#complete());
    this.#completeWhenAllJoined();
  }

  /** A group that starts waits a little for more members, and again while they keep coming. */
  #holdFirst(leftMs: number): void {
    const delay = Math.min(this.#options.initialRebalanceDelayMs, leftMs);
    this.#holdingFirst = true;
    this.#newMemberJoined = false;
    this.#cancelRebalance = this.#clock.after(delay, () => {
      if (this.#newMemberJoined && leftMs - delay > 0) this.#holdFirst(leftMs - delay);
      else this.#complete();
    });
  }

  #completeWhenAllJoined(): void {
    if (this.#state !== 'PreparingRebalance' || this.#holdingFirst || this.#roster.awaited > 0) return;
    for (const member of this.members.values()) if (!member.joining) return;
    this.#complete();
  }

  #complete(): void {
    this.#cancelRebalance?.();
    this.#cancelRebalance = undefined;
    this.#holdingFirst = false;
    for (const member of [...this.members.values()]) {
      // A static member stays until its session ends, so that a quick restart moves nothing.
      if (!member.joining && member.groupInstanceId === null) this.#dropMember(member, CODES.UNKNOWN_MEMBER_ID);
    }
    if (this.members.size === 0) {
      this.generation++;
      this.protocolName = null;
      this.leader = null;
      this.#move('Empty');
      return;
    }
    const joined = [...this.members.values()].filter((member) => member.joining);
    if (joined.length === 0) {
      // Only absent static members are left: wait for them, or for the end of their sessions.
      this.#cancelRebalance = this.#clock.after(this.#rebalanceTimeoutMs(), () => this.#complete());
      return;
    }
    this.generation++;
    if (!joined.some((member) => member.id === this.leader)) this.leader = joined[0]!.id;
    this.protocolName = electProtocol([...this.members.values()]);
    this.#move('CompletingRebalance');
    for (const member of this.members.values()) this.#unsynced.add(member.id);
    this.#cancelSync = this.#clock.after(this.#rebalanceTimeoutMs(), () => this.#dropUnsynced());
    for (const member of joined) {
      const { joining } = member;
      member.joining = undefined;
      member.isNew = false;
      this.#roster.touch(member);
      joining?.(this.#currentGeneration(member));
    }
  }

  #assign(assignments: readonly { memberId: string; assignment: Buffer }[]): void {
    const byMember = new Map(assignments.map(({ memberId, assignment }) => [memberId, assignment]));
    for (const member of this.members.values()) member.assignment = Buffer.from(byMember.get(member.id) ?? NO_BYTES);
    this.#move('Stable');
    for (const member of this.members.values()) {
      const { syncing } = member;
      if (!syncing) continue;
      member.syncing = undefined;
      this.#roster.touch(member);
      syncing(this.#syncResult(member));
    }
  }

  /** Members that joined and never asked for their assignment hold partitions nobody reads. */
  #dropUnsynced(): void {
    if (this.#unsynced.size === 0) return;
    for (const id of [...this.#unsynced]) {
      const member = this.members.get(id);
      if (member) this.#dropMember(member, CODES.UNKNOWN_MEMBER_ID);
    }
    if (this.#state === 'Stable' || this.#state === 'CompletingRebalance') this.#prepare();
  }

  #rebalanceTimeoutMs(): number {
    let longest = 0;
    for (const member of this.members.values()) longest = Math.max(longest, member.rebalanceTimeoutMs);
    return longest;
  }

  #currentGeneration(member: Member): JoinResult {
    const leads = member.id === this.leader;
    return {
      errorCode: CODES.NONE,
      generationId: this.generation,
      protocolType: this.protocolType,
      protocolName: this.protocolName,
      leader: this.leader ?? '',
      memberId: member.id,
      skipAssignment: false,
      members: leads
        ? [...this.members.values()].map((each) => ({
            memberId: each.id,
            groupInstanceId: each.groupInstanceId,
            metadata: this.metadataOf(each),
          }))
        : [],
    };
  }

  /** What a member said under the protocol that was chosen. */
  metadataOf(member: Member): Buffer {
    return member.protocols.find(({ name }) => name === this.protocolName)?.metadata ?? NO_BYTES;
  }

  #syncResult(member: Member): SyncResult {
    return {
      errorCode: CODES.NONE,
      protocolType: this.protocolType,
      protocolName: this.protocolName,
      assignment: member.assignment,
    };
  }

  #move(to: GroupState): void {
    const from = this.#state;
    if (from === to) return;
    if (!NEXT[from].includes(to)) throw new Error(`group ${this.id}: ${from} cannot become ${to}`);
    this.#state = to;
    this.#options.moved(this, from);
  }
}
