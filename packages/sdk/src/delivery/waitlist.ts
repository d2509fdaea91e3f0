/**
 * Records that wait for a time: retried in place, put back until they are due, or held for two seconds to see whether a
 * breaker opens. A binary heap and one timer, whatever the number of records.
 */
import type { Cancel, Clock } from '@weir/core';

interface Entry<T> {
  readonly at: number;
  readonly order: number;
  readonly value: T;
  readonly wake: (value: T) => void;
}

export class WaitList<T> {
  readonly #clock: Clock;
  readonly #heap: Entry<T>[] = [];
  #order = 0;
  #cancel: Cancel | undefined;
  #armedFor = Number.POSITIVE_INFINITY;

  constructor(clock: Clock) {
    this.#clock = clock;
  }

  get size(): number {
    return this.#heap.length;
  }

  /** Calls `wake(value)` at `at` (ms since the epoch) or soon after; at once on the next timer when it is past. */
  add(at: number, value: T, wake: (value: T) => void): void {
    const heap = this.#heap;
    const entry: Entry<T> = { at, order: this.#order++, value, wake };
    let child = heap.push(entry) - 1;
    while (child > 0) {
      const parent = (child - 1) >> 1;
      if (!before(entry, heap[parent]!)) break;
      heap[child] = heap[parent]!;
      child = parent;
    }
    heap[child] = entry;
    this.#arm();
  }

  stop(): void {
    this.#cancel?.();
    this.#cancel = undefined;
    this.#heap.length = 0;
    this.#armedFor = Number.POSITIVE_INFINITY;
  }

  #arm(): void {
    const first = this.#heap[0];
    if (first === undefined || first.at >= this.#armedFor) return;
    this.#cancel?.();
    this.#armedFor = first.at;
    this.#cancel = this.#clock.after(Math.max(0, first.at - this.#clock.now()), () => this.#fire());
  }

  #fire(): void {
    this.#cancel = undefined;
    this.#armedFor = Number.POSITIVE_INFINITY;
    const now = this.#clock.now();
    while (this.#heap.length > 0 && this.#heap[0]!.at <= now) {
      const entry = this.#pop();
      entry.wake(entry.value);
    }
    this.#arm();
  }

  #pop(): Entry<T> {
    const heap = this.#heap;
    const first = heap[0]!;
    const last = heap.pop()!;
    if (heap.length === 0) return first;
    let parent = 0;
    for (;;) {
      let child = parent * 2 + 1;
      if (child >= heap.length) break;
      if (child + 1 < heap.length && before(heap[child + 1]!, heap[child]!)) child++;
      if (!before(heap[child]!, last)) break;
      heap[parent] = heap[child]!;
      parent = child;
    }
    heap[parent] = last;
    return first;
  }
}

function before<T>(a: Entry<T>, b: Entry<T>): boolean {
  return a.at < b.at || (a.at === b.at && a.order < b.order);
}
