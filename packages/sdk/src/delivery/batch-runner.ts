/**
 * Runs a worker's handler batch by batch. A batch may mix partitions; a partition has one batch in flight, so its offsets
 * arrive in order at a sink that stores them. Records that cannot be read never enter a batch.
 *
 *   gathering --full, or the oldest waited maxWait--> in flight --done--> each record settled, partitions free again
 *   in flight --dependency down--> held whole until it is back     (a later batch must not pass a parked row)
 *   in flight --throw, ordered--> again whole, in place, with back-off
 *   in flight --throw, unordered--> each record that was not settled goes by the error's class
 */
import type { Cancel, Clock, Logger } from '@weir/core';
import type { Resolved } from '../config.ts';
import { DependencyDownError, HandlerTimeoutError } from '../errors.ts';
import { classify } from './classify.ts';
import type { Delivery } from './delivery.ts';
import { type CallHost, Invocation } from './invocation.ts';
import type { Owned } from './owned.ts';
import type { Reader } from './reader.ts';
import { route } from './router.ts';
import type { Admission } from './runner.ts';
import type { Breakers, Settlement } from './settlement.ts';
import type { Traced, Tracing } from './tracing.ts';

export interface BatchRunnerOptions {
  readonly resolved: Resolved;
  readonly host: CallHost;
  readonly reader: Reader;
  readonly settlement: Settlement;
  readonly breakers: Breakers;
  /** Undefined when the process has no OpenTelemetry SDK. */
  readonly tracing: Tracing | undefined;
  /** The partitions of the current assignment. */
  readonly owned: () => Iterable<Owned>;
  readonly limiter: Admission;
  readonly clock: Clock;
  readonly log: Logger;
  readonly metrics: { batchHandled(seconds: number): void };
  readonly mayStart: (running: number) => boolean;
  /** A join is under way: nothing is called, also not again. */
  readonly joining: () => boolean;
  /** True once a drain is over: what is in flight is left to the next owner. */
  readonly abandoning: () => boolean;
  /** A call ended: what the tuner and the load meter learn from. */
  readonly onCall: (records: number, seconds: number, ok: boolean) => void;
  readonly onIdle: () => void;
}

/** A failed call inside a dependency waits this long for its breaker's verdict, as it does record by record. */
const SETTLE_AFTER_MS = 2_000;
const POLL_BREAKER_MS = 100;
const POLL_JOIN_MS = 20;

interface Flight {
  deliveries: Delivery[];
  readonly partitions: Set<Owned>;
  invocation: Invocation | undefined;
  timedOut: boolean;
  /** Aborts the waits between two calls: all its partitions are lost, or the drain is over. */
  readonly ended: AbortController;
}

export class BatchRunner {
  readonly #options: BatchRunnerOptions;
  readonly #batch: NonNullable<Resolved['batch']>;
  readonly #handle: NonNullable<Resolved['worker']['handleBatch']>;
  readonly #flights = new Set<Flight>();
  #cancelTimer: Cancel | undefined;
  #timerAt = Number.POSITIVE_INFINITY;
  #flushing = false;
  #stuck = 0;
  /** Where the next batch starts taking, so that every partition gets its turn to be first. */
  #turn = 0;

  constructor(options: BatchRunnerOptions) {
    this.#options = options;
    const { worker, batch } = options.resolved;
    if (worker.handleBatch === undefined || batch === undefined)
      throw new TypeError(`worker "${worker.name}" has no handleBatch`);
    this.#handle = worker.handleBatch.bind(worker);
    this.#batch = batch;
  }

  /** Batches in flight. */
  get running(): number {
    return this.#flights.size;
  }

  /** Calls that a join or a drain waits for: a batch that waits for its dependency or its back-off is at rest. */
  get atWork(): number {
    let calls = 0;
    for (const flight of this.#flights) if (flight.invocation !== undefined && !flight.timedOut) calls++;
    return calls;
  }

  get stuck(): number {
    return this.#stuck;
  }

  /** From now on whatever is there makes a batch, however small: the drain's last ones. */
  flush(): void {
    this.#flushing = true;
    this.pump();
  }

  pump(): void {
    while (this.#options.mayStart(this.#flights.size) && this.#due()) {
      if (!this.#options.limiter.tryAcquire()) return;
      const deliveries = this.#take();
      if (deliveries.length === 0) {
        this.#options.limiter.release();
        continue;
      }
      void this.#fly(deliveries);
    }
  }

  checkTimeouts(): void {
    const now = this.#options.clock.monotonic();
    for (const flight of this.#flights) {
      const { invocation } = flight;
      if (invocation === undefined || flight.timedOut) continue;
      if (now - invocation.startedAt < this.#options.resolved.timeoutMs) continue;
      flight.timedOut = true;
      this.#stuck++;
      invocation.abort(new HandlerTimeoutError(this.#options.resolved.timeoutMs));
    }
  }

  /** Ends batches that hold records of these partitions; their other records are handled again. */
  abort(reason: Error, which: (delivery: Delivery) => boolean = () => true): void {
    for (const flight of this.#flights) {
      if (!flight.deliveries.some(which)) continue;
      flight.invocation?.abort(reason);
      if (flight.deliveries.every((delivery) => !delivery.owned.alive || which(delivery))) flight.ended.abort(reason);
    }
  }

  stop(): void {
    this.#cancelTimer?.();
    this.#cancelTimer = undefined;
  }

  /** Whether a batch is full or its oldest record has waited long enough; arms the timer when not. */
  #due(): boolean {
    let records = 0;
    let bytes = 0;
    let oldest = Number.POSITIVE_INFINITY;
    for (const owned of this.#options.owned()) {
      if (!this.#free(owned)) continue;
      // What has been written down before its start makes a batch as it is.
      if (owned.caution !== undefined) return true;
      records += owned.queued;
      bytes += owned.heldBytes;
      const first = owned.peek();
      if (first !== undefined && first.queuedAt < oldest) oldest = first.queuedAt;
    }
    if (records === 0) return false;
    if (this.#flushing || records >= this.#batch.maxRecords || bytes >= this.#batch.maxBytes) return true;
    const now = this.#options.clock.monotonic();
    const dueAt = oldest + this.#batch.maxWaitMs;
    if (dueAt <= now) return true;
    if (this.#cancelTimer === undefined || dueAt < this.#timerAt) {
      this.#cancelTimer?.();
      this.#timerAt = dueAt;
      this.#cancelTimer = this.#options.clock.after(dueAt - now, () => {
        this.#cancelTimer = undefined;
        this.pump();
      });
    }
    return false;
  }

  #free(owned: Owned): boolean {
    return owned.alive && !owned.batchInFlight && owned.queued > 0;
  }

  /** Takes records for one batch, turn by turn from the free partitions; each partition's stay in offset order. */
  #take(): Delivery[] {
    let free = [...this.#options.owned()].filter((owned) => this.#free(owned));
    // What has been written down before its start is a batch by itself, of just this size.
    const careful = free.filter((owned) => owned.caution !== undefined);
    if (careful.length > 0) free = careful;
    const first = free.length === 0 ? 0 : this.#turn++ % free.length;
    const taken: Delivery[] = [];
    let bytes = 0;
    for (let at = 0; at < free.length; at++) {
      const owned = free[(first + at) % free.length]!;
      const share =
        careful.length > 0 ? owned.queued : Math.ceil((this.#batch.maxRecords - taken.length) / (free.length - at));
      for (let count = 0; count < share; ) {
        const next = owned.peek();
        if (next === undefined) break;
        if (taken.length > 0 && bytes + next.bytes > this.#batch.maxBytes) return taken;
        owned.next();
        if (!this.#options.reader.read(next)) continue;
        taken.push(next);
        bytes += next.bytes;
        count++;
      }
    }
    return taken;
  }

  async #fly(deliveries: Delivery[]): Promise<void> {
    const flight: Flight = {
      deliveries,
      partitions: new Set(deliveries.map((delivery) => delivery.owned)),
      invocation: undefined,
      timedOut: false,
      ended: new AbortController(),
    };
    this.#flights.add(flight);
    for (const owned of flight.partitions) {
      owned.batchInFlight = true;
      owned.running++;
    }
    for (const delivery of deliveries) delivery.state = 'running';
    try {
      while (flight.deliveries.length > 0) await this.#call(flight);
    } catch (error) {
      if (!flight.ended.signal.aborted) this.#options.log.error({ error }, 'a batch ended in an unexpected way');
    } finally {
      for (const owned of flight.partitions) {
        owned.batchInFlight = false;
        owned.running--;
      }
      this.#flights.delete(flight);
      this.#options.limiter.release();
      this.#options.onIdle();
      this.pump();
    }
  }

  /** One call of the handler; leaves in the flight what has to be handled again. */
  async #call(flight: Flight): Promise<void> {
    const { host, clock, abandoning, joining } = this.#options;
    while (joining()) await this.#sleep(flight, POLL_JOIN_MS);
    flight.deliveries = flight.deliveries.filter((delivery) => delivery.owned.alive);
    if (flight.deliveries.length === 0 || abandoning()) {
      flight.deliveries = [];
      return;
    }
    const invocation = new Invocation(host, undefined, clock.monotonic());
    flight.invocation = invocation;
    let outcome: Outcome = { ok: true };
    let traced: Traced | undefined;
    try {
      const call = () => this.#handle(flight.deliveries, invocation as never);
      const { tracing } = this.#options;
      if (tracing === undefined) await call();
      else {
        const handled = tracing.handleBatch(flight.deliveries, call);
        traced = handled.traced;
        await handled.result;
      }
      await new Promise<void>((resolve) => invocation.whenSent(resolve));
      if (invocation.sendError !== undefined) throw invocation.sendError;
    } catch (error) {
      outcome = { ok: false, error };
    }
    traced?.end(outcome.ok ? undefined : outcome.error);
    invocation.closed = true;
    flight.invocation = undefined;
    this.#time(flight, invocation, outcome.ok);
    if (flight.timedOut) {
      flight.timedOut = false;
      this.#stuck--;
      await this.#failed(flight, invocation, new HandlerTimeoutError(this.#options.resolved.timeoutMs));
    } else if (outcome.ok) await this.#settle(flight, invocation);
    // Aborted because some of its partitions are lost: the others' records are handled again.
    else if (!invocation.aborted) await this.#failed(flight, invocation, outcome.error);
  }

  /** The handler returned: every record it did not fail is done. */
  async #settle(flight: Flight, invocation: Invocation): Promise<void> {
    const { settlement, resolved } = this.#options;
    const failures = invocation.failures;
    const inPlace: Delivery[] = [];
    const down: Delivery[] = [];
    let last: unknown;
    // The failed ones first: a join waits until nothing is under way, and looks whenever a record is done. It must not
    // see a moment in which the others are done and these have not begun to be sent to where they go.
    for (const delivery of flight.deliveries) {
      if (!failures?.has(delivery)) continue;
      const error = failures.get(delivery);
      const verdict = classify(error);
      if (verdict.kind === 'dependency-down') down.push(delivery);
      else if (resolved.retryInPlace && verdict.kind !== 'dead') {
        inPlace.push(delivery);
        last = error;
      } else settlement.failed(delivery, error);
    }
    for (const delivery of flight.deliveries) if (!failures?.has(delivery)) settlement.done(delivery);
    flight.deliveries = [...inPlace, ...down].sort((a, b) => a.offset - b.offset);
    if (inPlace.length > 0) await this.#backOff(flight, last);
    else if (down.length > 0) await this.#sleep(flight, SETTLE_AFTER_MS);
  }

  /** The handler threw: what it had not failed itself goes by the error's class, in a batch or record by record. */
  async #failed(flight: Flight, invocation: Invocation, thrown: unknown): Promise<void> {
    const { settlement, resolved, breakers, abandoning } = this.#options;
    if (abandoning()) {
      flight.deliveries = [];
      return;
    }
    let error = thrown;
    const within = this.#options.host.originOf(error);
    if (within !== undefined && classify(error).kind === 'retry') {
      await this.#sleep(flight, SETTLE_AFTER_MS);
      if (breakers.state(within.dependency, within.key) === 'open')
        error = new DependencyDownError(within.dependency, within.key, { cause: error });
    }
    const verdict = classify(error);
    if (verdict.kind === 'dependency-down') {
      do {
        await this.#sleep(flight, POLL_BREAKER_MS);
      } while (breakers.state(verdict.dependency, verdict.key) === 'open');
      return;
    }
    if (resolved.retryInPlace && verdict.kind !== 'dead') {
      await this.#backOff(flight, error);
      return;
    }
    for (const delivery of flight.deliveries)
      settlement.failed(delivery, invocation.failures?.has(delivery) ? invocation.failures.get(delivery) : error);
    flight.deliveries = [];
  }

  /** Ordered: the batch waits and is handled again, whole; when its time is up, its records are dead letters. */
  async #backOff(flight: Flight, error: unknown): Promise<void> {
    const { clock, settlement } = this.#options;
    const now = clock.monotonic();
    const first = flight.deliveries[0]!;
    const next = route(classify(error), {
      attempt: first.attempt,
      parked: 0,
      ladderMs: [],
      inPlace: true,
      failingForMs: first.failingSince === 0 ? 0 : now - first.failingSince,
      keyed: false,
      roomToPark: true,
    });
    if (next.to !== 'in-place') {
      for (const delivery of flight.deliveries) settlement.failed(delivery, error);
      flight.deliveries = [];
      return;
    }
    for (const delivery of flight.deliveries) {
      delivery.attempt = next.attempt;
      if (delivery.failingSince === 0) delivery.failingSince = now;
    }
    await this.#sleep(flight, next.delayMs);
  }

  /** A batch that waits is at rest: a join need not wait for it. */
  #sleep(flight: Flight, ms: number): Promise<void> {
    this.#options.onIdle();
    return this.#options.clock.sleep(ms, flight.ended.signal);
  }

  #time(flight: Flight, invocation: Invocation, ok: boolean): void {
    const seconds = Math.max(0, this.#options.clock.monotonic() - invocation.startedAt) / 1000;
    this.#options.metrics.batchHandled(seconds);
    this.#options.onCall(flight.deliveries.length, seconds, ok);
  }
}

type Outcome = { readonly ok: true } | { readonly ok: false; readonly error: unknown };
