/** What a store throws. `transient` marks the store itself being out of reach: a dependency failure, not a bad record. */
import { describeError, type ErrorEntry, redactText, WeirError } from '@weir/core';

export const ERRORS = {
  WEIR_STORE_URL_INVALID: {
    fix: 'Write file:///absolute/folder or s3://bucket/prefix (STORE_URL, TABLES_URL); credentials never belong in it.',
  },
  WEIR_STORE_KEY_INVALID: {
    fix: 'Use a relative key: parts separated by single slashes, no "." or "..", no control characters, at most 1024 bytes.',
  },
  WEIR_STORE_NOT_FOUND: { fix: 'Nothing is stored under that key; check the prefix of the store URL.' },
  WEIR_STORE_BUCKET_MISSING: {
    fix: 'Create the bucket or folder first, or open the store with `create: true` (the demo does).',
  },
  WEIR_STORE_EXISTS: { fix: 'Another writer created the object first: read it and decide again.' },
  WEIR_STORE_UNAVAILABLE: {
    fix: 'The store cannot be reached or has no space; check network, endpoint, disk and quota. The work is retried.',
  },
  WEIR_STORE_ACCESS_DENIED: {
    fix: 'Check AWS_ACCESS_KEY_ID, AWS_SECRET_ACCESS_KEY and the policy (GetObject, PutObject, DeleteObject, ListBucket), or the permissions of the folder.',
  },
  WEIR_STORE_REFUSED: { fix: 'The store understood the request and refused it; the message has its reason.' },
  WEIR_STORE_NOT_ATOMIC: { fix: 'Use a store with conditional PUT (docs/stores.md); this one would lose commits.' },
} as const satisfies Record<string, ErrorEntry>;

const because = (cause: unknown) => (cause === undefined ? '' : `: ${redactText(describeError(cause))}`);

export class InvalidStoreUrlError extends WeirError {
  constructor(shownUrl: string, problem: string) {
    super('WEIR_STORE_URL_INVALID', `"${shownUrl}" is not a store URL: ${problem}`);
  }
}

export class InvalidKeyError extends WeirError {
  readonly key: string;
  constructor(key: string, problem: string, options?: { cause?: unknown }) {
    super('WEIR_STORE_KEY_INVALID', `key ${JSON.stringify(key.slice(0, 200))} is not allowed: ${problem}`, options);
    this.key = key;
  }
}

export class ObjectNotFoundError extends WeirError {
  readonly key: string;
  constructor(key: string, store: string, options?: { cause?: unknown }) {
    super('WEIR_STORE_NOT_FOUND', `there is no object ${key} in ${store}`, options);
    this.key = key;
  }
}

export class BucketMissingError extends WeirError {
  readonly store: string;
  constructor(store: string, options?: { cause?: unknown }) {
    super('WEIR_STORE_BUCKET_MISSING', `the bucket or folder of ${store} does not exist`, options);
    this.store = store;
  }
}

/** A conditional create lost: the key is taken, and not by this call. */
export class PreconditionFailedError extends WeirError {
  readonly key: string;
  constructor(key: string, options?: { cause?: unknown }) {
    super('WEIR_STORE_EXISTS', `${key} exists already; it was created by another writer`, options);
    this.key = key;
  }
}

/** Network, timeout, 5xx, throttling, full disk. A write may or may not have happened. */
export class StoreUnavailableError extends WeirError {
  readonly transient = true;
  readonly store: string;
  constructor(store: string, operation: string, cause?: unknown) {
    super('WEIR_STORE_UNAVAILABLE', `${operation} on ${store} failed${because(cause)}`, { cause });
    this.store = store;
  }
}

export class StoreAccessDeniedError extends WeirError {
  readonly store: string;
  constructor(store: string, operation: string, cause?: unknown) {
    super('WEIR_STORE_ACCESS_DENIED', `${operation} on ${store} was denied${because(cause)}`, { cause });
    this.store = store;
  }
}

export class StoreRefusedError extends WeirError {
  readonly store: string;
  constructor(store: string, operation: string, cause?: unknown) {
    super('WEIR_STORE_REFUSED', `${operation} on ${store} was refused${because(cause)}`, { cause });
    this.store = store;
  }
}

export class StoreNotAtomicError extends WeirError {
  /** Parallel creates of one key that the store let win; exactly one may. */
  readonly winners: number;
  constructor(store: string, winners: number, detail: string, options?: { cause?: unknown }) {
    super('WEIR_STORE_NOT_ATOMIC', `${store} does not create objects atomically: ${detail}`, options);
    this.winners = winners;
  }
}
