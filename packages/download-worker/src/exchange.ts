/**
 * One request and its answer, on the level below undici's `request`: the body's chunks wait here until they are read.
 * `request` makes a Readable of every body, and making and iterating one costs a small file more processor time than its
 * request does.
 *
 *   asked --headers--> answered --its last chunk came, or the reader wants no more--> ended
 *   asked, answered --the connection breaks, the signal aborts--> broken
 *
 * Back pressure: with 64 KiB unread the connection is not read any further until less than that waits.
 */
import type { Dispatcher } from 'undici';

export interface HttpAnswer {
  readonly statusCode: number;
  /** Names in small letters. */
  readonly headers: Readonly<Record<string, string | string[] | undefined>>;
  /** Read it once, to its end, or `return` it: otherwise it keeps its connection. */
  readonly body: AsyncIterableIterator<Buffer, undefined, undefined>;
}

const MOST_UNREAD_BYTES = 64 * 1024;
const OVER: IteratorResult<Buffer, undefined> = { done: true, value: undefined };

/**
 * Sends a GET and resolves when its headers are there; nothing is followed or decompressed.
 * @param signal  ends request and body alike: both then reject with its reason
 * @throws signal.reason, or what undici made of the connection's failure
 */
export function exchange(
  dispatcher: Dispatcher,
  url: URL,
  { headers, signal }: { headers: Record<string, string>; signal: AbortSignal },
): Promise<HttpAnswer> {
  return new Promise((resolve, reject) => {
    const handler = new Exchange(signal, resolve, reject);
    if (signal.aborted) return;
    dispatcher.dispatch({ origin: url.origin, path: `${url.pathname}${url.search}`, method: 'GET', headers }, handler);
  });
}

class Exchange implements Dispatcher.DispatchHandler, AsyncIterableIterator<Buffer, undefined, undefined> {
  readonly #signal: AbortSignal;
  readonly #aborted: () => void;
  #answer: ((answer: HttpAnswer) => void) | undefined;
  #refuse: ((error: unknown) => void) | undefined;
  #controller: Dispatcher.DispatchController | undefined;
  #state: 'open' | 'ended' | 'broken' = 'open';
  #error: unknown;
  readonly #unread: Buffer[] = [];
  #unreadBytes = 0;
  /** Who waits for the next chunk; one at a time. */
  #reader: PromiseWithResolvers<IteratorResult<Buffer, undefined>> | undefined;

  constructor(signal: AbortSignal, answer: (answer: HttpAnswer) => void, refuse: (error: unknown) => void) {
    this.#signal = signal;
    this.#answer = answer;
    this.#refuse = refuse;
    this.#aborted = () => this.#giveUp(signal.reason);
    if (signal.aborted) this.#break(signal.reason);
    else signal.addEventListener('abort', this.#aborted, { once: true });
  }

  // What undici calls.

  onRequestStart(controller: Dispatcher.DispatchController): void {
    this.#controller = controller;
    // Given up while the connection was being made.
    if (this.#state === 'broken') controller.abort(asError(this.#error));
  }

  onResponseStart(_: Dispatcher.DispatchController, statusCode: number, headers: HttpAnswer['headers']): void {
    if (statusCode < 200) return;
    const answer = this.#answer;
    this.#answer = undefined;
    this.#refuse = undefined;
    answer?.({ statusCode, headers, body: this });
  }

  onResponseData(controller: Dispatcher.DispatchController, chunk: Buffer): void {
    if (this.#state !== 'open') return;
    const reader = this.#reader;
    if (reader !== undefined) {
      this.#reader = undefined;
      reader.resolve({ done: false, value: chunk });
      return;
    }
    this.#unread.push(chunk);
    this.#unreadBytes += chunk.length;
    if (this.#unreadBytes >= MOST_UNREAD_BYTES) controller.pause();
  }

  onResponseEnd(): void {
    this.#end();
  }

  onResponseError(_: Dispatcher.DispatchController | null, error: Error): void {
    this.#break(error);
  }

  // What the reader calls.

  next(): Promise<IteratorResult<Buffer, undefined>> {
    const chunk = this.#unread.shift();
    if (chunk !== undefined) {
      this.#unreadBytes -= chunk.length;
      if (this.#unreadBytes < MOST_UNREAD_BYTES) this.#controller?.resume();
      return Promise.resolve({ done: false, value: chunk });
    }
    if (this.#state === 'ended') return Promise.resolve(OVER);
    if (this.#state === 'broken') return Promise.reject(this.#error);
    this.#reader = Promise.withResolvers();
    return this.#reader.promise;
  }

  /** Gives the rest up; its connection is closed, unless all of it has come already. */
  return(): Promise<IteratorResult<Buffer, undefined>> {
    this.#unread.length = 0;
    this.#unreadBytes = 0;
    if (this.#state === 'open') {
      this.#end();
      this.#controller?.abort(new Error('the rest of the answer was not wanted'));
    }
    return Promise.resolve(OVER);
  }

  [Symbol.asyncIterator](): this {
    return this;
  }

  #end(): void {
    if (this.#state !== 'open') return;
    this.#state = 'ended';
    this.#signal.removeEventListener('abort', this.#aborted);
    this.#reader?.resolve(OVER);
    this.#reader = undefined;
  }

  #giveUp(reason: unknown): void {
    if (this.#state !== 'open') return;
    this.#break(reason);
    this.#controller?.abort(asError(reason));
  }

  #break(error: unknown): void {
    if (this.#state !== 'open') return;
    this.#state = 'broken';
    this.#error = error;
    // A reader must not take what came before for the beginning of a whole.
    this.#unread.length = 0;
    this.#unreadBytes = 0;
    this.#signal.removeEventListener('abort', this.#aborted);
    this.#refuse?.(error);
    this.#answer = undefined;
    this.#refuse = undefined;
    this.#reader?.reject(error);
    this.#reader = undefined;
  }
}

const asError = (reason: unknown): Error => (reason instanceof Error ? reason : new Error(String(reason)));
