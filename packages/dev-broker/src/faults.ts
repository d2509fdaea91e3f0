/**
 * Misbehaviour on demand, at the protocol. A hook stands before one API and decides, request by request, whether the
 * broker behaves: hang up, lose the answer after the work is done, refuse with a code, take its time, answer late, answer
 * another question, or answer something else. Ready-made faults are hooks with a name.
 */
import type { Call } from './apis/api.ts';
import type { ApiName, RequestOf, ResponseOf } from './apis/registry.ts';

/**
 * What a hook decides.
 *  - undefined: nothing; the next hook is asked, then the request is handled
 *  - 'drop': the connection is closed, the request is not handled
 *  - 'lose-answer': the request is handled, then the connection is closed instead of answering
 *  - errorCode: the request is not handled; the answer carries the code wherever a client looks
 *  - delayMs: the request is handled that much later
 *  - lateMs: the request is handled now and answered that much later
 *  - instead: another request of the same API is handled in its place
 *  - respond: this is the answer; the request is not handled
 */
export type FaultVerdict<Name extends ApiName> =
  | undefined
  | 'drop'
  | 'lose-answer'
  | { readonly errorCode: number }
  | { readonly delayMs: number }
  | { readonly lateMs: number }
  | { readonly instead: RequestOf<Name> }
  | { readonly respond: ResponseOf<Name> };

/** Where a request came from. */
export type RequestOrigin = Pick<Call, 'node' | 'version' | 'correlationId' | 'clientId' | 'clientHost'>;

export type FaultHook<Name extends ApiName> = (request: RequestOf<Name>, origin: RequestOrigin) => FaultVerdict<Name>;

/** What the dispatcher is told to do. */
export type Fault =
  | { readonly kind: 'drop' }
  | { readonly kind: 'lose-answer' }
  | { readonly kind: 'refuse'; readonly errorCode: number }
  | { readonly kind: 'late'; readonly ms: number }
  | { readonly kind: 'instead'; readonly request: unknown }
  | { readonly kind: 'respond'; readonly response: unknown };

interface Hook {
  readonly decide: (request: unknown, call: Call) => FaultVerdict<ApiName>;
  left: number;
}

export class Faults {
  readonly #hooks = new Map<ApiName, Set<Hook>>();

  /** Whether any hook stands anywhere; the dispatcher skips the rest otherwise. */
  get active(): boolean {
    return this.#hooks.size > 0;
  }

  /** @returns takes the hook away again */
  add<Name extends ApiName>(name: Name, decide: FaultHook<Name>, times = Number.POSITIVE_INFINITY): () => void {
    const hook: Hook = { decide: decide as unknown as Hook['decide'], left: times };
    const hooks = this.#hooks.get(name) ?? new Set();
    this.#hooks.set(name, hooks);
    hooks.add(hook);
    return () => this.#remove(name, hook);
  }

  clear(): void {
    this.#hooks.clear();
  }

  /** Asks the hooks of an API in the order they were set; delays add up, anything else ends the questions. */
  async apply(name: ApiName, request: unknown, call: Call): Promise<Fault | undefined> {
    for (const hook of [...(this.#hooks.get(name) ?? [])]) {
      const verdict = hook.decide(request, call);
      if (verdict === undefined) continue;
      hook.left--;
      if (hook.left <= 0) this.#remove(name, hook);
      if (verdict === 'drop' || verdict === 'lose-answer') return { kind: verdict };
      if ('errorCode' in verdict) return { kind: 'refuse', errorCode: verdict.errorCode };
      if ('respond' in verdict) return { kind: 'respond', response: verdict.respond };
      if ('lateMs' in verdict) return { kind: 'late', ms: verdict.lateMs };
      if ('instead' in verdict) return { kind: 'instead', request: verdict.instead };
      await call.cluster.options.clock.sleep(verdict.delayMs, call.signal).catch(() => undefined);
    }
    return undefined;
  }

  #remove(name: ApiName, hook: Hook): void {
    const hooks = this.#hooks.get(name);
    hooks?.delete(hook);
    if (hooks?.size === 0) this.#hooks.delete(name);
  }
}
