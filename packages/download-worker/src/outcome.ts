/**
 * What a failed download means: the one table from errors to classes. Everything the handler throws has
 * passed here; what the SDK threw itself (an open breaker, an abort) passes through untouched.
 */
import { describeError } from '@weir/core';
import { DependencyDownError, PermanentError, RetryableError } from '@weir/sdk';
import { InvalidKeyError } from '@weir/storage';
import {
  AddressRefusedError,
  ExpiredUrlError,
  FileRefusedError,
  HttpStatusError,
  LoginWantedError,
  TransferBrokenError,
  TransferTimeoutError,
  UrlRefusedError,
} from './errors.ts';

/** The error to throw for it; the original stays as the cause, with its facts. */
export function outcomeOf(error: unknown): unknown {
  const message = error instanceof Error ? error.message : describeError(error);
  if (error instanceof TransferBrokenError || error instanceof TransferTimeoutError) {
    return new RetryableError(message, { class: 'transient', cause: error });
  }
  if (error instanceof HttpStatusError) {
    if (!isUnwell(error.httpStatus)) return new PermanentError(message, { cause: error });
    const after = error.retryAfterMs === undefined ? {} : { after: error.retryAfterMs };
    return new RetryableError(message, { class: 'transient', cause: error, ...after });
  }
  // The SDK tries `auth` once more, then it is permanent.
  if (error instanceof LoginWantedError) return new RetryableError(message, { class: 'auth', cause: error });
  if (error instanceof InvalidKeyError)
    return new PermanentError(`field "blobPath": ${message}`, { class: 'poison', cause: error });
  if (error instanceof ExpiredUrlError) return new PermanentError(message, { class: 'expired', cause: error });
  if (error instanceof UrlRefusedError || error instanceof AddressRefusedError || error instanceof FileRefusedError) {
    return new PermanentError(message, { cause: error });
  }
  return error;
}

/** Whether a status speaks of the host's health rather than of the request. */
export const isUnwell = (status: number): boolean =>
  status >= 500 || status === 408 || status === 425 || status === 429;

/** Status of the last answer, from anywhere in the chain of causes. */
export function httpStatusOf(error: unknown): number | undefined {
  for (let current = error, depth = 0; current instanceof Error && depth < 6; depth++) {
    const status = (current as { httpStatus?: unknown }).httpStatus;
    if (typeof status === 'number') return status;
    current = current.cause;
  }
  return undefined;
}

/** Label of `download_duration_seconds`: `completed` or what went wrong. */
export function outcomeLabel(error: unknown): string {
  if (error instanceof RetryableError || error instanceof PermanentError) return error.class;
  return error instanceof DependencyDownError ? 'dependency' : 'aborted';
}
