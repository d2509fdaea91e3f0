/**
 * One call of a handler: the context it gets, what it has sent, and how it ended. Made per call, so it is kept small:
 * the signal and the methods come into being when they are first used, and destructuring them works.
 *
 *   running --returned--> awaiting sends --all acknowledged--> over
 *   running --timed out, partition lost, drain over--> aborted (keeps its slot until the handler returns)
 */
import type { Clock, Logger } from '@weir/core';
import type { KafkaRecord, SendOptions } from '../define.ts';
import type { Delivery } from './delivery.ts';
import type { Outlet } from './outlet.ts';

/** What every call of one worker shares. */
export interface CallHost {
  readonly outlet: Outlet;
  readonly clock: Clock;
  readonly log: Logger;
  readonly config: unknown;
  readonly resources: unknown;
  call<T>(
    dependency: string,
    key: string | undefined,
    work: (signal: AbortSignal) => Promise<T>,
    outer: AbortSignal,
  ): Promise<T>;
  /** In which dependency's call a transient failure happened, if it was in one. */
  originOf(error: unknown): { readonly dependency: string; readonly key: string | undefined } | undefined;
}

type Send = (to: string, value: unknown, options?: SendOptions) => Promise<void>;
type Call = <T>(
  dependency: string,
  keyOrWork: string | ((signal: AbortSignal) => Promise<T>),
  work?: (signal: AbortSignal) => Promise<T>,
) => Promise<T>;

export class Invocation {
  readonly #host: CallHost;
  /** Whose headers are forwarded (tracing); undefined for a batch, which has many. */
  readonly #cause: Delivery | undefined;
  #controller: AbortController | undefined;
  #abortReason: unknown;
  #pendingSends = 0;
  #sendError: Error | undefined;
  #drained: (() => void) | undefined;
  #send: Send | undefined;
  #call: Call | undefined;
  #notBefore: ((time: number) => void) | undefined;
  #fail: ((record: KafkaRecord, error: unknown) => void) | undefined;
  #log: Logger | undefined;
  /** Monotonic ms. */
  readonly startedAt: number;
  /** Set by `notBefore`; 0 when not. */
  deferUntil = 0;
  failures: Map<KafkaRecord, unknown> | undefined;
  /** After its end a context sends nothing: a handler that outlives its timeout cannot change the record's outcome. */
  closed = false;

  constructor(host: CallHost, cause: Delivery | undefined, startedAt: number) {
    this.#host = host;
    this.#cause = cause;
    this.startedAt = startedAt;
  }

  get clock(): Clock {
    return this.#host.clock;
  }

  get config(): unknown {
    return this.#host.config;
  }

  get resources(): unknown {
    return this.#host.resources;
  }

  get log(): Logger {
    const cause = this.#cause;
    this.#log ??= cause
      ? this.#host.log.child({ topic: cause.topic, partition: cause.partition, offset: cause.offset })
      : this.#host.log;
    return this.#log;
  }

  get signal(): AbortSignal {
    if (this.#controller === undefined) {
      this.#controller = new AbortController();
      if (this.#abortReason !== undefined) this.#controller.abort(this.#abortReason);
    }
    return this.#controller.signal;
  }

  get aborted(): boolean {
    return this.#abortReason !== undefined;
  }

  abort(reason: Error): void {
    if (this.#abortReason !== undefined) return;
    this.#abortReason = reason;
    this.#controller?.abort(reason);
  }

  get send(): Send {
    this.#send ??= async (to, value, options) => {
      if (this.closed) throw (this.#abortReason ?? new Error('send: this handler call is over')) as Error;
      if (this.#abortReason !== undefined) throw this.#abortReason;
      this.#pendingSends++;
      let counted = true;
      const over = (error: Error | null) => {
        if (!counted) return;
        counted = false;
        this.#pendingSends--;
        if (error) this.#sendError ??= error;
        if (this.#pendingSends === 0) this.#drained?.();
      };
      try {
        await this.#host.outlet.send(to, value, options ?? {}, this.#cause, over, this.signal);
      } catch (error) {
        if (counted) {
          counted = false;
          this.#pendingSends--;
        }
        throw error;
      }
    };
    return this.#send;
  }

  get call(): Call {
    this.#call ??= async (dependency, keyOrWork, work) => {
      const key = typeof keyOrWork === 'string' ? keyOrWork : undefined;
      const run = typeof keyOrWork === 'function' ? keyOrWork : work;
      if (run === undefined) throw new TypeError(`call: "${dependency}" needs a function to run`);
      return this.#host.call(dependency, key, run, this.signal);
    };
    return this.#call;
  }

  get notBefore(): (time: number) => void {
    this.#notBefore ??= (time) => {
      if (!Number.isFinite(time)) throw new RangeError(`notBefore: ${time} is not a time in ms since the epoch`);
      this.deferUntil = time;
    };
    return this.#notBefore;
  }

  get fail(): (record: KafkaRecord, error: unknown) => void {
    this.#fail ??= (record, error) => {
      this.failures ??= new Map();
      this.failures.set(record, error);
    };
    return this.#fail;
  }

  get sendsPending(): boolean {
    return this.#pendingSends > 0;
  }

  get sendError(): Error | undefined {
    return this.#sendError;
  }

  /** Calls back once, when every send so far is acknowledged or has failed; at once when there is none. */
  whenSent(callback: () => void): void {
    if (this.#pendingSends === 0) callback();
    else
      this.#drained = () => {
        this.#drained = undefined;
        callback();
      };
  }
}
