/**
 * Finds the knee of a downstream whose capacity nobody knows: below it more calls in flight bring more throughput at the
 * same latency, above it only more latency. By Little's law the two are one thing, so one number decides a step from one
 * limit to another, how much of the step went into latency:
 *
 *     elasticity = ln(latency after / latency before) / ln(limit after / limit before)      0 below the knee, 1 above
 *
 *   rising --step up went into throughput--> rising             --went into latency--> back, holding
 *   holding --three to five windows--> trying up, or down, in turn   --the latency moved by itself, twice--> at once, its way
 *   trying down --the step took only latency away--> back, checking         --it took throughput--> back, holding
 *   checking --the way back brought only latency--> down again, trying down        --it brought throughput--> holding
 *   trying up --went into throughput--> rising                  --went into latency--> back, holding
 *
 * Only neighbouring limits are compared, a moment apart, so a workload that slowly changes (larger files, another mix)
 * moves the knee and the limit follows; there is no oldest, lowest latency to be measured against for ever. A step that
 * saw many failures goes down. A step is judged when its mean is certain enough: calls that differ much need a longer window.
 * While the limit is not what holds work back, nothing can be learnt and nothing moves.
 *
 * A downstream that is slow for a second now and then (a pause for garbage, a neighbour) spoils one of two windows, and a
 * step down from a slow one into a calm one looks like a step that took only latency away. Several of those in a row lead
 * far below the knee, where nothing but a try up says so. Therefore a step down is believed only when the way back up
 * costs what it had saved, and needs more proof than one up. With slow seconds in a fifth of the time, 17 of 45 phases missed
 * 80 % of the best throughput or twice the unloaded p95 before; none does now (gradient-tuner.test.ts).
 *
 * After Netflix's concurrency-limits (gradient of latency); the difference is the reference: the last limit, not the
 * minimum.
 */
import type { Clock } from '@weir/core';
import type { Tuner } from './tuner.ts';

const STEP = 1.25;
/** Half of a step lost to latency is the knee. */
const KNEE = 0.5;
/** What a step down must take away of the latency. More than half: too low costs throughput, too high only latency. */
const KNEE_DOWN = 0.75;
const WINDOW_LEAST_MS = 1_000;
/** Long calls end late: a window shorter than a few calls would see only the short ones. */
const WINDOW_CALLS = 4;
const WINDOW_MOST_MS = 60_000;
const WINDOW_LEAST_CALLS = 30;
/**
 * A step changes the mean by a fifth or by nothing, and half of that decides: a mean that is less certain than this (its
 * standard error, as a share) says little, so the window goes on, at most so many times as long.
 */
const CERTAIN = 0.04;
const WINDOW_TIMES = 5;
/** Between two tries. Few after a change, in case that its end was a mistake of chance; more with every try that led back. */
const HOLD_LEAST_WINDOWS = 3;
const HOLD_MOST_WINDOWS = 5;
/** A mean that moved by more than this while the limit did not: log of the ratio. */
const CHANGED = 0.25;
/** In so many windows, one after the other: a single one may have been a slow second. */
const CHANGED_WINDOWS = 2;
const FAILURES_TOO_MANY = 0.3;

interface Measured {
  readonly limit: number;
  readonly seconds: number;
}

type Phase = 'rising' | 'holding' | 'trying-up' | 'trying-down' | 'checking';

export class GradientTuner implements Tuner {
  readonly #max: number;
  readonly #clock: Clock;
  #limit: number;
  #phase: Phase = 'rising';
  #proven = false;
  /** The limit before the step under way, and the mean seconds seen there; while checking, those of the step itself. */
  #before: Measured | undefined;
  #heldFor = 0;
  #holdFor = HOLD_LEAST_WINDOWS;
  /** Mean seconds in the first window of this hold. */
  #usual: number | undefined;
  #changedFor = 0;
  #downNext = false;
  // The window since the last change: only calls that began in it count.
  #since: number;
  #calls = 0;
  #seconds = 0;
  #squares = 0;
  #failed = 0;
  #saturated = true;

  constructor(options: { start: number; max: number; clock: Clock }) {
    this.#limit = options.start;
    this.#max = options.max;
    this.#clock = options.clock;
    this.#since = options.clock.monotonic();
    this.#proven = options.start >= options.max;
  }

  get limit(): number {
    return this.#limit;
  }

  get proven(): boolean {
    return this.#proven;
  }

  observe(calls: number, seconds: number, ok: boolean): void {
    // Coarse on purpose: within a window nobody cares for the microsecond at which a call began.
    if (seconds * 1000 > this.#clock.monotonic() - this.#since) return;
    this.#calls += calls;
    this.#seconds += calls * seconds;
    this.#squares += calls * seconds * seconds;
    if (!ok) this.#failed += calls;
  }

  tick(saturated: boolean): void {
    if (!saturated) this.#saturated = false;
    const lasted = this.#clock.monotonic() - this.#since;
    const mean = this.#calls === 0 ? 0 : this.#seconds / this.#calls;
    const least = Math.max(WINDOW_LEAST_MS, Math.min(WINDOW_MOST_MS, WINDOW_CALLS * mean * 1000));
    if (lasted < least) return;
    if (this.#calls < WINDOW_LEAST_CALLS && lasted < WINDOW_MOST_MS) return;
    if (this.#matters && !this.#certain(mean) && lasted < Math.min(WINDOW_MOST_MS, WINDOW_TIMES * least)) return;
    if (!this.#saturated) this.#unsaturated();
    else if (this.#calls > 0) this.#judge(mean, this.#failed / this.#calls);
    this.#open();
  }

  rest(): void {
    // A step that was under way was not measured: it is taken back before it counts as an improvement.
    if (this.#before !== undefined && this.#phase !== 'checking')
      this.#limit = Math.min(this.#limit, this.#before.limit);
    this.#hold();
    this.#open();
  }

  /** More would not have been used: whatever was tried, go back to where it was known to be well. */
  #unsaturated(): void {
    if (this.#phase === 'trying-down' && this.#before !== undefined) this.#limit = this.#before.limit;
    this.#proven = true;
    this.#hold();
  }

  /** This window is compared with another one: it ends a step, or the next step starts from it. */
  get #matters(): boolean {
    return this.#saturated && (this.#phase !== 'holding' || this.#heldFor === this.#holdFor - 1);
  }

  #certain(mean: number): boolean {
    const variance = Math.max(0, this.#squares / this.#calls - mean * mean);
    return Math.sqrt(variance / this.#calls) <= CERTAIN * mean;
  }

  #judge(mean: number, failures: number): void {
    if (failures > FAILURES_TOO_MANY) {
      this.#limit = Math.max(1, Math.floor(this.#limit / STEP));
      this.#hold();
      return;
    }
    const before = this.#before;
    switch (this.#phase) {
      case 'rising':
      case 'trying-up':
        if (before !== undefined && this.#elasticity(before, mean) > KNEE) this.#back(before);
        else this.#up(mean, before !== undefined);
        return;
      case 'trying-down':
        if (before !== undefined && this.#elasticity(before, mean) >= KNEE_DOWN) this.#check(before, mean);
        else this.#back(before ?? { limit: this.#limit });
        return;
      case 'checking':
        if (before !== undefined && this.#elasticity(before, mean) > KNEE) {
          this.#limit = before.limit;
          this.#down(before.seconds, true);
        } else this.#back({ limit: this.#limit });
        return;
      case 'holding':
        this.#heldFor++;
        this.#usual ??= mean;
        // The same limit and another latency: the downstream has changed, and waiting for the next try helps nobody.
        if (Math.abs(Math.log(mean / this.#usual)) > CHANGED && this.#certain(mean)) {
          if (++this.#changedFor < CHANGED_WINDOWS) return;
          this.#downNext = mean > this.#usual;
        } else {
          this.#changedFor = 0;
          if (this.#heldFor < this.#holdFor) return;
        }
        if (this.#downNext) this.#down(mean, false);
        else this.#up(mean, false);
        if (this.#phase !== 'holding') this.#phase = this.#downNext ? 'trying-down' : 'trying-up';
        this.#downNext = !this.#downNext;
        return;
      default:
        throw new TypeError(`unknown phase ${this.#phase satisfies never}`);
    }
  }

  #elasticity(before: Measured, mean: number): number {
    return Math.log(Math.max(mean, 1e-9) / Math.max(before.seconds, 1e-9)) / Math.log(this.#limit / before.limit);
  }

  /** @param again  the step before this one was well */
  #up(mean: number, again: boolean): void {
    if (again) this.#holdFor = HOLD_LEAST_WINDOWS;
    const next = Math.min(this.#max, Math.max(this.#limit + 1, Math.round(this.#limit * STEP)));
    if (next === this.#limit) {
      this.#proven = true;
      this.#hold();
      return;
    }
    this.#before = { limit: this.#limit, seconds: mean };
    this.#limit = next;
    this.#phase = 'rising';
  }

  #down(mean: number, again: boolean): void {
    if (again) this.#holdFor = HOLD_LEAST_WINDOWS;
    const next = Math.max(1, Math.min(this.#limit - 1, Math.round(this.#limit / STEP)));
    if (next === this.#limit) {
      this.#hold();
      return;
    }
    this.#before = { limit: this.#limit, seconds: mean };
    this.#limit = next;
    this.#phase = 'trying-down';
  }

  /** Up again to where the step down began, to see what that costs. */
  #check(from: Measured, mean: number): void {
    this.#before = { limit: this.#limit, seconds: mean };
    this.#limit = from.limit;
    this.#phase = 'checking';
  }

  #back(before: { limit: number }): void {
    this.#limit = before.limit;
    this.#proven = true;
    this.#hold();
    this.#holdFor = Math.min(HOLD_MOST_WINDOWS, this.#holdFor * 2);
  }

  #hold(): void {
    this.#phase = 'holding';
    this.#heldFor = 0;
    this.#usual = undefined;
    this.#changedFor = 0;
    this.#before = undefined;
  }

  #open(): void {
    this.#since = this.#clock.monotonic();
    this.#calls = 0;
    this.#seconds = 0;
    this.#squares = 0;
    this.#failed = 0;
    this.#saturated = true;
  }
}
