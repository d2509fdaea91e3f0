/**
 * The stream that is being stored, watched: counts its bytes, ends with the caller's abort even when it stalls, and
 * remembers what it threw itself, so that a failed download never looks like a failed store.
 */
import type { Readable } from 'node:stream';

export class WatchedSource implements AsyncIterable<Uint8Array> {
  bytes = 0;
  /** What the source threw, or the reason of the abort. */
  failure: { readonly error: unknown } | undefined;
  readonly #source: AsyncIterable<unknown>;
  readonly #signal: AbortSignal | undefined;
  readonly #onProgress: ((bytes: number) => void) | undefined;

  constructor(
    source: Readable | AsyncIterable<Uint8Array>,
    options: { signal?: AbortSignal; onProgress?: (bytes: number) => void } = {},
  ) {
    this.#source = source;
    this.#signal = options.signal;
    this.#onProgress = options.onProgress;
  }

  /** Lets go of a source that was not read to its end, or not at all: a socket behind it must not stay open. */
  abandon(): void {
    const { destroy } = this.#source as { destroy?: unknown };
    if (typeof destroy === 'function') destroy.call(this.#source);
  }

  async *[Symbol.asyncIterator](): AsyncGenerator<Uint8Array, void, undefined> {
    const signal = this.#signal;
    let aborted: (() => void) | undefined;
    const abort = new Promise<never>((_, reject) => {
      aborted = () => reject(signal?.reason);
      signal?.addEventListener('abort', aborted, { once: true });
    });
    abort.catch(() => undefined);
    const iterator = this.#source[Symbol.asyncIterator]();
    let ended = false;
    try {
      signal?.throwIfAborted();
      for (;;) {
        const next = await Promise.race([iterator.next(), abort]);
        if (next.done) {
          ended = true;
          return;
        }
        const chunk = typeof next.value === 'string' ? Buffer.from(next.value) : (next.value as Uint8Array);
        this.bytes += chunk.byteLength;
        this.#onProgress?.(this.bytes);
        if (chunk.byteLength > 0) yield chunk;
      }
    } catch (error) {
      ended = !signal?.aborted;
      this.failure = { error };
      throw error;
    } finally {
      if (aborted) signal?.removeEventListener('abort', aborted);
      // A stalled source may never answer `return`: it is told, not awaited.
      if (!ended) void Promise.resolve(iterator.return?.()).catch(() => undefined);
    }
  }
}
