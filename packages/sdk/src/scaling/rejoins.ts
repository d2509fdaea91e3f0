/**
 * When the leader of the group may join again to have the partitions dealt anew. A rebalance costs everybody a moment, so:
 *
 *   - the plan must have wanted it at two looks in a row: what only flickers moves nothing
 *   - not within 15 s of any join: until then members cannot tell the leader what the partitions that they were given ask
 *     of them (scaling/meter.ts), and it would deal blindly
 *   - once in the time to catch up (`scaling.catchUp`) at most. A member that has just become the leader does not know what
 *     the one before it did, and waits as if it had just done it
 *   - when it did not help, because loads cannot be told apart or another assigner rules, twice as long each time, up to
 *     eight times
 */
import type { Plan } from './plan.ts';

export type Wanted = Pick<Plan, 'rebalance' | 'catchUpMs'>;

export class Rejoins {
  #leads = false;
  #lastMs = 0;
  #joinedMs = 0;
  #factor = 1;
  /** Looks in a row at which it was wanted. */
  #wanted = 0;

  /** A join has ended. */
  joined(leads: boolean, nowMs: number): void {
    if (leads && !this.#leads) {
      this.#lastMs = nowMs;
      this.#factor = 1;
    }
    this.#leads = leads;
    this.#joinedMs = nowMs;
    this.#wanted = 0;
  }

  /**
   * Somebody has looked at the group.
   * @param plan  whether it is wanted (undefined: cannot be told), and the time to catch up
   * @returns     whether to join again now; if that was done, say `began`
   */
  looked({ rebalance: wanted, catchUpMs }: Wanted, nowMs: number): boolean {
    if (wanted === undefined) return false;
    this.#wanted = wanted ? this.#wanted + 1 : 0;
    if (!wanted) this.#factor = 1;
    if (!this.#leads || this.#wanted < LOOKS || nowMs - this.#joinedMs < LOADS_KNOWN_MS) return false;
    return nowMs - this.#lastMs >= catchUpMs * this.#factor;
  }

  began(nowMs: number): void {
    this.#lastMs = nowMs;
    this.#factor = Math.min(LONGEST_FACTOR, this.#factor * 2);
  }
}

const LOOKS = 2;
const LOADS_KNOWN_MS = 15_000;
const LONGEST_FACTOR = 8;
