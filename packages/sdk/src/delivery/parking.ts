/**
 * Where records wait for a dependency: parked by (dependency, key), uncommitted, outside the limiter, in memory within
 * their partition's bound. When the breaker lets one call through (half-open) one record is released as the probe; when
 * it closes, all are. A drain abandons what is parked to redelivery.
 */
import type { Cancel, Clock } from '@weir/core';
import type { Delivery } from './delivery.ts';

/** A probe that ends without touching the breaker (the record failed earlier, say) is followed by another after this. */
const NEXT_PROBE_MS = 1_000;

export class Parking {
  readonly #clock: Clock;
  readonly #release: (delivery: Delivery) => void;
  readonly #isHalfOpen: (dependency: string, key: string | undefined) => boolean;
  readonly #waiting = new Map<string, Delivery[]>();
  readonly #probes = new Map<string, Cancel>();
  #size = 0;

  constructor(options: {
    clock: Clock;
    release: (delivery: Delivery) => void;
    isHalfOpen: (dependency: string, key: string | undefined) => boolean;
  }) {
    this.#clock = options.clock;
    this.#release = options.release;
    this.#isHalfOpen = options.isHalfOpen;
  }

  get size(): number {
    return this.#size;
  }

  park(delivery: Delivery, dependency: string, key: string | undefined): void {
    const id = idOf(dependency, key);
    const waiting = this.#waiting.get(id);
    if (waiting) waiting.push(delivery);
    else this.#waiting.set(id, [delivery]);
    delivery.owned.parked++;
    this.#size++;
    // Refused because another call is the probe just now: if that one tells nothing, somebody has to try again.
    if (this.#isHalfOpen(dependency, key)) this.#probeLater(dependency, key);
  }

  /** The breaker closed: everything that waits for it runs again. */
  closed(dependency: string, key: string | undefined): void {
    const id = idOf(dependency, key);
    this.#probes.get(id)?.();
    this.#probes.delete(id);
    const waiting = this.#waiting.get(id);
    this.#waiting.delete(id);
    for (const delivery of waiting ?? []) this.#free(delivery);
  }

  /** The breaker would let one call through: one record tries. */
  halfOpen(dependency: string, key: string | undefined): void {
    const id = idOf(dependency, key);
    const waiting = this.#waiting.get(id);
    if (waiting === undefined) return;
    let probe = waiting.shift();
    while (probe !== undefined && !probe.owned.alive) {
      this.#size--;
      probe = waiting.shift();
    }
    if (waiting.length === 0) this.#waiting.delete(id);
    if (probe === undefined) return;
    this.#free(probe);
    this.#probeLater(dependency, key);
  }

  /** Forgets what belongs to partitions that are gone. */
  sweep(): void {
    for (const [id, waiting] of this.#waiting) {
      const alive = waiting.filter((delivery) => delivery.owned.alive);
      this.#size -= waiting.length - alive.length;
      if (alive.length === 0) this.#waiting.delete(id);
      else this.#waiting.set(id, alive);
    }
  }

  stop(): void {
    for (const cancel of this.#probes.values()) cancel();
    this.#probes.clear();
    this.#waiting.clear();
    this.#size = 0;
  }

  #probeLater(dependency: string, key: string | undefined): void {
    const id = idOf(dependency, key);
    if (this.#probes.has(id)) return;
    this.#probes.set(
      id,
      this.#clock.after(NEXT_PROBE_MS, () => {
        this.#probes.delete(id);
        if (this.#isHalfOpen(dependency, key)) this.halfOpen(dependency, key);
      }),
    );
  }

  #free(delivery: Delivery): void {
    this.#size--;
    if (!delivery.owned.alive) return;
    delivery.owned.parked--;
    this.#release(delivery);
  }
}

function idOf(dependency: string, key: string | undefined): string {
  return key === undefined ? dependency : `${dependency}\u0000${key}`;
}
