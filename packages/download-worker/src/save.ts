/**
 * From the body into the store in one pass: what is stored is what was hashed is what was counted. A small file (most
 * attachments are) is taken whole and stored with one request; a stream's machinery would cost several times the work.
 */
import { createHash, hash } from 'node:crypto';
import { RetryableError } from '@weir/sdk';
import type { ObjectStore, PutStreamOptions } from '@weir/storage';
import type { Body } from './body.ts';

export interface Stored {
  readonly bytes: number;
  /** Hex. */
  readonly sha256: string;
}

export interface SaveOptions {
  readonly contentType: string | undefined;
  /** Ends it; what was being stored may still appear, whole. */
  readonly signal: AbortSignal;
}

/** Times the concurrency, at most 64, this is what small files take in memory. */
const SMALL_BYTES = 256 * 1024;

/**
 * Replaces what is stored under the key; nothing appears there unless the whole body arrived.
 * @throws what the body threw, untouched; RetryableError (class dependency) for everything that is the store's
 */
export async function save(store: ObjectStore, key: string, body: Body, options: SaveOptions): Promise<Stored> {
  const { signal } = options;
  const type = options.contentType === undefined ? {} : { contentType: options.contentType };
  try {
    const small = await body.whole(SMALL_BYTES);
    if (small === undefined) return await stream(store, key, body, { signal, ...type });
    signal.throwIfAborted();
    const sha256 = hash('sha256', small, 'hex');
    await store.put(key, small, { signal, ...type });
    return { bytes: small.length, sha256 };
  } catch (cause) {
    if (body.failure) throw body.failure.error;
    signal.throwIfAborted();
    // Denied or refused counts like unreachable: no record is at fault, and all of them would fail alike.
    const detail = cause instanceof Error ? cause.message : String(cause);
    throw new RetryableError(`cannot store ${key}: ${detail}`, { class: 'dependency', cause });
  }
}

async function stream(store: ObjectStore, key: string, body: Body, options: PutStreamOptions): Promise<Stored> {
  const sha256 = createHash('sha256');
  async function* hashed() {
    for await (const chunk of body) {
      sha256.update(chunk);
      yield chunk;
    }
  }
  const { bytes } = await store.putStream(key, hashed(), options);
  return { bytes, sha256: sha256.digest('hex') };
}
