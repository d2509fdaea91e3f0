/**
 * A real store with faults at its door: an operation fails before it happened, or after it happened (the answer was
 * lost), or stops for a moment to let the test do something in between. What is behind the door stays real.
 */
import type { Readable } from 'node:stream';
import { StoreUnavailableError } from '../errors.ts';
import type { ByteRange, ObjectInfo, ObjectStore, PutOptions, PutStreamOptions } from '../store.ts';

export type StoreOperation = 'get' | 'head' | 'put' | 'putStream' | 'list' | 'delete';

export interface StoreFault {
  readonly operation: StoreOperation;
  /** Part of the key; every key without it. */
  readonly key?: string | RegExp;
  /** `before`: nothing happened. `after`: it happened, and the caller is told that it failed. */
  readonly when: 'before' | 'after';
  /** How many matching calls pass first; 0 unless told. */
  readonly skip?: number;
  /** How many calls it strikes; 1 unless told, Infinity for an outage. */
  readonly times?: number;
  /** What to do in place of failing. May throw. */
  readonly act?: (key: string) => void | Promise<void>;
}

interface Armed {
  readonly fault: StoreFault;
  skip: number;
  times: number;
}

export class ScriptedStore implements ObjectStore {
  /** Calls so far, by operation. */
  readonly calls: Record<StoreOperation, number> = { get: 0, head: 0, put: 0, putStream: 0, list: 0, delete: 0 };
  readonly #inner: ObjectStore;
  #faults: Armed[] = [];

  constructor(inner: ObjectStore) {
    this.#inner = inner;
  }

  get location(): string {
    return this.#inner.location;
  }

  fail(fault: StoreFault): void {
    this.#faults.push({ fault, skip: fault.skip ?? 0, times: fault.times ?? 1 });
  }

  heal(): void {
    this.#faults = [];
  }

  get(key: string, options?: { range?: ByteRange }): Promise<Uint8Array> {
    return this.#through('get', key, () => this.#inner.get(key, options));
  }
  head(key: string): Promise<ObjectInfo | undefined> {
    return this.#through('head', key, () => this.#inner.head(key));
  }
  put(key: string, bytes: Uint8Array, options?: PutOptions): Promise<{ etag?: string }> {
    return this.#through('put', key, () => this.#inner.put(key, bytes, options));
  }
  putStream(
    key: string,
    source: Readable | AsyncIterable<Uint8Array>,
    options?: PutStreamOptions,
  ): Promise<{ bytes: number; etag?: string }> {
    return this.#through('putStream', key, () => this.#inner.putStream(key, source, options));
  }
  async *list(prefix: string, options?: { startAfter?: string }): AsyncGenerator<ObjectInfo> {
    await this.#through('list', prefix, async () => undefined);
    yield* this.#inner.list(prefix, options);
  }
  delete(key: string): Promise<void> {
    return this.#through('delete', key, () => this.#inner.delete(key));
  }
  url(key: string): string {
    return this.#inner.url(key);
  }
  probe(): Promise<void> {
    return this.#inner.probe();
  }
  close(): Promise<void> {
    return this.#inner.close();
  }

  async #through<T>(operation: StoreOperation, key: string, call: () => Promise<T>): Promise<T> {
    this.calls[operation]++;
    await this.#strike(operation, key, 'before');
    const result = await call();
    await this.#strike(operation, key, 'after');
    return result;
  }

  async #strike(operation: StoreOperation, key: string, when: 'before' | 'after'): Promise<void> {
    for (const armed of this.#faults) {
      const { fault } = armed;
      if (armed.times <= 0 || fault.operation !== operation || fault.when !== when || !matches(fault.key, key))
        continue;
      if (armed.skip-- > 0) continue;
      armed.times--;
      if (!fault.act)
        throw new StoreUnavailableError(this.location, `${operation} of ${key}`, new Error('scripted fault'));
      await fault.act(key);
    }
  }
}

function matches(pattern: string | RegExp | undefined, key: string): boolean {
  if (pattern === undefined) return true;
  return typeof pattern === 'string' ? key.includes(pattern) : pattern.test(key);
}
