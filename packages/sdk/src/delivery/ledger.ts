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
 *
 * What is done ahead is told to the next owner (the skip map in the commit), and what a former owner told is not handed
 * out again: it enters the ring as done.
 */
import type { DoneRange } from './skip-map.ts';

/** In place of a slot: the offset was handed out before, a redelivery to the same owner. */
export const REDELIVERED = -1;
/** In place of a slot: a former owner finished it. */
export const DONE_BEFORE = -2;

export class Ledger {
  #offsets = new Float64Array(256);
  #done = new Uint8Array(256);
  /** Slots count up for ever; `& mask` finds the place. */
  #head = 0;
  #tail = 0;
  #ahead = 0;
  #inherited = 0;
  #next: number;
  /** What former owners finished above the start, and how far into it we are. */
  readonly #before: readonly DoneRange[];
  #beforeAt = 0;

  /**
   * @param start   the first offset that is not done: where delivery begins
   * @param before  what a former owner finished above it; sorted, apart from each other
   */
  constructor(start: number, before: readonly DoneRange[] = []) {
    this.#next = start;
    this.#before = before;
  }

  /** The first offset that is not done: what may be committed. */
  get watermark(): number {
    return this.#head === this.#tail ? this.#next : this.#offsets[this.#head & (this.#offsets.length - 1)]!;
  }

  /** The offset after everything that was handed out or covered. */
  get next(): number {
    return this.#next;
  }

  /** The slot that the next offset will get; slots rise by one. */
  get nextSlot(): number {
    return this.#tail;
  }

  /** Handed out and not finished. */
  get unfinished(): number {
    return this.#tail - this.#head - this.#ahead;
  }

  /** Finished, but above the watermark. */
  get doneAhead(): number {
    return this.#ahead;
  }

  /** Finished here; what a former owner did does not count. */
  get finished(): number {
    return this.#head + this.#ahead - this.#inherited;
  }

  /** Whether anything above the watermark is known to be done: finished here, or by a former owner and not fetched yet. */
  get knowsAhead(): boolean {
    return this.#ahead > 0 || (this.#before.at(-1)?.to ?? 0) > this.#next;
  }

  /**
   * Hands out an offset.
   * @returns the slot to finish it with; REDELIVERED or DONE_BEFORE when there is nothing to do
   */
  take(offset: number): number {
    if (offset < this.#next) return REDELIVERED;
    const slot = this.#enter(offset);
    if (!this.#doneBefore(offset)) return slot;
    this.#inherited++;
    this.finish(slot);
    return DONE_BEFORE;
  }

  #enter(offset: number): number {
    if (this.#tail - this.#head === this.#offsets.length) this.#grow();
    const slot = this.#tail++;
    const place = slot & (this.#offsets.length - 1);
    this.#offsets[place] = offset;
    this.#done[place] = 0;
    this.#next = offset + 1;
    return slot;
  }

  #doneBefore(offset: number): boolean {
    while (this.#beforeAt < this.#before.length && this.#before[this.#beforeAt]!.to <= offset) this.#beforeAt++;
    const range = this.#before[this.#beforeAt];
    return range !== undefined && range.from <= offset;
  }

  /**
   * What is finished above the watermark. A gap between two finished records is nobody's work and joins them; what a
   * former owner finished and has not been fetched again yet is still told.
   */
  doneRanges(): DoneRange[] {
    const ranges: DoneRange[] = [];
    if (this.#ahead > 0) {
      const mask = this.#offsets.length - 1;
      let from = -1;
      let to = -1;
      for (let slot = this.#head; slot < this.#tail; slot++) {
        const offset = this.#offsets[slot & mask]!;
        if (this.#done[slot & mask] === 1) {
          if (from < 0) from = offset;
          to = offset + 1;
        } else if (from >= 0) {
          ranges.push({ from, to });
          from = -1;
        }
      }
      if (from >= 0) ranges.push({ from, to });
    }
    for (let at = this.#beforeAt; at < this.#before.length; at++) {
      const { from, to } = this.#before[at]!;
      if (to > this.#next) ranges.push({ from: Math.max(from, this.#next), to });
    }
    return ranges;
  }

  /** Everything up to and including `lastOffset` has been seen, also where there was no record. */
  cover(lastOffset: number): void {
    if (lastOffset >= this.#next) this.#next = lastOffset + 1;
  }

  /** Whether a slot that was given out is done. */
  isFinished(slot: number): boolean {
    return slot < this.#head || this.#done[slot & (this.#offsets.length - 1)] === 1;
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
