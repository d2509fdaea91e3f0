/**
 * A store in memory, for models that must run the same way for the same seed: it has no I/O, so the order of events is
 * the order of promises. It passes the conformance suite like any other.
 */
import type { Readable } from 'node:stream';
import { ObjectNotFoundError, PreconditionFailedError } from '../errors.ts';
import { checkKey, checkPrefix, compareKeys } from '../key.ts';
import { probeStore } from '../probe.ts';
import { WatchedSource } from '../source.ts';
import type { ByteRange, ObjectInfo, ObjectStore, PutOptions, PutStreamOptions } from '../store.ts';

interface Kept {
  readonly bytes: Uint8Array;
  readonly modifiedAt: number;
}

export class MemoryStore implements ObjectStore {
  readonly location = 's3://memory';
  readonly #objects = new Map<string, Kept>();
  readonly #now: () => number;

  /** @param now  for `modifiedAt`; 2026-01-01 for all unless told */
  constructor(now: () => number = () => Date.UTC(2026, 0, 1)) {
    this.#now = now;
  }

  async get(key: string, options: { range?: ByteRange } = {}): Promise<Uint8Array> {
    checkKey(key);
    const found = this.#objects.get(key);
    if (!found) throw new ObjectNotFoundError(key, this.location);
    const { start, length } = { start: 0, length: undefined, ...options.range };
    return found.bytes.slice(start, length === undefined ? undefined : start + length);
  }

  async head(key: string): Promise<ObjectInfo | undefined> {
    checkKey(key);
    const found = this.#objects.get(key);
    return found && { key, bytes: found.bytes.byteLength, modifiedAt: found.modifiedAt };
  }

  async put(key: string, bytes: Uint8Array, options: PutOptions = {}): Promise<{ etag?: string }> {
    checkKey(key);
    options.signal?.throwIfAborted();
    if (options.ifNoneMatch && this.#objects.has(key)) throw new PreconditionFailedError(key);
    this.#objects.set(key, { bytes: bytes.slice(), modifiedAt: this.#now() });
    return {};
  }

  async putStream(
    key: string,
    source: Readable | AsyncIterable<Uint8Array>,
    options: PutStreamOptions = {},
  ): Promise<{ bytes: number; etag?: string }> {
    checkKey(key);
    const chunks: Uint8Array[] = [];
    for await (const chunk of new WatchedSource(source, options)) chunks.push(chunk);
    const bytes = Buffer.concat(chunks);
    await this.put(key, bytes);
    return { bytes: bytes.byteLength };
  }

  async *list(prefix: string, options: { startAfter?: string } = {}): AsyncGenerator<ObjectInfo> {
    checkPrefix(prefix);
    const { startAfter } = options;
    for (const key of [...this.#objects.keys()].sort(compareKeys)) {
      if (!key.startsWith(prefix) || (startAfter !== undefined && compareKeys(key, startAfter) <= 0)) continue;
      const info = await this.head(key);
      if (info) yield info;
    }
  }

  async delete(key: string): Promise<void> {
    checkKey(key);
    this.#objects.delete(key);
  }

  url(key: string): string {
    checkKey(key);
    return `${this.location}/${key}`;
  }

  probe(): Promise<void> {
    return probeStore(this);
  }

  async close(): Promise<void> {}
}
