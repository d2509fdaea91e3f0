/** Tools for tests of whole downloads: everything real, loopback and http allowed. */
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { pathToFileURL } from 'node:url';
import type { DownloadTask } from '@weir/contracts';
import { systemClock } from '@weir/core';
import { type ObjectStore, openStore } from '@weir/storage';
import type { Calls, DownloadTools } from './download.ts';
import { type FetcherOptions, openFetcher } from './fetch.ts';
import { FileTypes } from './file-types.ts';
import { Guard, type GuardRules } from './guard.ts';

export const taskOf = (url: string, over: Partial<DownloadTask> = {}): DownloadTask => ({
  traceId: 't-1',
  mediaId: '0123abcd-0000-5000-8000-000000000000',
  attachmentUrl: url,
  blobPath: 's/a/t/0123abcd_file.pdf',
  statusSubtype: 's',
  fileType: 'PDF',
  assignmentId: 'a',
  eventType: 'x.s',
  originalTimestamp: '2026-11-21T12:00:00Z',
  ...over,
});

export interface World extends DownloadTools, AsyncDisposable {
  readonly store: ObjectStore;
  /** Calls that were made, `host:HOST` and `blobs`, with what they threw. */
  readonly calls: Calls & { readonly made: { readonly name: string; readonly threw: unknown }[] };
}

export interface WorldOptions extends Partial<FetcherOptions>, Partial<GuardRules> {
  readonly types?: readonly string[];
  readonly timeoutMs?: number;
  readonly store?: (store: ObjectStore) => ObjectStore;
}

export async function world(options: WorldOptions = {}): Promise<World> {
  const folder = await mkdtemp(join(tmpdir(), 'weir-download-'));
  const folderStore = await openStore(pathToFileURL(folder).href, { create: true });
  const store = options.store?.(folderStore) ?? folderStore;
  const fetcher = await openFetcher({
    allowPrivate: true,
    connectTimeoutMs: 2000,
    idleTimeoutMs: 2000,
    maxBytes: 1024 * 1024,
    clock: systemClock,
    ...options,
  });
  const made: { name: string; threw: unknown }[] = [];
  const record = async <T>(name: string, work: (signal: AbortSignal) => Promise<T>): Promise<T> => {
    try {
      const result = await work(new AbortController().signal);
      made.push({ name, threw: undefined });
      return result;
    } catch (threw) {
      made.push({ name, threw });
      throw threw;
    }
  };
  return {
    guard: new Guard({ domains: ['*'], ports: ['*'], allowHttp: true, ...options }),
    fetcher,
    types: new FileTypes(options.types ?? ['*']),
    store,
    clock: systemClock,
    timeoutMs: options.timeoutMs ?? 20_000,
    calls: { made, host: (host, work) => record(`host:${host}`, work), blobs: (work) => record('blobs', work) },
    async [Symbol.asyncDispose]() {
      await fetcher.close();
      await store.close();
      await rm(folder, { recursive: true, force: true });
    },
  };
}
