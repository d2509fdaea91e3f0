/**
 * Runs a worker's handler record by record: takes turns among partitions, admits within the limit, decodes, calls, and
 * hands the outcome to the settlement.
 *
 * The hot path makes one `Invocation` per record and nothing else: the two callbacks of a handler's promise belong to a
 * slot, slots are reused, and there are as many as calls in flight. Time is read once per burst of starts, and at the
 * end of a sample of the calls.
 */
import type { Clock, Logger } from '@weir/core';
import type { Resolved } from '../config.ts';
import { HandlerTimeoutError } from '../errors.ts';
import type { Delivery } from './delivery.ts';
import type { FairQueue } from './fair.ts';
import { type CallHost, Invocation } from './invocation.ts';
import type { Reader } from './reader.ts';
import type { Settlement } from './settlement.ts';
import type { Traced, Tracing } from './tracing.ts';

/** Admission to the handler: the limiter. */
export interface Admission {
  tryAcquire(): boolean;
  release(): void;
}

export interface RunnerMetrics {
  handled(seconds: number): void;
}

export interface RunnerOptions {
  readonly resolved: Resolved;
  readonly host: CallHost;
  readonly reader: Reader;
  readonly settlement: Settlement;
  readonly fair: FairQueue;
  /** Undefined when the process has no OpenTelemetry SDK. */
  readonly tracing: Tracing | undefined;
  readonly limiter: Admission;
  readonly clock: Clock;
  readonly log: Logger;
  readonly metrics: RunnerMetrics;
  /** How many more calls may start now: 0 while a join is under way or a breaker is open, 1 to probe. */
  readonly mayStart: (running: number) => boolean;
  /** `records` calls of `seconds` each ended: what the tuner and the load meter learn from. */
  readonly onCall: (records: number, seconds: number, ok: boolean) => void;
  /** A call ended and freed its slot: drains and joins may be waiting for that. */
  readonly onIdle: () => void;
}

/** A place for one call in flight; its callbacks are made once. */
class Slot {
  readonly resolved: () => void;
  readonly rejected: (error: unknown) => void;
  invocation: Invocation | undefined;
  delivery: Delivery | undefined;
  traced: Traced | undefined;
  timedOut = false;
  constructor(over: (slot: Slot, error: unknown, ok: boolean) => void) {
    this.resolved = () => over(this, undefined, true);
    this.rejected = (error) => over(this, error, false);
  }
}

/** After this many calls that ended at once (handlers that return no promise), others get a turn of the event loop. */
const SYNC_BURST = 512;
/** When calls are shorter than this, one in `SAMPLE_EVERY` is timed. */
const SAMPLED_BELOW_MS = 1;
const SAMPLE_EVERY = 16;

export class Runner {
  readonly #options: RunnerOptions;
  readonly #handle: NonNullable<Resolved['worker']['handle']>;
  readonly #free: Slot[] = [];
  /** Every slot ever made; those with an invocation are at work. */
  readonly #slots: Slot[] = [];
  #running = 0;
  #pumping = false;
  #burst = 0;
  #resumeScheduled = false;
  #meanMs = SAMPLED_BELOW_MS;
  #untilSample = 0;
  #stuck = 0;

  constructor(options: RunnerOptions) {
    this.#options = options;
    const { worker } = options.resolved;
    if (worker.handle === undefined) throw new TypeError(`worker "${worker.name}" has no handle`);
    this.#handle = worker.handle.bind(worker);
  }

  /** Handler calls in flight, those that ignore their abort included. */
  get running(): number {
    return this.#running;
  }

  /** Calls that a join or a drain waits for. */
  get atWork(): number {
    return this.#running - this.#stuck;
  }

  /** Calls that go on although they were told to end. */
  get stuck(): number {
    return this.#stuck;
  }

  /** Starts what may be started. Call it whenever something may have changed. */
  pump(): void {
    if (this.#pumping || this.#resumeScheduled) return;
    this.#pumping = true;
    const { limiter, fair, mayStart } = this.#options;
    const now = this.#options.clock.monotonic();
    this.#burst = 0;
    try {
      while (mayStart(this.#running) && limiter.tryAcquire()) {
        const owned = fair.next();
        const delivery = owned?.next();
        if (delivery === undefined) {
          limiter.release();
          break;
        }
        this.#start(delivery, now);
        if (this.#burst >= SYNC_BURST) {
          this.#resumeScheduled = true;
          setImmediate(() => {
            this.#resumeScheduled = false;
            this.pump();
          });
          break;
        }
      }
    } finally {
      this.#pumping = false;
    }
  }

  /** Aborts calls that run longer than the handler's timeout, and those of lost partitions. Call it now and then. */
  checkTimeouts(): void {
    const now = this.#options.clock.monotonic();
    const timeoutMs = this.#options.resolved.timeoutMs;
    for (const slot of this.#slots) {
      const { invocation, delivery } = slot;
      if (invocation === undefined || delivery === undefined || slot.timedOut) continue;
      if (now - invocation.startedAt < timeoutMs) continue;
      slot.timedOut = true;
      this.#stuck++;
      const error = new HandlerTimeoutError(timeoutMs);
      invocation.abort(error);
      invocation.closed = true;
      // An ordered lane waits for the handler itself: a second call beside the first would break the order.
      if (this.#options.resolved.order === 'none') this.#settleTimeout(delivery, error);
    }
  }

  /** Aborts the calls of a partition that was lost, or of all. */
  abort(reason: Error, which: (delivery: Delivery) => boolean = () => true): void {
    for (const slot of this.#slots)
      if (slot.invocation !== undefined && slot.delivery !== undefined && which(slot.delivery))
        slot.invocation.abort(reason);
  }

  #start(delivery: Delivery, now: number): void {
    if (!this.#options.reader.read(delivery)) {
      this.#options.limiter.release();
      this.#burst++;
      return;
    }
    const slot = this.#free.pop() ?? this.#newSlot();
    const invocation = new Invocation(this.#options.host, delivery, now);
    slot.invocation = invocation;
    slot.delivery = delivery;
    slot.timedOut = false;
    delivery.state = 'running';
    delivery.owned.running++;
    this.#running++;
    let result: unknown;
    try {
      const { tracing } = this.#options;
      if (tracing === undefined) result = this.#handle(delivery, invocation as never);
      else {
        const handled = tracing.handle(delivery, () => this.#handle(delivery, invocation as never));
        slot.traced = handled.traced;
        result = handled.result;
      }
    } catch (error) {
      this.#burst++;
      this.#over(slot, error, false);
      return;
    }
    if (result !== undefined && result !== null && typeof (result as Promise<void>).then === 'function')
      (result as Promise<void>).then(slot.resolved, slot.rejected);
    else {
      this.#burst++;
      this.#over(slot, undefined, true);
    }
  }

  #over(slot: Slot, error: unknown, ok: boolean): void {
    const { invocation, delivery } = slot;
    if (invocation === undefined || delivery === undefined) return;
    const timedOut = slot.timedOut;
    slot.traced?.end(timedOut ? new HandlerTimeoutError(this.#options.resolved.timeoutMs) : error);
    slot.traced = undefined;
    slot.invocation = undefined;
    slot.delivery = undefined;
    this.#free.push(slot);
    delivery.owned.running--;
    this.#running--;
    this.#options.limiter.release();
    this.#time(invocation, ok);
    if (timedOut) {
      this.#stuck--;
      if (this.#options.resolved.order !== 'none')
        this.#settleTimeout(delivery, new HandlerTimeoutError(this.#options.resolved.timeoutMs));
    } else if (ok) this.#succeeded(delivery, invocation);
    else {
      invocation.closed = true;
      this.#options.settlement.failed(delivery, error, this.#options.host.originOf(error));
    }
    this.#options.onIdle();
    this.pump();
  }

  #succeeded(delivery: Delivery, invocation: Invocation): void {
    if (!invocation.sendsPending) {
      this.#finish(delivery, invocation);
      return;
    }
    delivery.state = 'settling';
    delivery.owned.settling++;
    invocation.whenSent(() => {
      delivery.owned.settling--;
      this.#finish(delivery, invocation);
      this.#options.onIdle();
      this.pump();
    });
  }

  #finish(delivery: Delivery, invocation: Invocation): void {
    invocation.closed = true;
    const { settlement } = this.#options;
    if (invocation.sendError !== undefined) settlement.failed(delivery, invocation.sendError);
    else if (invocation.deferUntil > 0) settlement.defer(delivery, invocation.deferUntil);
    else settlement.done(delivery);
  }

  #settleTimeout(delivery: Delivery, error: HandlerTimeoutError): void {
    this.#options.settlement.failed(delivery, error);
  }

  #time(invocation: Invocation, ok: boolean): void {
    let weight = 1;
    if (this.#meanMs < SAMPLED_BELOW_MS && ok) {
      if (--this.#untilSample > 0) return;
      weight = SAMPLE_EVERY;
    }
    this.#untilSample = SAMPLE_EVERY;
    const ms = Math.max(0, this.#options.clock.monotonic() - invocation.startedAt);
    this.#meanMs += (ms - this.#meanMs) * 0.1;
    // A sampled call stands for those that were not timed.
    this.#options.onCall(weight, ms / 1000, ok);
    this.#options.metrics.handled(ms / 1000);
  }

  #newSlot(): Slot {
    const slot = new Slot((over, error, ok) => this.#over(over, error, ok));
    this.#slots.push(slot);
    return slot;
  }
}
