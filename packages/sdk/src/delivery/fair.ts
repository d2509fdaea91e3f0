/**
 * Turns among partitions: each that has something to run gets one record a turn, so a partition with a million queued
 * records cannot starve one with ten.
 */
import { Fifo } from './fifo.ts';
import type { Owned } from './owned.ts';

export class FairQueue {
  readonly #ring = new Fifo<Owned>();
  /** While a suspect runs alone: its partition, which has every turn, or null for nobody's turn (narrowing.ts). */
  only: Owned | null | undefined;

  /** Lets a partition take part when it has something to run; harmless when it does already. */
  add(owned: Owned): void {
    if (owned.scheduled || !owned.runnable) return;
    owned.scheduled = true;
    this.#ring.push(owned);
  }

  /** The partition whose turn it is, moved to the end; partitions with nothing to run drop out. */
  next(): Owned | undefined {
    if (this.only !== undefined) return this.only?.runnable ? this.only : undefined;
    for (;;) {
      const owned = this.#ring.shift();
      if (owned === undefined) return undefined;
      if (owned.runnable) {
        this.#ring.push(owned);
        return owned;
      }
      owned.scheduled = false;
    }
  }
}
