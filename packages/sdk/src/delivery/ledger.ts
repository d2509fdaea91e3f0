/**
 * What one partition still owes: every offset that was handed out and is not finished. Its watermark is what may be
 * committed: the first offset that is not done, whatever else is done above it.
 *
 *     offsets    100  101  103  104  107          (102, 105, 106: compacted away or markers; they are nobody's work)
 *     state      done  .   done done  .
 *     watermark       101                         commits 101: nothing at or above it is promised
 *     done ahead           103  104               2
 *
 * Entries live in a ring by arrival, not by offset, so gaps cost nothing; `finish` is O(1) amortised and allocates
 * nothing. A record's place in the ring (its slot) never changes while it is unfinished.
 */
export class Ledger {
  #offsets = new Float64Array(256);
  #done = new Uint8Array(256);
  /** Slots count up for ever; `& mask` finds the place. */
  #head = 0;
  #tail = 0;
  #ahead = 0;
  #next: number;

  /** @param start  the first offset that is not done: where delivery begins */
  constructor(start: number) {
    this.#next = start;
  }

  /** The first offset that is not done: what may be committed. */
  get watermark(): number {
    return this.#head === this.#tail ? this.#next : this.#offsets[this.#head & (this.#offsets.length - 1)]!;
  }

  /** The offset after everything that was handed out or covered. */
  get next(): number {
    return this.#next;
  }

  /** Handed out and not finished. */
  get unfinished(): number {
    return this.#tail - this.#head - this.#ahead;
  }

  /** Finished, but above the watermark. */
  get doneAhead(): number {
    return this.#ahead;
  }

  /**
   * Hands out an offset.
   * @returns the slot to finish it with, or -1 when this offset was handed out before (a redelivery to the same owner)
   */
  take(offset: number): number {
    if (offset < this.#next) return -1;
    if (this.#tail - this.#head === this.#offsets.length) this.#grow();
    const slot = this.#tail++;
    const place = slot & (this.#offsets.length - 1);
    this.#offsets[place] = offset;
    this.#done[place] = 0;
    this.#next = offset + 1;
    return slot;
  }

  /** Everything up to and including `lastOffset` has been seen, also where there was no record. */
  cover(lastOffset: number): void {
    if (lastOffset >= this.#next) this.#next = lastOffset + 1;
  }

  /** Finishing a slot twice is refused: it would mean that two outcomes were promised for one record. */
  finish(slot: number): void {
    const mask = this.#offsets.length - 1;
    if (slot < this.#head || slot >= this.#tail || this.#done[slot & mask] === 1)
      throw new RangeError(`slot ${slot} is not unfinished`);
    this.#done[slot & mask] = 1;
    this.#ahead++;
    while (this.#head < this.#tail && this.#done[this.#head & mask] === 1) {
      this.#head++;
      this.#ahead--;
    }
  }

  #grow(): void {
    const size = this.#offsets.length;
    const offsets = new Float64Array(size * 2);
    const done = new Uint8Array(size * 2);
    for (let slot = this.#head; slot < this.#tail; slot++) {
      offsets[slot & (size * 2 - 1)] = this.#offsets[slot & (size - 1)]!;
      done[slot & (size * 2 - 1)] = this.#done[slot & (size - 1)]!;
    }
    this.#offsets = offsets;
    this.#done = done;
  }
}
