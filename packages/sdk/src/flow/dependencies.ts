/**
 * The dependencies of one worker: for each a circuit breaker and a bulkhead (p-limit), or for each of its keys when the
 * dependency is keyed. `ctx.call` comes through here.
 *
 * A call waits for a place in the bulkhead, then for its permit from the breaker, then runs until it ends, its timeout
 * is over, or the caller's signal aborts. The timeout begins when the call does: waiting for a place is not the
 * dependency's fault. What waits when the breaker opens is refused as soon as the failed calls make way, without being
 * made.
 *
 * Only transient failures and timeouts count against a dependency. A 404 is an answer: it counts as a success, since the
 * dependency is there. A call that the outside aborted counts as nothing. Work that ignores its signal gives its place
 * up with the call: a client that hangs for good must not close the bulkhead for good.
 */
import { EventEmitter } from 'node:events';
import type { Cancel, Clock } from '@weir/core';
import pLimit, { type LimitFunction } from 'p-limit';
import type { BreakerSettings, Resolved } from '../config.ts';
import { DependencyDownError } from '../errors.ts';
import type { BreakerState } from '../metrics.ts';
import { Breaker, WINDOW_BUCKETS } from './breaker.ts';
import { type CallTools, DependencyCall } from './dependency-call.ts';

export interface DependencyMoved {
  readonly dependency: string;
  /** Undefined for a dependency that is not keyed. */
  readonly key: string | undefined;
  readonly from: BreakerState;
  readonly to: BreakerState;
  /** Milliseconds since the epoch. */
  readonly at: number;
  readonly reason: string;
}

export type DependencyEvents = {
  /** A breaker changed its state. Emitted after it has; listeners may call back in. */
  'dependency:moved': [event: DependencyMoved];
};

/** Where a failure came from, for those who settle it later. */
export interface Origin {
  readonly dependency: string;
  readonly key: string | undefined;
}

export interface DependencySnapshot {
  readonly dependency: string;
  /** The worst over its keys: open, then half-open, then closed. */
  readonly state: BreakerState;
  /** Keys whose breaker is open; empty for a plain dependency. */
  readonly openKeys: readonly string[];
  /** Breakers that are remembered: 1 for a plain dependency once it was called. */
  readonly keys: number;
  readonly inflight: number;
  readonly waiting: number;
}

export interface DependenciesOptions {
  readonly dependencies: Resolved['dependencies'];
  readonly breaker?: BreakerSettings;
  /** Calls in flight for dependencies (and keys) that do not say their own; the worker's concurrency. */
  readonly concurrency: number;
  /** Classifies what `work` threw: true counts against the dependency. */
  readonly isTransient: (error: unknown) => boolean;
  readonly clock: Clock;
}

export const DEFAULT_BREAKER: BreakerSettings = {
  minCalls: 10,
  windowMs: 10_000,
  failureShare: 0.5,
  coolDownMs: 30_000,
};

/** A keyed breaker that nobody used for this long is dropped; it comes back closed. */
const IDLE_MS = 600_000;
const SWEEP_MS = 60_000;
/** Keys come from data (hosts of URLs), so their number needs a bound of its own: the longest unused goes first. */
const MAX_KEYS = 10_000;

interface Unit {
  readonly dependency: string;
  readonly key: string | undefined;
  readonly breaker: Breaker;
  readonly bulkhead: LimitFunction;
  readonly timeoutMs: number;
  /** Calls that wait in the bulkhead or run. */
  calls: number;
  usedAt: number;
}

export class Dependencies extends EventEmitter<DependencyEvents> {
  readonly #options: DependenciesOptions;
  readonly #settings: BreakerSettings;
  readonly #units = new Map<string, Map<string | undefined, Unit>>();
  readonly #origins = new WeakMap<object, Origin>();
  readonly #tools: CallTools;
  readonly #timers: Cancel[];
  #concurrency: number;

  constructor(options: DependenciesOptions) {
    super();
    this.#options = options;
    this.#settings = options.breaker ?? DEFAULT_BREAKER;
    this.#concurrency = options.concurrency;
    this.#tools = {
      clock: options.clock,
      isTransient: options.isTransient,
      failed: (error, { dependency, key }) => {
        if (typeof error === 'object' && error !== null) this.#origins.set(error, { dependency, key });
      },
    };
    for (const name of Object.keys(options.dependencies)) this.#units.set(name, new Map());
    // A worker without dependencies needs no timers.
    this.#timers =
      this.#units.size === 0
        ? []
        : [
            options.clock.every(this.#settings.windowMs / WINDOW_BUCKETS, () => this.#rotate()),
            options.clock.every(SWEEP_MS, () => this.#sweep()),
          ];
  }

  /** The bulkheads that have no number of their own follow this one; the tuner moves it. */
  set concurrency(concurrency: number) {
    this.#concurrency = concurrency;
    for (const [name, units] of this.#units) {
      if (this.#options.dependencies[name]?.concurrency !== undefined) continue;
      for (const unit of units.values()) unit.bulkhead.concurrency = concurrency;
    }
  }

  get concurrency(): number {
    return this.#concurrency;
  }

  /**
   * Calls a dependency.
   * @param key    which breaker and bulkhead; undefined for a dependency that is not keyed
   * @param work   gets a signal that aborts at the call's timeout and with `outer`
   * @throws DependencyDownError when the breaker is open (or half-open and trying another call): `work` was not called
   * @throws RetryableError      when the timeout was over first
   * @throws outer.reason        when the outside aborted first
   * @throws whatever `work` threw
   */
  async call<T>(
    dependency: string,
    key: string | undefined,
    work: (signal: AbortSignal) => Promise<T>,
    outer: AbortSignal,
  ): Promise<T> {
    outer.throwIfAborted();
    const unit = this.#unit(dependency, key);
    if (unit.breaker.state === 'open') throw new DependencyDownError(dependency, key);
    unit.calls += 1;
    const call = new DependencyCall(unit, work, outer, this.#tools);
    void unit.bulkhead(() => call.start());
    try {
      return await call.result;
    } finally {
      unit.calls -= 1;
      unit.usedAt = this.#options.clock.monotonic();
    }
  }

  state(dependency: string, key?: string): BreakerState {
    return this.#units.get(dependency)?.get(key)?.breaker.state ?? 'closed';
  }

  isOpen(dependency: string, key?: string): boolean {
    return this.state(dependency, key) === 'open';
  }

  /** Dependencies that are not keyed and whose breaker is open: the whole worker waits for them. */
  openPlain(): string[] {
    return [...this.#units.keys()].filter((name) => !this.#options.dependencies[name]?.keyed && this.isOpen(name));
  }

  /** The dependency (and key) whose call ended in this error, if one did and it was transient. */
  originOf(error: unknown): Origin | undefined {
    return typeof error === 'object' && error !== null ? this.#origins.get(error) : undefined;
  }

  snapshot(): DependencySnapshot[] {
    return [...this.#units].map(([dependency, units]) => {
      const all = [...units.values()];
      const states = new Set(all.map((unit) => unit.breaker.state));
      return {
        dependency,
        state: states.has('open') ? 'open' : states.has('half-open') ? 'half-open' : 'closed',
        openKeys: all.flatMap((unit) => (unit.breaker.state === 'open' && unit.key !== undefined ? [unit.key] : [])),
        keys: all.length,
        inflight: all.reduce((sum, unit) => sum + unit.bulkhead.activeCount, 0),
        waiting: all.reduce((sum, unit) => sum + unit.bulkhead.pendingCount, 0),
      };
    });
  }

  /** Ends the timers. Calls under way go on; abort them by their signals. Safe twice. */
  stop(): void {
    for (const cancel of this.#timers.splice(0)) cancel();
    for (const units of this.#units.values()) for (const unit of units.values()) unit.breaker.stop();
  }

  #unit(dependency: string, key: string | undefined): Unit {
    const units = this.#units.get(dependency);
    const spec = this.#options.dependencies[dependency];
    if (!units || !spec) throw new TypeError(`"${dependency}" is not a dependency of this worker`);
    if (spec.keyed !== (key !== undefined))
      throw new TypeError(`dependency "${dependency}" ${spec.keyed ? 'is keyed: a key is needed' : 'has no keys'}`);
    const known = units.get(key);
    if (known) return known;
    if (units.size >= MAX_KEYS) this.#dropOldest(units);
    const unit: Unit = {
      dependency,
      key,
      bulkhead: pLimit(spec.concurrency ?? this.#concurrency),
      timeoutMs: spec.timeoutMs,
      calls: 0,
      usedAt: this.#options.clock.monotonic(),
      breaker: new Breaker({
        settings: this.#settings,
        clock: this.#options.clock,
        moved: (from, to, reason) => this.#emitMoved({ dependency, key, from, to, reason }),
      }),
    };
    units.set(key, unit);
    return unit;
  }

  #rotate(): void {
    for (const units of this.#units.values()) for (const unit of units.values()) unit.breaker.rotate();
  }

  #sweep(): void {
    const since = this.#options.clock.monotonic() - IDLE_MS;
    for (const units of this.#units.values())
      for (const unit of units.values())
        if (unit.key !== undefined && unit.calls === 0 && unit.usedAt <= since) this.#drop(units, unit);
  }

  /** Closed ones without a call under way only: an open breaker must not be forgotten to make room. */
  #dropOldest(units: Map<string | undefined, Unit>): void {
    let oldest: Unit | undefined;
    for (const unit of units.values())
      if (unit.calls === 0 && unit.breaker.state === 'closed' && (!oldest || unit.usedAt < oldest.usedAt))
        oldest = unit;
    if (oldest) this.#drop(units, oldest);
  }

  #drop(units: Map<string | undefined, Unit>, unit: Unit): void {
    unit.breaker.stop();
    units.delete(unit.key);
    const from = unit.breaker.state;
    // Whoever waits for this breaker must hear of its end, or would wait for ever.
    if (from !== 'closed')
      this.#emitMoved({
        dependency: unit.dependency,
        key: unit.key,
        from,
        to: 'closed',
        reason: 'nobody asked for it in ten minutes',
      });
  }

  #emitMoved(event: Omit<DependencyMoved, 'at'>): void {
    this.emit('dependency:moved', { ...event, at: this.#options.clock.now() });
  }
}
