/**
 * The object store port: what downloads are kept in and tables are made of. Two implementations, a folder and S3, pass
 * one conformance suite (@weir/storage/testing).
 *
 * What every store promises:
 * - an object appears whole or not at all; a reader never sees half of one, whatever is killed when;
 * - of any number of conditional creates of one key exactly one wins (`probe` tries it on the real store);
 * - a write that was acknowledged is visible to the next read of anybody.
 *
 * What none promises: that `list` shows what was written a moment ago. Nothing may find its newest state by listing.
 *
 * Every operation throws StoreUnavailableError when the store is out of reach (a write may then have happened or not),
 * StoreAccessDeniedError, BucketMissingError, and InvalidKeyError before anything is sent.
 */
import type { Readable } from 'node:stream';

export interface ObjectInfo {
  readonly key: string;
  readonly bytes: number;
  /** Milliseconds since the epoch, by the store's clock. */
  readonly modifiedAt: number;
  readonly etag?: string;
}

/** From byte `start`, `length` bytes of it (to the end without a length). */
export interface ByteRange {
  readonly start: number;
  readonly length?: number;
}

export interface PutOptions {
  /**
   * Create only: exactly one of all callers wins, the others get PreconditionFailedError. The bytes must differ from any
   * other caller's (carry an id): after an ambiguous failure the store tells its own write from another's by comparing.
   */
  readonly ifNoneMatch?: boolean;
  readonly contentType?: string;
  /** Aborting rejects with `signal.reason`. What was under way by then may still appear, whole. */
  readonly signal?: AbortSignal;
}

export interface PutStreamOptions {
  readonly contentType?: string;
  /** Aborting rejects with `signal.reason` and leaves no object; once the source has ended it may be too late. */
  readonly signal?: AbortSignal;
  /** Bytes taken from the source so far; called at every chunk. */
  readonly onProgress?: (bytes: number) => void;
}

export interface ObjectStore {
  /** For people and logs, without secrets: file:///… or s3://bucket/prefix. */
  readonly location: string;
  /** @throws ObjectNotFoundError */
  get(key: string, options?: { range?: ByteRange }): Promise<Uint8Array>;
  /** Undefined when there is no such object. */
  head(key: string): Promise<ObjectInfo | undefined>;
  /** @throws PreconditionFailedError when `ifNoneMatch` and the key is taken */
  put(key: string, bytes: Uint8Array, options?: PutOptions): Promise<{ etag?: string }>;
  /**
   * Streams without holding the whole: memory is a part (8 MiB) at most. What the source throws comes back untouched, so
   * a failed download is told from a failed store. Replaces what was there.
   */
  putStream(
    key: string,
    source: Readable | AsyncIterable<Uint8Array>,
    options?: PutStreamOptions,
  ): Promise<{ bytes: number; etag?: string }>;
  /** Keys with this prefix in the order of their UTF-8 bytes; `startAfter` is a whole key. */
  list(prefix: string, options?: { startAfter?: string }): AsyncIterable<ObjectInfo>;
  /** Deleting what is not there is fine. */
  delete(key: string): Promise<void>;
  /** Where the object is, for people and for other tools; no secrets, no promise that it exists. */
  url(key: string): string;
  /**
   * Races conditional creates on the real store, before any table trusts it.
   * @throws StoreNotAtomicError unless exactly one wins and the winner's bytes stay
   */
  probe(): Promise<void>;
  /** Closes connections; safe twice. */
  close(): Promise<void>;
}
