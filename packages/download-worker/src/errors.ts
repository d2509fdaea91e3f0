/**
 * What can be wrong with a download, each with its facts. None of these decides between a retry and a dead letter:
 * outcome.ts does, in one table.
 */
import { type ErrorEntry, WeirError } from '@weir/core';

export const ERRORS = {
  WEIR_DOWNLOAD_URL_REFUSED: {
    fix: 'The URL breaks a rule of safe downloads: see ALLOWED_ATTACHMENT_DOMAINS, ALLOWED_PORTS, ALLOW_HTTP, then replay.',
  },
  WEIR_DOWNLOAD_ADDRESS_REFUSED: {
    fix: 'The host resolves to an address inside a network. If that is meant (tests, the demo), set ALLOW_PRIVATE_ADDRESSES.',
  },
  WEIR_DOWNLOAD_EXPIRED: { fix: 'Ask the sender for a fresh URL: a presigned one cannot be renewed from here.' },
  WEIR_DOWNLOAD_LOGIN: { fix: 'The host wants a login that an attachment URL should not need; ask the sender.' },
  WEIR_DOWNLOAD_HTTP_STATUS: {
    fix: 'Nothing for 408, 425, 429 and 5xx, they are retried; else look at the URL and its host.',
  },
  WEIR_DOWNLOAD_FILE_REFUSED: {
    fix: 'Widen MAX_FILE_BYTES or ALLOWED_FILE_TYPES if this file should be taken, then replay.',
  },
  WEIR_DOWNLOAD_TRANSFER_BROKEN: { fix: 'Nothing: retried. If it lasts, look at the host or the network between.' },
  WEIR_DOWNLOAD_TIMEOUT: { fix: 'Nothing: retried. For files that need longer raise DOWNLOAD_TIMEOUT_MS.' },
} as const satisfies Record<string, ErrorEntry>;

export type UrlRule = 'syntax' | 'scheme' | 'userinfo' | 'host' | 'port' | 'redirects' | 'location';

export class UrlRefusedError extends WeirError {
  readonly rule: UrlRule;
  constructor(rule: UrlRule, message: string) {
    super('WEIR_DOWNLOAD_URL_REFUSED', message);
    this.rule = rule;
  }
}

export class AddressRefusedError extends WeirError {
  readonly address: string;
  readonly range: string;
  constructor(host: string, address: string, range: string) {
    super(
      'WEIR_DOWNLOAD_ADDRESS_REFUSED',
      `${host === address ? host : `${host} resolves to ${address}, which`} is not a public address (${range})`,
    );
    this.address = address;
    this.range = range;
  }
}

export class ExpiredUrlError extends WeirError {
  /** Milliseconds since the epoch; undefined when only the host's answer said so. */
  readonly expiredAt: number | undefined;
  readonly httpStatus: number | undefined;
  constructor(detail: { expiredAt?: number; httpStatus?: number }) {
    super(
      'WEIR_DOWNLOAD_EXPIRED',
      detail.expiredAt === undefined
        ? `the presigned URL has expired, says its host (HTTP ${detail.httpStatus})`
        : `the presigned URL expired at ${new Date(detail.expiredAt).toISOString()}`,
    );
    this.expiredAt = detail.expiredAt;
    this.httpStatus = detail.httpStatus;
  }
}

export class LoginWantedError extends WeirError {
  readonly httpStatus: number;
  constructor(host: string, httpStatus: number) {
    super(
      'WEIR_DOWNLOAD_LOGIN',
      httpStatus === 401 ? `${host} answered HTTP 401` : `${host} redirected to a login (HTTP ${httpStatus})`,
    );
    this.httpStatus = httpStatus;
  }
}

export class HttpStatusError extends WeirError {
  readonly httpStatus: number;
  /** From Retry-After, ms. */
  readonly retryAfterMs: number | undefined;
  constructor(host: string, httpStatus: number, retryAfterMs?: number) {
    super('WEIR_DOWNLOAD_HTTP_STATUS', `${host} answered HTTP ${httpStatus}`);
    this.httpStatus = httpStatus;
    this.retryAfterMs = retryAfterMs;
  }
}

export class FileRefusedError extends WeirError {
  readonly rule: 'size' | 'type' | 'content-type' | 'content';
  constructor(rule: FileRefusedError['rule'], message: string) {
    super('WEIR_DOWNLOAD_FILE_REFUSED', message);
    this.rule = rule;
  }
}

/** The host's side of the transfer failed: no connection, no answer, cut off, stalled. */
export class TransferBrokenError extends WeirError {
  readonly host: string;
  constructor(host: string, detail: string, options?: { cause?: unknown }) {
    super('WEIR_DOWNLOAD_TRANSFER_BROKEN', `transfer from ${host}: ${detail}`, options);
    this.host = host;
  }
}

export class TransferTimeoutError extends WeirError {
  readonly timeoutMs: number;
  constructor(timeoutMs: number) {
    super('WEIR_DOWNLOAD_TIMEOUT', `the transfer did not end within ${timeoutMs} ms`);
    this.timeoutMs = timeoutMs;
  }
}
