/**
 * The end of a handler call, record by record: done, put back, retried, parked, dead, or abandoned. A record counts as
 * done only after the broker has acknowledged whatever it caused; until then it stays in its ledger and holds its lane.
 */
import type { Clock, Logger } from '@weir/core';
import type { Resolved } from '../config.ts';
import type { DeadLetterReason } from '../define.ts';
import { DependencyDownError, type ErrorClass } from '../errors.ts';
import { classify, errorLine } from './classify.ts';
import type { Delivery } from './delivery.ts';
import { originOf } from './headers.ts';
import type { Outlet } from './outlet.ts';

import { Parking } from './parking.ts';
import { route } from './router.ts';
import { WaitList } from './waitlist.ts';

/** A retryable failure inside a dependency's call waits this long: if its breaker opens by then, no attempt is burnt. */
const SETTLE_AFTER_MS = 2_000;
/** At most this many records of a partition are parked, and at most half its bound. */
const MOST_PARKED = 256;
/**
 * A failure that finds its breaker open parks the record without an attempt, so many times. After that it counts: a record
 * that fails by itself would otherwise be the probe that keeps the breaker open, for ever, for itself and all behind it.
 * With a cool-down of 30 s that is an outage of two minutes for a record that is alone, and longer the more wait.
 */
const FREE_PARKINGS = 4;
/** `onDeadLetter` that keeps failing is given up after this many tries; the dead letter itself is written all the same. */
const DEAD_LETTER_HOOK_TRIES = 5;

export interface Breakers {
  state(dependency: string, key?: string): 'closed' | 'open' | 'half-open';
}

export interface SettlementMetrics {
  consumed(topic: string, status: 'ok' | 'retried' | 'dead' | 'skipped' | 'deferred', count: number): void;
  failed(topic: string, errorClass: ErrorClass): void;
  retried(topic: string): void;
  exhausted(topic: string): void;
  deadLettered(topic: string, errorClass: ErrorClass): void;
}

export interface SettlementOptions {
  readonly resolved: Resolved;
  readonly outlet: Outlet;
  readonly breakers: Breakers;
  readonly clock: Clock;
  readonly log: Logger;
  readonly metrics: SettlementMetrics;
  /** The record waits no more and may run again. */
  readonly onAgain: (delivery: Delivery) => void;
  /** The record is out of memory: its lane is free, its partition has room. */
  readonly onSettled: (delivery: Delivery) => void;
  /** A lane or a place came free by itself, not at the end of a handler call: something may be started. */
  readonly onRoom: () => void;
  /** Calls the declaration's `onDeadLetter`; resolves when its sends are acknowledged. */
  readonly deadLetterHook: ((delivery: Delivery, reason: DeadLetterReason) => Promise<void>) | undefined;
  /** True once a drain is over: failures are no failures any more. */
  readonly abandoning: () => boolean;
}

export class Settlement {
  readonly #options: SettlementOptions;
  readonly parking: Parking;
  readonly #waits: WaitList<Delivery>;
  readonly #ladderMs: readonly number[];
  readonly #mostParked: number;
  /** Failures inside a dependency's call that wait to see whether its breaker opens, by dependency and key. */
  readonly #suspended = new Set<Suspended>();

  constructor(options: SettlementOptions) {
    this.#options = options;
    this.#waits = new WaitList(options.clock);
    this.#ladderMs = options.resolved.retry.map((rung) => rung.delayMs);
    this.#mostParked = Math.min(MOST_PARKED, Math.max(1, options.resolved.queue.recordsPerPartition >> 1));
    this.parking = new Parking({
      clock: options.clock,
      release: (delivery) => this.#again(delivery),
      isHalfOpen: (dependency, key) => options.breakers.state(dependency, key) === 'half-open',
    });
  }

  /** The handler is done and all its sends are acknowledged. */
  done(delivery: Delivery): void {
    if (!this.#holds(delivery)) return;
    this.#options.metrics.consumed(delivery.topic, 'ok', 1);
    this.#finish(delivery);
  }

  /** A record of another group's retry: nothing to do. */
  skip(delivery: Delivery): void {
    if (!this.#holds(delivery)) return;
    this.#options.metrics.consumed(delivery.topic, 'skipped', 1);
    this.#finish(delivery);
  }

  /** Puts the record back until `dueAt`, without an attempt, outside its partition's bound. */
  defer(delivery: Delivery, dueAt: number): void {
    if (!this.#holds(delivery)) return;
    const { owned } = delivery;
    delivery.state = 'waiting';
    delivery.dueAt = dueAt;
    owned.held--;
    owned.heldBytes -= delivery.bytes;
    owned.deferred++;
    owned.deferredBytes += delivery.bytes;
    if (owned.firstDueAt === undefined || dueAt < owned.firstDueAt) owned.firstDueAt = dueAt;
    this.#options.metrics.consumed(delivery.topic, 'deferred', 1);
    this.#waits.add(dueAt, delivery, (due) => {
      if (!due.owned.alive) return;
      due.dueAt = 0;
      due.owned.deferred--;
      // Due times rise within a retry topic, so the next one is due no earlier than this one was.
      due.owned.firstDueAt = due.owned.deferred === 0 ? undefined : dueAt;
      due.owned.deferredBytes -= due.bytes;
      due.owned.held++;
      due.owned.heldBytes += due.bytes;
      this.#again(due);
    });
    this.#options.onSettled(delivery);
  }

  /**
   * The handler failed, or the record cannot be read.
   * @param within  the dependency in whose call the failure happened, when it did
   */
  failed(delivery: Delivery, error: unknown, within?: { dependency: string; key: string | undefined }): void {
    if (!this.#holds(delivery)) return;
    if (this.#options.abandoning()) {
      delivery.state = 'abandoned';
      return;
    }
    const verdict = classify(error);
    if (within !== undefined && verdict.kind === 'retry') {
      this.#suspend(delivery, error, within);
      return;
    }
    this.#decide(delivery, error);
  }

  /** A breaker moved: what waits for it, or waited to see this, goes on. */
  breakerMoved(dependency: string, key: string | undefined, to: 'closed' | 'open' | 'half-open'): void {
    if (to === 'open') {
      for (const suspended of [...this.#suspended]) {
        if (suspended.dependency !== dependency || suspended.key !== key) continue;
        this.#resume(suspended);
      }
    } else if (to === 'half-open') this.parking.halfOpen(dependency, key);
    else this.parking.closed(dependency, key);
  }

  /** Forgets what belonged to a lost partition. */
  lost(): void {
    this.parking.sweep();
    for (const suspended of this.#suspended) if (!suspended.delivery.owned.alive) this.#suspended.delete(suspended);
  }

  stop(): void {
    this.#waits.stop();
    this.parking.stop();
    this.#suspended.clear();
  }

  #holds(delivery: Delivery): boolean {
    if (delivery.owned.alive) return true;
    delivery.state = 'abandoned';
    return false;
  }

  #suspend(delivery: Delivery, error: unknown, within: { dependency: string; key: string | undefined }): void {
    const suspended: Suspended = { delivery, error, ...within, settled: false };
    delivery.state = 'waiting';
    if (this.#options.breakers.state(within.dependency, within.key) !== 'closed') {
      this.#suspended.add(suspended);
      this.#resume(suspended);
      return;
    }
    this.#suspended.add(suspended);
    this.#waits.add(this.#options.clock.now() + SETTLE_AFTER_MS, delivery, () => this.#resume(suspended));
  }

  #resume(suspended: Suspended): void {
    if (suspended.settled) return;
    suspended.settled = true;
    this.#suspended.delete(suspended);
    if (!this.#holds(suspended.delivery)) return;
    const { delivery, dependency, key, error } = suspended;
    const open = this.#options.breakers.state(dependency, key) === 'open';
    if (!open || delivery.parked >= FREE_PARKINGS) {
      this.#decide(delivery, error);
      return;
    }
    delivery.parked++;
    this.#decide(delivery, new DependencyDownError(dependency, key, { cause: error }));
  }

  #decide(delivery: Delivery, error: unknown): void {
    const { owned } = delivery;
    const { resolved, clock, metrics, breakers } = this.#options;
    const verdict = classify(error);
    const keyed = verdict.kind === 'dependency-down' && verdict.key !== undefined;
    const next = route(verdict, {
      attempt: delivery.attempt,
      parked: delivery.parked,
      ladderMs: this.#ladderMs,
      inPlace: resolved.retryInPlace,
      failingForMs: delivery.failingSince === 0 ? 0 : clock.monotonic() - delivery.failingSince,
      keyed,
      roomToPark: owned.parked < this.#mostParked,
    });
    if (verdict.kind !== 'dependency-down') metrics.failed(delivery.topic, verdict.class);
    switch (next.to) {
      case 'hold':
        // The worker's gate is shut while the breaker is open, so the record simply goes back to the front.
        this.#again(delivery);
        return;
      case 'park': {
        if (verdict.kind !== 'dependency-down') return;
        delivery.state = 'waiting';
        this.parking.park(delivery, verdict.dependency, verdict.key);
        // The breaker may have moved on between the refused call and now: nobody would wake the record.
        const state = breakers.state(verdict.dependency, verdict.key);
        if (state === 'closed') this.parking.closed(verdict.dependency, verdict.key);
        return;
      }
      case 'in-place':
        if (delivery.failingSince === 0) delivery.failingSince = clock.monotonic();
        delivery.attempt = next.attempt;
        delivery.state = 'waiting';
        metrics.retried(delivery.topic);
        this.#waits.add(clock.now() + next.delayMs, delivery, (due) => this.#again(due));
        return;
      case 'retry': {
        const errorClass = verdict.kind === 'dependency-down' ? 'dependency' : verdict.class;
        this.#send(delivery, 'retried', () =>
          this.#options.outlet.retry(delivery, next.step, {
            attempt: next.attempt,
            parked: next.parked,
            reason: { class: errorClass, message: errorLine(error) },
          }),
        );
        metrics.retried(delivery.topic);
        return;
      }
      case 'dead': {
        const reason: DeadLetterReason = {
          class: next.class,
          message: errorLine(error),
          attempts: next.attempts,
          exhausted: next.exhausted,
          cause: error,
        };
        if (next.exhausted) metrics.exhausted(delivery.topic);
        this.#send(delivery, 'dead', () => this.#bury(delivery, reason));
        return;
      }
      default:
        throw new TypeError(`unknown route ${next satisfies never}`);
    }
  }

  /** Produces the consequence; the record is finished when the broker has it. */
  #send(delivery: Delivery, status: 'retried' | 'dead', produce: () => Promise<void>): void {
    delivery.state = 'settling';
    delivery.owned.settling++;
    produce().then(
      () => {
        delivery.owned.settling--;
        if (!this.#holds(delivery)) return;
        this.#options.metrics.consumed(delivery.topic, status, 1);
        this.#finish(delivery);
        this.#options.onRoom();
      },
      (error: unknown) => {
        delivery.owned.settling--;
        if (!this.#holds(delivery)) return;
        // Only a bug gets here: what is refused for its size has become a pointer, everything else is tried for ever.
        this.#options.log.error(
          { error, record: originOf(delivery) },
          'the consequence of a failed record could not be produced; the record is kept and tried again in 10 s',
        );
        delivery.state = 'waiting';
        this.#waits.add(this.#options.clock.now() + 10_000, delivery, (due) => this.#again(due));
      },
    );
  }

  async #bury(delivery: Delivery, reason: DeadLetterReason): Promise<void> {
    const { deadLetterHook, log, clock, metrics, outlet } = this.#options;
    log.warn(
      { record: originOf(delivery), class: reason.class, attempts: reason.attempts },
      `dead letter: ${reason.message}`,
    );
    if (deadLetterHook !== undefined && delivery.decoded) {
      for (let attempt = 1; attempt <= DEAD_LETTER_HOOK_TRIES; attempt++) {
        try {
          await deadLetterHook(delivery, reason);
          break;
        } catch (error) {
          delivery.owned.signal.throwIfAborted();
          log.error({ error, record: originOf(delivery), attempt }, 'onDeadLetter failed');
          if (attempt < DEAD_LETTER_HOOK_TRIES) await clock.sleep(1_000 * 2 ** (attempt - 1), delivery.owned.signal);
        }
      }
    }
    await outlet.deadLetter(delivery, reason);
    metrics.deadLettered(delivery.topic, reason.class);
  }

  #again(delivery: Delivery): void {
    if (!this.#holds(delivery)) return;
    delivery.state = 'queued';
    delivery.owned.runAgain(delivery);
    this.#options.onAgain(delivery);
  }

  #finish(delivery: Delivery): void {
    const { owned } = delivery;
    delivery.state = 'finished';
    owned.ledger.finish(delivery.slot);
    owned.lanes.release(delivery);
    owned.held--;
    owned.heldBytes -= delivery.bytes;
    this.#options.onSettled(delivery);
  }
}

interface Suspended {
  readonly delivery: Delivery;
  readonly error: unknown;
  readonly dependency: string;
  readonly key: string | undefined;
  settled: boolean;
}
