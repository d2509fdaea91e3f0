/**
 * A downstream that works on so many calls at once, which nobody is told, and queues the rest inside of it: below its
 * capacity more calls bring more throughput, above it only more waiting. Calls differ: half to one and a half times the mean.
 */
import type { Clock, Random } from '@weir/core';

export class HiddenCapacity {
  /** Calls it really works on at once; may be changed on the way. */
  slots: number;
  readonly workMs: number;
  readonly #clock: Clock;
  readonly #random: Random;
  readonly #waiting: (() => void)[] = [];
  #working = 0;
  /** Every call that ended: when, and how long it took from outside. */
  readonly ended: { atMs: number; ms: number }[] = [];

  constructor(options: { slots: number; workMs: number; clock: Clock; random: Random }) {
    this.slots = options.slots;
    this.workMs = options.workMs;
    this.#clock = options.clock;
    this.#random = options.random;
  }

  async call(): Promise<void> {
    const startedAt = this.#clock.monotonic();
    if (this.#working >= this.slots) await new Promise<void>((resolve) => this.#waiting.push(resolve));
    this.#working++;
    await this.#clock.sleep(this.workMs * (0.5 + this.#random.next()));
    this.#working--;
    if (this.#working < this.slots) this.#waiting.shift()?.();
    this.ended.push({ atMs: this.#clock.monotonic(), ms: this.#clock.monotonic() - startedAt });
  }

  /** More slots than before: those that wait get them at once. */
  resize(slots: number): void {
    this.slots = slots;
    for (let free = slots - this.#working; free > 0; free--) this.#waiting.shift()?.();
  }

  get bestPerSecond(): number {
    return (this.slots / this.workMs) * 1000;
  }

  /** Of a call that does not wait. */
  get unloadedP95Ms(): number {
    return this.workMs * 1.45;
  }

  /** What came of the calls that ended in the last so many ms. */
  last(ms: number): { perSecond: number; p95Ms: number } {
    const since = this.#clock.monotonic() - ms;
    const took = this.ended.filter((call) => call.atMs >= since).map((call) => call.ms);
    took.sort((a, b) => a - b);
    return { perSecond: (took.length / ms) * 1000, p95Ms: took[Math.floor(took.length * 0.95)] ?? 0 };
  }
}
