/**
 * Circuit breaker for one dependency, or for one key of it (a host, a tenant).
 *
 *   closed --half of at least 10 calls in 10 s failed, or the last 10 in a row--> open --cool-down over--> half-open
 *   half-open --its one call ok--> closed                half-open --its one call failed--> open
 *
 * The row is what a service that dies under load shows at once: by share alone it would stay closed until its failures are as
 * many as the successes of the seconds before, and each of them would cost its record an attempt. It is counted in the order
 * in which calls end, one success ends it, and each key has its own. It is as long at 500 calls in flight as at 10: a
 * connection that breaks under ten calls at once opens the breaker too. That costs a cool-down and no attempt, where waiting
 * for proof would cost an attempt each; a dependency that drops many calls together by nature wants a larger `minCalls`. In a
 * half-open era there is no row: its one call decides, and calls from before the opening count for nothing.
 *
 * opossum keeps the window and decides; this class says when it is asked, for three reasons:
 * - opossum counts a call when it begins and its failure when it ends. A dependency that hangs until a timeout longer
 *   than the window has, at that moment, no calls left in the window, and its breaker never opens. So a call is put to
 *   opossum when it has ended, with what came of it.
 * - a call that began before the last change says nothing about now: a failure from before an outage must not fail the
 *   probe, nor may a late success end an outage. Every call belongs to the era it began in.
 * - opossum's own timers cannot be moved by a test. The window turns and the cool-down ends by the `Clock`: at its end a
 *   new opossum, born half-open, takes over with an empty window.
 */
import { EventEmitter } from 'node:events';
import type { Cancel, Clock } from '@weir/core';
import CircuitBreaker from 'opossum';
import type { BreakerSettings } from '../config.ts';
import type { BreakerState } from '../metrics.ts';

/** opossum's rolling window, in buckets: the owner calls `rotate` every `windowMs / WINDOW_BUCKETS`. */
export const WINDOW_BUCKETS = 10;

/** Leave to make one call. Hand it back with what came of it, exactly once. */
export interface Permit {
  readonly era: number;
}

/** `void`: the call says nothing about the dependency (aborted from outside, or refused for the caller's own fault). */
export type Outcome = 'ok' | 'failed' | 'void';

/** opossum starts a timer of its own on opening; this is the longest Node takes, and it ends with the instance. */
const NEVER_MS = 2 ** 31 - 1;

export class Breaker {
  readonly #settings: BreakerSettings;
  readonly #clock: Clock;
  /** Not shared between breakers: opossum searches all listeners of an emitter when it adds one. */
  readonly #rotate = new EventEmitter();
  readonly #moved: (from: BreakerState, to: BreakerState, reason: string) => void;
  #circuit: CircuitBreaker<[failed: boolean], void>;
  #state: BreakerState = 'closed';
  #era = 0;
  /** The one call of this half-open era is under way. */
  #probing = false;
  #cancelCoolDown: Cancel | undefined;
  /** Failures since the last success, and when the first of them was. */
  #inRow = 0;
  #rowSince = 0;

  /** @param options.moved  called after every change of state; must not throw */
  constructor(options: {
    settings: BreakerSettings;
    clock: Clock;
    moved: (from: BreakerState, to: BreakerState, reason: string) => void;
  }) {
    this.#settings = options.settings;
    this.#clock = options.clock;
    this.#moved = options.moved;
    this.#circuit = this.#newCircuit(false);
  }

  get state(): BreakerState {
    return this.#state;
  }

  /** Undefined: no call now. */
  enter(): Permit | undefined {
    if (this.#state === 'open' || (this.#state === 'half-open' && this.#probing)) return undefined;
    if (this.#state === 'half-open') this.#probing = true;
    return { era: this.#era };
  }

  /** A call ended. */
  leave(permit: Permit, outcome: Outcome): void {
    if (permit.era !== this.#era) return;
    if (outcome === 'void') {
      // A probe that says nothing makes way for the next call to be the probe.
      this.#probing = false;
      return;
    }
    if (this.#state === 'closed' && this.#rowFull(outcome === 'failed')) {
      this.#circuit.open();
      return;
    }
    // opossum answers by its events: a failure within this call, a success in the next microtask.
    this.#circuit.fire(outcome === 'failed').catch(() => undefined);
  }

  /** Counts the row. @returns whether it is as long as it takes, within the window */
  #rowFull(failed: boolean): boolean {
    if (!failed) {
      this.#inRow = 0;
      return false;
    }
    const now = this.#clock.monotonic();
    if (this.#inRow === 0 || now - this.#rowSince > this.#settings.windowMs) {
      this.#inRow = 0;
      this.#rowSince = now;
    }
    this.#inRow++;
    return this.#inRow >= this.#settings.minCalls;
  }

  /** A tenth of the window is over. */
  rotate(): void {
    this.#rotate.emit('rotate');
  }

  /** Ends timers and listeners; it stays in the state it is in. Safe twice. */
  stop(): void {
    this.#cancelCoolDown?.();
    this.#cancelCoolDown = undefined;
    this.#circuit.shutdown();
  }

  #newCircuit(halfOpen: boolean): CircuitBreaker<[failed: boolean], void> {
    const { minCalls, failureShare } = this.#settings;
    const circuit = new CircuitBreaker<[failed: boolean], void>(
      // Not async on purpose: opossum then hears of a failure before `leave` returns.
      (failed) => {
        if (failed) throw new Error('failed');
        return Promise.resolve();
      },
      {
        timeout: false,
        resetTimeout: NEVER_MS,
        volumeThreshold: minCalls,
        // opossum opens above the threshold; "at half of them" includes half.
        errorThresholdPercentage: failureShare * 100 - 1e-6,
        rollingCountTimeout: this.#settings.windowMs,
        rollingCountBuckets: WINDOW_BUCKETS,
        rollingPercentilesEnabled: false,
        enableSnapshots: false,
        rotateBucketController: this.#rotate,
        ...(halfOpen ? { state: HALF_OPEN } : {}),
      },
    );
    circuit.on('open', () =>
      this.#move('open', this.#state === 'half-open' ? 'the probe failed' : 'too many failures'),
    );
    circuit.on('close', () => this.#move('closed', 'the probe succeeded'));
    return circuit;
  }

  #move(to: BreakerState, reason: string): void {
    const from = this.#state;
    if (!NEXT[from].includes(to)) throw new TypeError(`a breaker does not go from ${from} to ${to}`);
    this.#state = to;
    this.#era += 1;
    this.#probing = false;
    this.#inRow = 0;
    if (to === 'open') this.#cancelCoolDown = this.#clock.after(this.#settings.coolDownMs, () => this.#halfOpen());
    this.#moved(from, to, reason);
  }

  #halfOpen(): void {
    this.#cancelCoolDown = undefined;
    this.#circuit.shutdown();
    this.#circuit = this.#newCircuit(true);
    this.#move('half-open', 'the cool-down is over');
  }
}

const NEXT: Readonly<Record<BreakerState, readonly BreakerState[]>> = {
  closed: ['open'],
  open: ['half-open'],
  'half-open': ['closed', 'open'],
};

const HALF_OPEN = {
  enabled: true,
  closed: false,
  halfOpen: true,
  warmUp: false,
  shutdown: false,
} as CircuitBreaker.State;
