/**
 * Waits of microseconds. Node's timers count whole milliseconds and round up, which would add half a millisecond to a
 * mean wait of 2.5; so the event loop is turned (`setImmediate`) while anything waits for less than `SPIN_BELOW_MS`, and
 * whatever is due is let go. That keeps a core busy, at the cost of the one who waits: the Java side parks its threads
 * for nanoseconds, which costs it nothing. Waits further off than that use an ordinary timer.
 */
const SPIN_BELOW_MS = 2.5;

interface Wait {
  readonly due: number;
  readonly let: () => void;
}

export class FineTimer {
  /** A binary heap, soonest first. */
  readonly #waits: Wait[] = [];
  #turning = false;

  wait(ms: number): Promise<void> {
    return new Promise((resolve) => {
      this.#push({ due: performance.now() + ms, let: resolve });
      if (!this.#turning) {
        this.#turning = true;
        setImmediate(this.#turn);
      }
    });
  }

  readonly #turn = (): void => {
    const now = performance.now();
    for (let first = this.#waits[0]; first !== undefined && first.due <= now; first = this.#waits[0]) {
      this.#shift();
      first.let();
    }
    const next = this.#waits[0];
    if (next === undefined) this.#turning = false;
    else if (next.due - now < SPIN_BELOW_MS) setImmediate(this.#turn);
    else {
      // a wait that is due sooner may come meanwhile, at most a millisecond too late
      setTimeout(this.#turn, 1);
    }
  };

  #push(wait: Wait): void {
    const heap = this.#waits;
    let at = heap.length;
    heap.push(wait);
    while (at > 0) {
      const parent = (at - 1) >> 1;
      if (heap[parent]!.due <= wait.due) break;
      heap[at] = heap[parent]!;
      at = parent;
    }
    heap[at] = wait;
  }

  #shift(): void {
    const heap = this.#waits;
    const last = heap.pop()!;
    if (heap.length === 0) return;
    let at = 0;
    for (;;) {
      let child = 2 * at + 1;
      if (child >= heap.length) break;
      if (child + 1 < heap.length && heap[child + 1]!.due < heap[child]!.due) child++;
      if (heap[child]!.due >= last.due) break;
      heap[at] = heap[child]!;
      at = child;
    }
    heap[at] = last;
  }
}
