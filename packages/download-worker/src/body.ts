/**
 * The body of an answer on its way into the store: counted, bounded, its first bytes looked at before anybody stores
 * them, and never mistaken for whole when it was cut off. It also keeps time on both sides, how long the host let us
 * wait and how long the store did, so that a transfer that ran out of time is blamed on the slower of the two.
 *
 *   unread --peek--> peeked --iterate, or whole--> flowing --> whole | failed
 */
import { type Clock, describeError } from '@weir/core';
import { FileRefusedError, TransferBrokenError } from './errors.ts';

export interface BodyOptions {
  readonly host: string;
  /** From the header; undefined when there was none. */
  readonly contentLength: number | undefined;
  readonly maxBytes: number;
  readonly clock: Clock;
  /** Called with each chunk's size. */
  readonly onBytes?: (bytes: number) => void;
}

export class Body implements AsyncIterable<Uint8Array> {
  bytes = 0;
  /** What the host's side threw; undefined while it is well, also when the store fails. */
  failure: { readonly error: unknown } | undefined;
  /** Milliseconds spent waiting for the host, and for the store. */
  hostMs = 0;
  storeMs = 0;
  /** Set while the store holds a chunk: when it got it. */
  #heldSince: number | undefined;
  #waitingSince: number | undefined;
  readonly #source: AsyncIterator<Uint8Array>;
  readonly #options: BodyOptions;
  #head: Buffer[] = [];
  #ended = false;

  constructor(source: AsyncIterable<Uint8Array>, options: BodyOptions) {
    this.#source = source[Symbol.asyncIterator]();
    this.#options = options;
  }

  /** The first `length` bytes, fewer when the file is shorter; they are delivered again by iterating. */
  async peek(length: number): Promise<Buffer> {
    let have = 0;
    while (have < length) {
      const chunk = await this.#next();
      if (chunk === undefined) break;
      this.#head.push(chunk);
      have += chunk.length;
    }
    // One chunk holds it nearly always, with much of the file behind it: nothing to copy.
    const beginning = this.#head.length === 1 ? this.#head[0]! : Buffer.concat(this.#head);
    return beginning.subarray(0, length);
  }

  /**
   * All of it in one piece when its header says that it has no more than `limit` bytes; undefined, and nothing taken,
   * otherwise. From then on it is the store's.
   */
  async whole(limit: number): Promise<Buffer | undefined> {
    const { contentLength, clock } = this.#options;
    if (contentLength === undefined || contentLength > limit) return undefined;
    for (let chunk = await this.#next(); chunk !== undefined; chunk = await this.#next()) this.#head.push(chunk);
    const chunks = this.#head.splice(0);
    this.#heldSince = clock.monotonic();
    return chunks.length === 1 ? chunks[0] : Buffer.concat(chunks);
  }

  async *[Symbol.asyncIterator](): AsyncGenerator<Uint8Array, void, undefined> {
    try {
      for (const chunk of this.#head.splice(0)) yield* this.#hand(chunk);
      for (let chunk = await this.#next(); chunk !== undefined; chunk = await this.#next()) yield* this.#hand(chunk);
    } finally {
      if (!this.#ended) await this.#source.return?.();
    }
  }

  /** Whether the store, rather than the host, was what the transfer waited for. */
  get storeIsSlower(): boolean {
    const now = this.#options.clock.monotonic();
    const host = this.hostMs + (this.#waitingSince === undefined ? 0 : now - this.#waitingSince);
    const store = this.storeMs + (this.#heldSince === undefined ? 0 : now - this.#heldSince);
    return store > host;
  }

  *#hand(chunk: Buffer): Generator<Uint8Array> {
    const since = this.#options.clock.monotonic();
    this.#heldSince = since;
    yield chunk;
    this.#heldSince = undefined;
    this.storeMs += this.#options.clock.monotonic() - since;
  }

  async #next(): Promise<Buffer | undefined> {
    if (this.#ended) return undefined;
    const { clock, host, maxBytes, contentLength, onBytes } = this.#options;
    const since = clock.monotonic();
    this.#waitingSince = since;
    try {
      const next = await this.#source.next();
      if (next.done) {
        this.#ended = true;
        if (contentLength !== undefined && this.bytes !== contentLength) {
          throw new TransferBrokenError(host, `cut off after ${this.bytes} of ${contentLength} bytes`);
        }
        return undefined;
      }
      this.bytes += next.value.length;
      onBytes?.(next.value.length);
      if (this.bytes > maxBytes) {
        throw new FileRefusedError('size', `the file is larger than ${maxBytes} bytes (MAX_FILE_BYTES)`);
      }
      return Buffer.from(next.value.buffer, next.value.byteOffset, next.value.byteLength);
    } catch (cause) {
      const ended = this.#ended;
      this.#ended = true;
      if (!ended) void Promise.resolve(this.#source.return?.()).catch(() => undefined);
      const known = cause instanceof FileRefusedError || cause instanceof TransferBrokenError;
      const error = known
        ? cause
        : new TransferBrokenError(host, `broke off after ${this.bytes} bytes: ${describeError(cause)}`, { cause });
      this.failure = { error };
      throw error;
    } finally {
      this.#waitingSince = undefined;
      this.hostMs += clock.monotonic() - since;
    }
  }
}
