/**
 * A folder as an object store, for development, tests and single machines.
 *
 * Everything is written under `.weir-tmp` first and then appears in one step: `rename` replaces, `link` creates and
 * fails when the name is taken (a hard link to a whole file, so a loser or a reader never sees an empty one, which
 * `open(…, 'wx')` would show). A killed process leaves a file in `.weir-tmp` at worst; they are removed after a day.
 *
 * A process that dies loses nothing it was told is stored; a machine that loses power may, unless `fsync` is on.
 */
import { randomUUID } from 'node:crypto';
import { type FileHandle, link, mkdir, open, opendir, readFile, rename, rm, stat, unlink } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import type { Readable } from 'node:stream';
import { pathToFileURL } from 'node:url';
import { type Clock, type Logger, redactText } from '@weir/core';
import { BucketMissingError, PreconditionFailedError, StoreNotAtomicError } from './errors.ts';
import { codeOf, isMissing, storeError } from './folder-errors.ts';
import { keysIn } from './folder-walk.ts';
import { IN_PLACE_BYTES, putInPlace, QuickDisk } from './in-place.ts';
import { checkKey, checkPrefix, TEMPORARY } from './key.ts';
import { probeStore } from './probe.ts';
import { processorWait } from './processor-wait.ts';
import { WatchedSource } from './source.ts';
import type { ByteRange, ObjectInfo, ObjectStore, PutOptions, PutStreamOptions } from './store.ts';
import { writeWhole } from './write-whole.ts';

/** Folders that are remembered as made; past it all are forgotten, which costs a question each. */
const MOST_KNOWN_FOLDERS = 10_000;
const STALE_TEMPORARY_MS = 24 * 60 * 60_000;
const NO_HARD_LINKS = new Set(['EPERM', 'ENOTSUP', 'EOPNOTSUPP', 'ENOSYS', 'EMLINK']);

interface FolderOptions {
  readonly root: string;
  readonly create: boolean;
  readonly fsync: boolean;
  readonly clock: Clock;
  readonly log: Logger;
}

/** One `write` may take less than it was given. */
async function writeAll(file: FileHandle, chunk: Uint8Array): Promise<void> {
  let written = 0;
  while (written < chunk.byteLength) written += (await file.write(chunk, written)).bytesWritten;
}

/** @throws BucketMissingError when the folder is not there and `create` is off */
export async function openFolder(options: FolderOptions): Promise<ObjectStore> {
  const store = new FolderStore(options);
  await store.open();
  return store;
}

class FolderStore implements ObjectStore {
  readonly location: string;
  readonly #options: FolderOptions;
  readonly #temporary: string;
  /** Made before, as far as we know: somebody may have removed one since. */
  readonly #folders = new Set<string>();
  readonly #disk: QuickDisk;

  constructor(options: FolderOptions) {
    this.#options = options;
    this.#temporary = join(options.root, TEMPORARY);
    this.#disk = new QuickDisk(options.clock, processorWait);
    this.location = pathToFileURL(options.root).href;
  }

  async open(): Promise<void> {
    const { root, create } = this.#options;
    try {
      if (create) await mkdir(root, { recursive: true });
      if (!(await stat(root)).isDirectory()) throw new BucketMissingError(this.location);
      await mkdir(this.#temporary, { recursive: true });
    } catch (error) {
      if (isMissing(error) || codeOf(error) === 'EEXIST') {
        throw new BucketMissingError(this.location, { cause: error });
      }
      throw this.#wrap('open', '', error);
    }
    await this.#sweep();
  }

  async get(key: string, options: { range?: ByteRange } = {}): Promise<Uint8Array> {
    checkKey(key);
    try {
      if (!options.range) return await readFile(this.#path(key));
      return await this.#read(key, options.range);
    } catch (error) {
      throw this.#wrap('get', key, error);
    }
  }

  async head(key: string): Promise<ObjectInfo | undefined> {
    checkKey(key);
    try {
      const found = await stat(this.#path(key));
      return found.isFile() ? { key, bytes: found.size, modifiedAt: found.mtimeMs } : undefined;
    } catch (error) {
      if (isMissing(error)) return undefined;
      throw this.#wrap('head', key, error);
    }
  }

  async put(key: string, bytes: Uint8Array, options: PutOptions = {}): Promise<{ etag?: string }> {
    checkKey(key);
    options.signal?.throwIfAborted();
    const temporary = this.#temporaryName();
    try {
      if (this.#putAtOnce(temporary, key, bytes, options)) return {};
      await this.#inTemporary(() => writeWhole(temporary, bytes, this.#options));
      options.signal?.throwIfAborted();
      await this.#publish(temporary, key, options.ifNoneMatch === true);
      return {};
    } catch (error) {
      await rm(temporary, { force: true }).catch(() => undefined);
      if (options.signal?.aborted) throw options.signal.reason;
      throw this.#wrap('put', key, error);
    }
  }

  async putStream(
    key: string,
    source: Readable | AsyncIterable<Uint8Array>,
    options: PutStreamOptions = {},
  ): Promise<{ bytes: number; etag?: string }> {
    checkKey(key);
    const temporary = this.#temporaryName();
    const watched = new WatchedSource(source, options);
    try {
      await this.#inTemporary(async () => {
        const file = await open(temporary, 'wx');
        await this.#finish(file, async () => {
          for await (const chunk of watched) await writeAll(file, chunk);
        });
      });
      options.signal?.throwIfAborted();
      await this.#publish(temporary, key, false);
      return { bytes: watched.bytes };
    } catch (error) {
      watched.abandon();
      await rm(temporary, { force: true }).catch(() => undefined);
      if (watched.failure) throw watched.failure.error;
      if (options.signal?.aborted) throw options.signal.reason;
      throw this.#wrap('putStream', key, error);
    }
  }

  async *list(prefix: string, options: { startAfter?: string } = {}): AsyncGenerator<ObjectInfo> {
    checkPrefix(prefix);
    const { root } = this.#options;
    for await (const key of keysIn({ root, location: this.location, prefix, startAfter: options.startAfter })) {
      const info = await this.head(key);
      if (info) yield info;
    }
  }

  async delete(key: string): Promise<void> {
    checkKey(key);
    try {
      await unlink(this.#path(key));
    } catch (error) {
      if (isMissing(error)) return;
      throw this.#wrap('delete', key, error);
    }
  }

  url(key: string): string {
    checkKey(key);
    return pathToFileURL(this.#path(key)).href;
  }

  probe(): Promise<void> {
    return probeStore(this);
  }

  async close(): Promise<void> {}

  /** False: not now, or a folder is missing, which the slower way sees to. */
  #putAtOnce(temporary: string, key: string, bytes: Uint8Array, options: PutOptions): boolean {
    if (this.#options.fsync || options.ifNoneMatch || bytes.byteLength > IN_PLACE_BYTES || !this.#disk.quick)
      return false;
    try {
      this.#disk.timed(() => putInPlace(temporary, this.#path(key), bytes, this.#folders));
      return true;
    } catch (error) {
      if (codeOf(error) !== 'ENOENT') throw error;
      return false;
    }
  }

  #path(key: string): string {
    return join(this.#options.root, key);
  }

  #temporaryName(): string {
    return join(this.#temporary, randomUUID());
  }

  /** The temporary folder may be removed under a running store (a cleaned disk, an emptied demo folder): made again. */
  async #inTemporary(write: () => Promise<void>): Promise<void> {
    try {
      await write();
    } catch (error) {
      if (codeOf(error) !== 'ENOENT' || (error as { syscall?: string }).syscall !== 'open') throw error;
      await mkdir(this.#temporary, { recursive: true });
      await write();
    }
  }

  async #finish(file: FileHandle, write: () => Promise<unknown>): Promise<void> {
    try {
      await write();
      if (this.#options.fsync) await file.sync();
    } finally {
      await file.close();
    }
  }

  async #publish(temporary: string, key: string, createOnly: boolean): Promise<void> {
    const target = this.#path(key);
    const folder = dirname(target);
    if (!this.#folders.has(folder)) await this.#makeFolder(folder);
    for (let attempt = 0; ; attempt++) {
      try {
        if (createOnly) await this.#link(temporary, target, key);
        else await rename(temporary, target);
        break;
      } catch (error) {
        if (codeOf(error) !== 'ENOENT' || attempt > 0) throw error;
        await this.#makeFolder(folder);
      }
    }
    if (this.#options.fsync) {
      const entry = await open(folder, 'r');
      await this.#finish(entry, async () => entry.sync());
    }
  }

  async #makeFolder(folder: string): Promise<void> {
    await mkdir(folder, { recursive: true });
    if (this.#folders.size >= MOST_KNOWN_FOLDERS) this.#folders.clear();
    this.#folders.add(folder);
  }

  async #link(temporary: string, target: string, key: string): Promise<void> {
    try {
      await link(temporary, target);
    } catch (error) {
      if (codeOf(error) === 'EEXIST') throw new PreconditionFailedError(key, { cause: error });
      if (NO_HARD_LINKS.has(codeOf(error))) {
        throw new StoreNotAtomicError(this.location, 0, 'its file system has no hard links', { cause: error });
      }
      throw error;
    }
    await unlink(temporary);
  }

  async #read(key: string, range: ByteRange): Promise<Uint8Array> {
    const file = await open(this.#path(key), 'r');
    try {
      const { size } = await file.stat();
      const end = Math.min(size, range.length === undefined ? size : range.start + range.length);
      const wanted = Math.max(0, end - range.start);
      const bytes = Buffer.alloc(wanted);
      let filled = 0;
      while (filled < wanted) {
        const { bytesRead } = await file.read(bytes, filled, wanted - filled, range.start + filled);
        if (bytesRead === 0) break;
        filled += bytesRead;
      }
      return bytes.subarray(0, filled);
    } finally {
      await file.close();
    }
  }

  async #sweep(): Promise<void> {
    try {
      const before = this.#options.clock.now() - STALE_TEMPORARY_MS;
      for await (const entry of await opendir(this.#temporary)) {
        const path = join(this.#temporary, entry.name);
        if ((await stat(path)).mtimeMs < before) await rm(path, { force: true });
      }
    } catch (error) {
      this.#options.log.debug({ error: redactText(String(error)) }, 'left-over temporary files were not removed');
    }
  }

  #wrap(operation: string, key: string, error: unknown): unknown {
    return storeError(error, { location: this.location, operation, key });
  }
}
