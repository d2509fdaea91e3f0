/**
 * Who is in a group: members by id, static ones also by instance id, ids that were handed out and have not come back,
 * and everyone's session. The roster knows nothing of generations; it says when somebody's time is up.
 */
import type { Cancel, Clock } from '@weir/core';
import { CODES } from '../wire/codes.ts';
import type { Member } from './member.ts';

/** How long a join of a new member may stay unanswered before it is given up, as in Kafka. */
const NEW_MEMBER_JOIN_TIMEOUT_MS = 5 * 60_000;

export class Roster {
  readonly #clock: Clock;
  readonly #expired: (memberId: string) => void;
  readonly #forgotten: () => void;
  readonly #members = new Map<string, Member>();
  readonly #instances = new Map<string, string>();
  readonly #handedOut = new Map<string, Cancel>();

  /**
   * @param options.expired    a member's session is over; it is still on the roster
   * @param options.forgotten  an id that was handed out will not come back
   */
  constructor(options: { clock: Clock; expired: (memberId: string) => void; forgotten: () => void }) {
    this.#clock = options.clock;
    this.#expired = options.expired;
    this.#forgotten = options.forgotten;
  }

  get members(): ReadonlyMap<string, Member> {
    return this.#members;
  }

  /** Ids on their way back: a rebalance waits for them. */
  get awaited(): number {
    return this.#handedOut.size;
  }

  /** Remembers an id that a new member was sent back with. */
  handOut(id: string, timeoutMs: number): void {
    const cancel = this.#clock.after(timeoutMs, () => {
      this.#handedOut.delete(id);
      this.#forgotten();
    });
    this.#handedOut.set(id, cancel);
  }

  /** Takes back an id that was handed out. @returns false when it was not */
  takeBack(id: string): boolean {
    this.#handedOut.get(id)?.();
    return this.#handedOut.delete(id);
  }

  forgetHandedOut(): void {
    for (const cancel of this.#handedOut.values()) cancel();
    this.#handedOut.clear();
  }

  byInstance(groupInstanceId: string | null): Member | undefined {
    if (groupInstanceId === null) return undefined;
    const id = this.#instances.get(groupInstanceId);
    return id === undefined ? undefined : this.#members.get(id);
  }

  add(member: Member): void {
    this.#members.set(member.id, member);
    if (member.groupInstanceId !== null) this.#instances.set(member.groupInstanceId, member.id);
  }

  remove(member: Member): void {
    member.cancelSession();
    this.#members.delete(member.id);
    if (member.groupInstanceId !== null && this.#instances.get(member.groupInstanceId) === member.id) {
      this.#instances.delete(member.groupInstanceId);
    }
  }

  /** A static member is back under a new id. */
  rename(member: Member, id: string): void {
    this.#members.delete(member.id);
    member.id = id;
    this.add(member);
  }

  /** Starts a member's session anew. */
  touch(member: Member): void {
    member.cancelSession();
    const limit = member.isNew ? NEW_MEMBER_JOIN_TIMEOUT_MS : member.sessionTimeoutMs;
    member.cancelSession = this.#clock.after(limit, () => {
      // Who waits for an answer from here is silent because of us.
      if (!member.isNew && (member.joining || member.syncing)) this.touch(member);
      else this.#expired(member.id);
    });
  }

  /** @returns the code to answer with, or undefined when such a member is here */
  check(memberId: string, groupInstanceId: string | null): number | undefined {
    if (groupInstanceId !== null) {
      const known = this.#instances.get(groupInstanceId);
      if (known === undefined) return CODES.UNKNOWN_MEMBER_ID;
      if (known !== memberId) return CODES.FENCED_INSTANCE_ID;
    }
    return this.#members.has(memberId) ? undefined : CODES.UNKNOWN_MEMBER_ID;
  }

  /** Forgets everybody; no timer is left. */
  clear(): void {
    for (const member of this.#members.values()) member.cancelSession();
    this.#members.clear();
    this.forgetHandedOut();
    this.#instances.clear();
  }
}
