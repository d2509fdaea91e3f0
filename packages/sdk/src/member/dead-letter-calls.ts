/** Calls of the declaration's `onDeadLetter`: like a handler's, but outside the limiter, and over only when its sends are. */
import type { DeadLetterReason } from '../define.ts';
import type { Delivery } from '../delivery/delivery.ts';
import { type CallHost, Invocation } from '../delivery/invocation.ts';

type Hook = (record: Delivery, reason: DeadLetterReason, ctx: Invocation) => Promise<void>;

export class DeadLetterCalls {
  readonly #host: CallHost;
  readonly #hook: Hook;
  readonly #onEnded: () => void;
  readonly #calls = new Set<Invocation>();

  constructor(options: { host: CallHost; hook: Hook; onEnded: () => void }) {
    this.#host = options.host;
    this.#hook = options.hook;
    this.#onEnded = options.onEnded;
  }

  get running(): number {
    return this.#calls.size;
  }

  /** Rejects with what the hook threw, or with what became of its sends. */
  async call(delivery: Delivery, reason: DeadLetterReason): Promise<void> {
    const { signal } = delivery.owned;
    const call = new Invocation(this.#host, delivery, this.#host.clock.monotonic());
    const lost = () => call.abort(signal.reason as Error);
    signal.addEventListener('abort', lost, { once: true });
    this.#calls.add(call);
    try {
      await this.#hook(delivery, reason, call);
      await new Promise<void>((resolve) => call.whenSent(resolve));
      if (call.sendError !== undefined) throw call.sendError;
    } finally {
      call.closed = true;
      this.#calls.delete(call);
      signal.removeEventListener('abort', lost);
      this.#onEnded();
    }
  }

  abort(reason: Error): void {
    for (const call of this.#calls) call.abort(reason);
  }
}
