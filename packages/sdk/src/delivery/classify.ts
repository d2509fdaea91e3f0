/**
 * What a failure means: the only file that looks into errors it did not make. Network, HTTP, S3, Kafka and zod errors
 * are known by their codes; Weir's own by their class; an unknown throw is a handler's bug until proven otherwise: it is
 * retried, then dead.
 */
import { describeError, redactText, WeirError } from '@weir/core';
import {
  DependencyDownError,
  type ErrorClass,
  HandlerTimeoutError,
  PermanentError,
  ProduceFailedError,
  RecordPoisonousError,
  RecordUnreadableError,
  RetryableError,
  ValueInvalidError,
} from '../errors.ts';

export type Verdict =
  | { readonly kind: 'retry'; readonly class: ErrorClass; readonly afterMs: number | undefined }
  /** Authentication: one more try, then permanent. */
  | { readonly kind: 'retry-once'; readonly class: ErrorClass }
  | { readonly kind: 'dead'; readonly class: ErrorClass }
  | { readonly kind: 'dependency-down'; readonly dependency: string; readonly key: string | undefined };

/** System and client error codes that pass by themselves. */
const TRANSIENT_CODES = new Set([
  'ECONNRESET',
  'ECONNREFUSED',
  'ECONNABORTED',
  'EPIPE',
  'ETIMEDOUT',
  'ENETDOWN',
  'ENETUNREACH',
  'EHOSTDOWN',
  'EHOSTUNREACH',
  'EAI_AGAIN',
  'ENOTFOUND',
  'EBUSY',
  'EMFILE',
  'ENFILE',
  'ENOSPC',
  'EDQUOT',
  'ESOCKETTIMEDOUT',
  'UND_ERR_CONNECT_TIMEOUT',
  'UND_ERR_HEADERS_TIMEOUT',
  'UND_ERR_BODY_TIMEOUT',
  'UND_ERR_SOCKET',
  'UND_ERR_CLOSED',
  'UND_ERR_DESTROYED',
]);

/** HTTP statuses that are worth another try. */
const TRANSIENT_STATUS = new Set([408, 425, 429, 500, 502, 503, 504]);
const PERMANENT_STATUS = new Set([400, 403, 404, 405, 410, 411, 413, 414, 415, 422, 451]);

const retry = (errorClass: ErrorClass = 'transient', afterMs?: number): Verdict => ({
  kind: 'retry',
  class: errorClass,
  afterMs,
});
const dead = (errorClass: ErrorClass): Verdict => ({ kind: 'dead', class: errorClass });

export function classify(error: unknown): Verdict {
  if (error instanceof RetryableError)
    return error.class === 'auth' ? { kind: 'retry-once', class: 'auth' } : retry(error.class, error.after);
  if (error instanceof PermanentError) return dead(error.class);
  if (error instanceof DependencyDownError)
    return { kind: 'dependency-down', dependency: error.dependency, key: error.key };
  if (error instanceof RecordUnreadableError || error instanceof RecordPoisonousError) return dead('poison');
  if (error instanceof ValueInvalidError) return retry('poison');
  if (error instanceof HandlerTimeoutError) return retry('transient');
  if (error instanceof ProduceFailedError) return error.tooLarge ? dead('permanent') : retry('transient');
  return byShape(error);
}

/** Whether a failure says something about the health of what was called, rather than about the request. */
export function isTransient(error: unknown): boolean {
  const verdict = classify(error);
  return verdict.kind === 'retry' && (verdict.class === 'transient' || verdict.class === 'dependency');
}

function byShape(error: unknown): Verdict {
  for (let current = error, depth = 0; current !== null && typeof current === 'object' && depth < 5; depth++) {
    const shape = current as {
      code?: unknown;
      name?: unknown;
      transient?: unknown;
      retriable?: unknown;
      status?: unknown;
      statusCode?: unknown;
      $metadata?: { httpStatusCode?: unknown };
      cause?: unknown;
      errors?: unknown;
    };
    // Weir's own packages (storage, lake) say so themselves; kafkajs calls it `retriable`.
    if (shape.transient === true || shape.retriable === true) return retry('transient');
    if (shape.transient === false && current instanceof WeirError) return dead('permanent');
    if (typeof shape.code === 'string' && TRANSIENT_CODES.has(shape.code)) return retry('transient');
    if (shape.name === 'TimeoutError') return retry('transient');
    const status = [shape.status, shape.statusCode, shape.$metadata?.httpStatusCode].find(
      (each): each is number => typeof each === 'number',
    );
    if (status !== undefined) {
      if (TRANSIENT_STATUS.has(status) || status > 504) return retry('transient');
      if (status === 401) return { kind: 'retry-once', class: 'auth' };
      if (PERMANENT_STATUS.has(status)) return dead('permanent');
    }
    current = Array.isArray(shape.errors) && shape.errors.length > 0 ? shape.errors[0] : shape.cause;
  }
  return retry('poison');
}

/** One line about a failure, secrets removed, for headers, logs and tables. */
export function errorLine(error: unknown): string {
  return redactText(describeError(error)).slice(0, 2000);
}
