/**
 * One request to one host: no redirects followed, nothing decompressed, every answer turned into one of three things.
 * Which of them is worth a retry is outcome.ts's to say; which redirect may be followed is guard.ts's.
 *
 * undici is loaded by `openFetcher` only, so that importing the declaration (manifests, command line) costs no memory.
 */
import { type Clock, describeError } from '@weir/core';
import { Body } from './body.ts';
import { guardedConnector, type Resolve } from './connector.ts';
import {
  AddressRefusedError,
  ExpiredUrlError,
  FileRefusedError,
  HttpStatusError,
  LoginWantedError,
  TransferBrokenError,
  UrlRefusedError,
} from './errors.ts';
import { exchange, type HttpAnswer } from './exchange.ts';
import { isUnwell } from './outcome.ts';
import { retryAfterMs } from './retry-after.ts';

export interface FileAnswer {
  readonly kind: 'file';
  readonly httpStatus: number;
  readonly contentType: string | undefined;
  readonly body: Body;
}
/** `location` is resolved but not checked. */
export interface RedirectAnswer {
  readonly kind: 'redirect';
  readonly location: URL;
}
/** The host is well and says no. */
export interface RefusedAnswer {
  readonly kind: 'refused';
  readonly error: Error;
}
export type Answer = FileAnswer | RedirectAnswer | RefusedAnswer;

export interface FetcherOptions {
  readonly allowPrivate: boolean;
  readonly connectTimeoutMs: number;
  readonly idleTimeoutMs: number;
  readonly maxBytes: number;
  readonly clock: Clock;
  readonly resolve?: Resolve;
  readonly onBytes?: (bytes: number) => void;
}

export interface Fetcher {
  /**
   * @param signal  ends the whole transfer, body included
   * @throws TransferBrokenError, HttpStatusError (408, 425, 429, 5xx): the host is not well
   * @throws AddressRefusedError
   */
  open(url: URL, signal: AbortSignal): Promise<Answer>;
  close(): Promise<void>;
}

const HEADERS = { accept: '*/*', 'accept-encoding': 'identity', 'user-agent': 'weir-download-worker' };
const REDIRECTS = new Set([301, 302, 303, 307, 308]);
const FILES = new Set([200, 203]);
const LOGIN = /(^|[/._-])(log-?in|log-?on|sign-?in|sso|saml2?|oauth2?|authenticate)([/._?-]|$)/i;
/** How S3 and its relatives say that a signature has run out (HTTP 403, some HTTP 400). */
const EXPIRED = /request has expired|<code>expiredtoken<\/code>|signature (has )?expired|token (has )?expired/i;
const ANSWER_BYTES = 4096;
/** It is kept with the object and in the result; what is longer is no content type. */
const CONTENT_TYPE_LENGTH = 200;

export async function openFetcher(options: FetcherOptions): Promise<Fetcher> {
  const { Agent, buildConnector } = await import('undici');
  const agent = new Agent({
    connect: guardedConnector(buildConnector, {
      allowPrivate: options.allowPrivate,
      timeoutMs: options.connectTimeoutMs,
      ...(options.resolve ? { resolve: options.resolve } : {}),
    }),
    headersTimeout: options.idleTimeoutMs,
    bodyTimeout: options.idleTimeoutMs,
    keepAliveTimeout: 10_000,
    pipelining: 1,
  });

  async function send(url: URL, signal: AbortSignal): Promise<HttpAnswer> {
    try {
      return await exchange(agent, url, { headers: HEADERS, signal });
    } catch (cause) {
      if (signal.aborted) throw signal.reason;
      if (cause instanceof AddressRefusedError) throw cause;
      throw new TransferBrokenError(url.host, describeError(cause), { cause });
    }
  }

  return {
    async open(url, signal) {
      signal.throwIfAborted();
      const response = await send(url, signal);
      if (FILES.has(response.statusCode)) return fileAnswer(response, url, options);
      // A body that nobody reads keeps its connection; what is left over is not worth waiting for.
      if (REDIRECTS.has(response.statusCode)) {
        await drain(response);
        return redirectAnswer(response, url);
      }
      if (isUnwell(response.statusCode)) {
        await drain(response);
        const after = retryAfterMs(headerOf(response, 'retry-after'), options.clock.now());
        throw new HttpStatusError(url.host, response.statusCode, after);
      }
      return { kind: 'refused', error: refusalOfStatus(response.statusCode, url, await beginningOf(response)) };
    },
    async close() {
      await agent.destroy();
    },
  };
}

function fileAnswer(response: HttpAnswer, url: URL, options: FetcherOptions): Answer {
  const contentLength = lengthOf(headerOf(response, 'content-length'));
  if (contentLength !== undefined && contentLength > options.maxBytes) {
    void response.body.return?.();
    const message = `the file has ${contentLength} bytes, ${options.maxBytes} are allowed (MAX_FILE_BYTES)`;
    return { kind: 'refused', error: new FileRefusedError('size', message) };
  }
  return {
    kind: 'file',
    httpStatus: response.statusCode,
    contentType: headerOf(response, 'content-type')?.slice(0, CONTENT_TYPE_LENGTH),
    body: new Body(response.body, {
      host: url.host,
      contentLength,
      maxBytes: options.maxBytes,
      clock: options.clock,
      ...(options.onBytes ? { onBytes: options.onBytes } : {}),
    }),
  };
}

function redirectAnswer(response: HttpAnswer, url: URL): Answer {
  const location = URL.parse(headerOf(response, 'location') ?? '', url.href);
  if (!location || headerOf(response, 'location') === undefined) {
    const message = `${url.host} redirected (HTTP ${response.statusCode}) to nowhere that can be read`;
    return { kind: 'refused', error: new UrlRefusedError('location', message) };
  }
  if (LOGIN.test(location.pathname) && !LOGIN.test(url.pathname)) {
    return { kind: 'refused', error: new LoginWantedError(url.host, response.statusCode) };
  }
  return { kind: 'redirect', location };
}

function refusalOfStatus(status: number, url: URL, beginning: string): Error {
  if (status === 401) return new LoginWantedError(url.host, status);
  if ((status === 403 || status === 400) && EXPIRED.test(beginning)) return new ExpiredUrlError({ httpStatus: status });
  return new HttpStatusError(url.host, status);
}

/** The first kilobytes of an answer that is no file, as text; the rest is thrown away with its connection. */
async function beginningOf(response: HttpAnswer): Promise<string> {
  const chunks: Buffer[] = [];
  let bytes = 0;
  try {
    for await (const chunk of response.body) {
      chunks.push(chunk);
      bytes += chunk.length;
      if (bytes >= ANSWER_BYTES) break;
    }
  } catch {
    // The status is known; the explanation was cut off.
  }
  return Buffer.concat(chunks).subarray(0, ANSWER_BYTES).toString('utf8');
}

async function drain(response: HttpAnswer): Promise<void> {
  await beginningOf(response);
}

function headerOf(response: HttpAnswer, name: string): string | undefined {
  const value = response.headers[name];
  return Array.isArray(value) ? value[0] : value;
}

const lengthOf = (header: string | undefined) =>
  header !== undefined && /^\d{1,15}$/.test(header.trim()) ? Number(header) : undefined;
