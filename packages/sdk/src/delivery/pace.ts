/**
 * How many records start on one commit that has written them down. As many as there are slots, since whoever is written
 * down when the process dies is suspected; and twice as many as the last time, as long as such a group is over in no time:
 * a handler of microseconds would otherwise wait for the broker most of the time (1,100 records/s in place of 200,000,
 * after one death), and records as quick as that cost little when each runs alone later.
 *
 *   group of the free slots --over within 50 ms--> twice as many --over within 50 ms--> … 1,000 at most
 *                           \--not over by then--> as many as there are slots, whenever there are some
 */
import type { Cancel, Clock } from '@weir/core';
import type { Delivery } from './delivery.ts';

const QUICK_MS = 50;
const MOST = 1_000;

export class Pace {
  readonly #clock: Clock;
  readonly #onLate: () => void;
  /** The last group, how many of it are known to be over, and when it started. */
  #group: readonly Delivery[] = [];
  #over = 0;
  #startedAt = 0;
  #cancel: Cancel | undefined;

  /** @param onLate  the group is not over although it could be expected to be: `next` has another answer now */
  constructor(clock: Clock, onLate: () => void) {
    this.#clock = clock;
    this.#onLate = onLate;
  }

  /**
   * @param room  free slots
   * @returns     records to write down now; 0 when there is no room, or the last group is as good as over
   */
  next(room: number): number {
    if (room <= 0) return 0;
    while (this.#over < this.#group.length && isOver(this.#group[this.#over]!)) this.#over++;
    const quick = this.#clock.monotonic() - this.#startedAt < QUICK_MS;
    if (this.#over === this.#group.length) return quick ? Math.max(room, Math.min(MOST, 2 * this.#group.length)) : room;
    if (!quick) return room;
    this.#cancel ??= this.#clock.after(QUICK_MS, () => {
      this.#cancel = undefined;
      this.#onLate();
    });
    return 0;
  }

  started(group: readonly Delivery[]): void {
    this.stop();
    this.#group = group;
    this.#over = 0;
    this.#startedAt = this.#clock.monotonic();
  }

  stop(): void {
    this.#cancel?.();
    this.#cancel = undefined;
  }
}

/** Its handler is not at work any more: finished, waiting for a time or a dependency, or somebody else's. */
export function isOver({ state, owned }: Delivery): boolean {
  return state === 'finished' || state === 'waiting' || state === 'abandoned' || !owned.alive;
}
