/**
 * One call of a dependency, from its wait for a place in the bulkhead to its end.
 *
 *   waiting --a place, and the breaker's leave--> running --the work settled, or its timeout--> over
 *   waiting --the breaker refuses--> over
 *   waiting, running --the caller's signal aborts--> over
 *
 * Whatever ends it, its promise settles and its place is free at that moment; work that is still under way is told by its
 * signal and not waited for. A worker makes two of these for every record: it has one promise, one listener, one timer.
 */
import type { Cancel, Clock } from '@weir/core';
import { DependencyDownError, RetryableError } from '../errors.ts';
import type { Breaker, Outcome, Permit } from './breaker.ts';

/** Which dependency, and which key of it, when it is keyed. */
export interface Called {
  readonly dependency: string;
  readonly key: string | undefined;
  readonly breaker: Breaker;
  readonly timeoutMs: number;
}

export interface CallTools {
  readonly clock: Clock;
  /** Classifies what the work threw: true counts against the dependency. */
  readonly isTransient: (error: unknown) => boolean;
  /** A call ended in this error, which counts against the dependency. */
  readonly failed: (error: unknown, called: Called) => void;
}

export class DependencyCall<T> {
  /** @see Dependencies.call */
  readonly result: Promise<T>;
  readonly #called: Called;
  readonly #work: (signal: AbortSignal) => Promise<T>;
  readonly #outer: AbortSignal;
  readonly #tools: CallTools;
  readonly #aborted: () => void;
  #resolve!: (value: T) => void;
  #reject!: (error: unknown) => void;
  #controller: AbortController | undefined;
  #permit: Permit | undefined;
  #cancelTimeout: Cancel | undefined;
  #leavePlace: (() => void) | undefined;
  #over = false;

  /** @param outer  not aborted yet */
  constructor(called: Called, work: (signal: AbortSignal) => Promise<T>, outer: AbortSignal, tools: CallTools) {
    this.#called = called;
    this.#work = work;
    this.#outer = outer;
    this.#tools = tools;
    this.result = new Promise((resolve, reject) => {
      this.#resolve = resolve;
      this.#reject = reject;
    });
    this.#aborted = () => this.#end('void', () => this.#reject(outer.reason), outer.reason);
    outer.addEventListener('abort', this.#aborted, { once: true });
  }

  /** There is a place. @returns settles when it is free again; undefined: at once. Never rejects */
  start(): Promise<void> | undefined {
    if (this.#over) return undefined;
    const { breaker, dependency, key, timeoutMs } = this.#called;
    const permit = breaker.enter();
    if (permit === undefined) {
      this.#end('void', () => this.#reject(new DependencyDownError(dependency, key)));
      return undefined;
    }
    this.#permit = permit;
    // Not AbortSignal.any: its weak references cost more than all the rest of a call.
    const controller = new AbortController();
    this.#controller = controller;
    this.#cancelTimeout = this.#tools.clock.after(timeoutMs, () => this.#timedOut());
    const place = new Promise<void>((resolve) => {
      this.#leavePlace = resolve;
    });
    let working: Promise<T>;
    try {
      working = this.#work(controller.signal);
    } catch (error) {
      this.#failed(error);
      return undefined;
    }
    working.then(
      (value) => this.#end('ok', () => this.#resolve(value)),
      (error) => this.#failed(error),
    );
    return place;
  }

  #timedOut(): void {
    const { dependency, key, timeoutMs } = this.#called;
    const name = `dependency "${dependency}"${key === undefined ? '' : ` (${key})`}`;
    const late = new RetryableError(`${name} did not answer within ${timeoutMs} ms`);
    this.#tools.failed(late, this.#called);
    this.#end('failed', () => this.#reject(late), late);
  }

  #failed(error: unknown): void {
    if (this.#over) return;
    if (this.#outer.aborted) {
      this.#end('void', () => this.#reject(this.#outer.reason));
      return;
    }
    const refused = error instanceof DependencyDownError;
    const transient = !refused && this.#tools.isTransient(error);
    if (transient) this.#tools.failed(error, this.#called);
    this.#end(refused ? 'void' : transient ? 'failed' : 'ok', () => this.#reject(error));
  }

  /** @param toWork  told to work that is under way */
  #end(outcome: Outcome, settle: () => void, toWork?: unknown): void {
    if (this.#over) return;
    this.#over = true;
    this.#cancelTimeout?.();
    this.#outer.removeEventListener('abort', this.#aborted);
    settle();
    if (toWork !== undefined) this.#controller?.abort(toWork);
    if (this.#permit !== undefined) this.#called.breaker.leave(this.#permit, outcome);
    this.#leavePlace?.();
  }
}
