/**
 * One download from task to stored object. Two dependencies are at work and each must answer for itself: a host that
 * stalls or cuts its file off must not open the store's breaker, a full disk must not open the host's.
 *
 *   check the URL --> ask the host --redirect--> check, ask that host (5 at most)
 *                          | file
 *                          v
 *        check type and first bytes --> stream into the store --> count equals content-length --> done
 *
 * The request lives longer than the host's call: its body flows during the store's. So the transfer has a signal of its
 * own, and a body that breaks while the store is being written is reported to the host's breaker afterwards.
 */
import type { DownloadTask } from '@weir/contracts';
import { expiryOf, parseTimestamp } from '@weir/contracts';
import type { Clock } from '@weir/core';
import { RetryableError } from '@weir/sdk';
import { checkKey, type ObjectStore } from '@weir/storage';
import type { Body } from './body.ts';
import { ExpiredUrlError, TransferTimeoutError, UrlRefusedError } from './errors.ts';
import type { Answer, Fetcher } from './fetch.ts';
import { type FileTypes, HEAD_BYTES } from './file-types.ts';
import type { Guard } from './guard.ts';
import { outcomeOf } from './outcome.ts';
import { type Stored, save } from './save.ts';

export interface DownloadTools {
  readonly guard: Guard;
  readonly fetcher: Fetcher;
  readonly types: FileTypes;
  readonly store: ObjectStore;
  readonly clock: Clock;
  readonly timeoutMs: number;
}

/** How the two dependencies are called: through their breakers, or directly in a test. */
export interface Calls {
  host<T>(host: string, work: (signal: AbortSignal) => Promise<T>): Promise<T>;
  blobs<T>(work: (signal: AbortSignal) => Promise<T>): Promise<T>;
}

export interface Downloaded extends Stored {
  readonly httpStatus: number;
  readonly contentType: string | undefined;
}

interface OpenFile {
  readonly host: string;
  readonly httpStatus: number;
  readonly contentType: string | undefined;
  readonly body: Body;
}

const MAX_REDIRECTS = 5;

/** @throws RetryableError, PermanentError, or what the calls threw themselves (an open breaker, an abort) */
export async function download(
  task: DownloadTask,
  tools: DownloadTools,
  calls: Calls,
  signal: AbortSignal,
): Promise<Downloaded> {
  const transfer = new AbortController();
  const stop = () => transfer.abort(signal.reason);
  if (signal.aborted) stop();
  signal.addEventListener('abort', stop, { once: true });
  const cancel = tools.clock.after(tools.timeoutMs, () => transfer.abort(new TransferTimeoutError(tools.timeoutMs)));
  try {
    // Who writes tasks is not checked: a key that leaves the store is the record's fault, and known before the request.
    checkKey(task.blobPath);
    refuseExpired(task, tools.clock.now());
    const file = await openFile(task, tools, calls, transfer);
    const stored = await storeFile(task, file, tools, calls, transfer.signal);
    return { ...stored, httpStatus: file.httpStatus, contentType: file.contentType };
  } catch (error) {
    // Whatever is still open (a refused file, a failed store) is closed; after a whole transfer nothing is.
    transfer.abort(new Error('the transfer is over'));
    throw outcomeOf(error);
  } finally {
    cancel();
    signal.removeEventListener('abort', stop);
  }
}

function refuseExpired(task: DownloadTask, now: number): void {
  const told = task.expiresAt === undefined ? undefined : parseTimestamp(task.expiresAt);
  const expiredAt = told ?? expiryOf(task.attachmentUrl);
  if (expiredAt !== undefined && expiredAt <= now) throw new ExpiredUrlError({ expiredAt });
}

async function openFile(
  task: DownloadTask,
  tools: DownloadTools,
  calls: Calls,
  transfer: AbortController,
): Promise<OpenFile> {
  let url = tools.guard.check(task.attachmentUrl);
  tools.types.checkName(task.fileType);
  for (let hops = 0; ; hops++) {
    const answer = await ask(url, task, tools, calls, transfer);
    if (answer.kind === 'file') {
      return { host: url.host, httpStatus: answer.httpStatus, contentType: answer.contentType, body: answer.body };
    }
    if (answer.kind === 'refused') throw answer.error;
    if (hops === MAX_REDIRECTS) {
      throw new UrlRefusedError('redirects', `${url.host} redirected more than ${MAX_REDIRECTS} times`);
    }
    url = tools.guard.check(answer.location);
  }
}

/**
 * One hop, through the breaker of its host. Only what says something about the host's health is thrown inside; a 404 or
 * a wrong content type comes out as a value. The first bytes belong to the call: a host that sends headers and then
 * nothing is not well.
 */
function ask(url: URL, task: DownloadTask, tools: DownloadTools, calls: Calls, transfer: AbortController) {
  return calls.host(url.host, async (signal): Promise<Answer> => {
    const stop = () => transfer.abort(signal.reason);
    signal.addEventListener('abort', stop, { once: true });
    try {
      const answer = await tools.fetcher.open(url, transfer.signal);
      if (answer.kind !== 'file') return answer;
      let type: string | undefined;
      try {
        type = tools.types.checkContentType(task.fileType, answer.contentType);
      } catch (error) {
        return { kind: 'refused', error: error as Error };
      }
      const head = await answer.body.peek(HEAD_BYTES);
      try {
        tools.types.checkHead(type, head);
      } catch (error) {
        return { kind: 'refused', error: error as Error };
      }
      return answer;
    } catch (error) {
      throw outcomeOf(transfer.signal.aborted ? transfer.signal.reason : error);
    } finally {
      signal.removeEventListener('abort', stop);
    }
  });
}

async function storeFile(
  task: DownloadTask,
  file: OpenFile,
  tools: DownloadTools,
  calls: Calls,
  transfer: AbortSignal,
): Promise<Stored> {
  // The call's own signal says nothing more: what ends the call ends this download, and that ends the transfer.
  const result = await calls.blobs(async (): Promise<Stored | { readonly hostFailed: unknown }> => {
    try {
      return await save(tools.store, task.blobPath, file.body, {
        contentType: file.contentType,
        signal: transfer,
      });
    } catch (error) {
      if (transfer.aborted && transfer.reason instanceof TransferTimeoutError) {
        if (!file.body.storeIsSlower) return { hostFailed: transfer.reason };
        throw new RetryableError(`the store was too slow: ${transfer.reason.message}`, {
          class: 'dependency',
          cause: transfer.reason,
        });
      }
      if (transfer.aborted) throw transfer.reason;
      if (file.body.failure) return { hostFailed: file.body.failure.error };
      throw error;
    }
  });
  if (!('hostFailed' in result)) return result;
  const outcome = outcomeOf(result.hostFailed);
  if (!(outcome instanceof RetryableError)) throw outcome;
  // Told to the breaker of the host whose file broke: it counts as that call's failure.
  return calls.host(file.host, () => Promise.reject(outcome));
}
