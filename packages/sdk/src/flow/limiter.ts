/**
 * How many handler calls may be in flight: a bare counter. It is asked once a record, and at raw speed a whole record
 * costs 0.9 µs; p-limit, which the bulkheads use, would add 0.4. Waiting is the lanes' business, not the limiter's.
 */
export class Limiter {
  #limit: number;
  #inflight = 0;

  constructor(limit: number) {
    this.#limit = checked(limit);
  }

  get limit(): number {
    return this.#limit;
  }

  /** Lowering it lets those in flight finish: until then `tryAcquire` refuses. */
  set limit(limit: number) {
    this.#limit = checked(limit);
  }

  get inflight(): number {
    return this.#inflight;
  }

  /** Takes a slot; false when there is none. */
  tryAcquire(): boolean {
    if (this.#inflight >= this.#limit) return false;
    this.#inflight += 1;
    return true;
  }

  /** Gives a slot back. Once for each `tryAcquire` that said true. */
  release(): void {
    if (this.#inflight === 0) throw new RangeError('release without tryAcquire: a slot was given back twice');
    this.#inflight -= 1;
  }
}

function checked(limit: number): number {
  if (!Number.isInteger(limit) || limit < 1)
    throw new RangeError(`limit must be a whole number of 1 or more: ${limit}`);
  return limit;
}
