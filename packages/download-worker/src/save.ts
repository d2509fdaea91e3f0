/** From the body into the store in one pass: what is stored is what was hashed is what was counted. */
import { createHash } from 'node:crypto';
import { RetryableError } from '@weir/sdk';
import type { ObjectStore } from '@weir/storage';
import type { Body } from './body.ts';

export interface Stored {
  readonly bytes: number;
  /** Hex. */
  readonly sha256: string;
}

export interface SaveOptions {
  readonly contentType: string | undefined;
  readonly signal: AbortSignal;
}

/**
 * Replaces what is stored under the key; nothing appears there unless the whole body arrived.
 * @throws what the body threw, untouched; RetryableError (class dependency) for everything that is the store's
 */
export async function save(store: ObjectStore, key: string, body: Body, options: SaveOptions): Promise<Stored> {
  const hash = createHash('sha256');
  async function* hashed() {
    for await (const chunk of body) {
      hash.update(chunk);
      yield chunk;
    }
  }
  try {
    const { bytes } = await store.putStream(key, hashed(), {
      signal: options.signal,
      ...(options.contentType === undefined ? {} : { contentType: options.contentType }),
    });
    return { bytes, sha256: hash.digest('hex') };
  } catch (cause) {
    if (body.failure) throw body.failure.error;
    if (options.signal.aborted) throw options.signal.reason;
    // Denied or refused counts like unreachable: no record is at fault, and all of them would fail alike.
    const detail = cause instanceof Error ? cause.message : String(cause);
    throw new RetryableError(`cannot store ${key}: ${detail}`, { class: 'dependency', cause });
  }
}
