/**
 * Small files written at once, in the event loop: four system calls on the page cache, some 50 µs. Handed to Node's
 * thread pool each of the four costs a thread's waking and our own waking again, several times the work itself, and for
 * files of 20 KB that was a fifth of a download's processor time.
 *
 * It is only right while the disk answers at once, since nothing else happens meanwhile. So every write is timed, less what
 * it waited for a processor (processor-wait.ts): on a busy machine that is most of it, and says nothing about the disk.
 *
 *   quick --a write of 16 ms, or a mean above 1 ms--> resting (all goes to the thread pool) --2 s--> quick, on trial
 *   on trial: the first slow write sends it to rest again
 *
 * A disk that hangs for good holds the loop at most once, at the write it hangs in; the process is then as dead as one
 * whose thread pool is full of such writes, and its liveness probe says so.
 */
import { closeSync, mkdirSync, openSync, renameSync, unlinkSync, writeSync } from 'node:fs';
import { dirname } from 'node:path';
import type { Clock } from '@weir/core';
import type { ProcessorWait } from './processor-wait.ts';

/** Larger ones take longer than a hop to the thread pool does. */
export const IN_PLACE_BYTES = 64 * 1024;
const SLOW_MS = 1;
const SMOOTHING = 16;
const REST_MS = 2_000;

export class QuickDisk {
  readonly #clock: Pick<Clock, 'monotonic'>;
  readonly #processor: Pick<ProcessorWait, 'ms'>;
  #meanMs = 0;
  #restsUntilMs = Number.NEGATIVE_INFINITY;

  constructor(clock: Pick<Clock, 'monotonic'>, processor: Pick<ProcessorWait, 'ms'> = { ms: () => 0 }) {
    this.#clock = clock;
    this.#processor = processor;
  }

  get quick(): boolean {
    return this.#clock.monotonic() >= this.#restsUntilMs;
  }

  /** Does it and watches how long it takes. */
  timed(work: () => void): void {
    const waited = this.#processor.ms();
    const since = this.#clock.monotonic();
    try {
      work();
    } finally {
      const now = this.#clock.monotonic();
      const elapsed = now - since;
      // Asked again only of a slow one: most are not.
      const took = elapsed > SLOW_MS ? Math.max(0, elapsed - (this.#processor.ms() - waited)) : elapsed;
      this.#meanMs += (took - this.#meanMs) / SMOOTHING;
      if (this.#meanMs > SLOW_MS) {
        this.#restsUntilMs = now + REST_MS;
        this.#meanMs = SLOW_MS;
      }
    }
  }
}

/** Appears whole under its name, or not at all; what was there is replaced. @throws the file system's error */
export function putInPlace(temporary: string, target: string, bytes: Uint8Array, madeFolders: Set<string>): void {
  const folder = dirname(target);
  if (!madeFolders.has(folder)) {
    mkdirSync(folder, { recursive: true });
    madeFolders.add(folder);
  }
  const file = openSync(temporary, 'wx');
  try {
    try {
      for (let written = 0; written < bytes.byteLength; ) written += writeSync(file, bytes, written);
    } finally {
      closeSync(file);
    }
    renameSync(temporary, target);
  } catch (error) {
    unlinkSync(temporary);
    throw error;
  }
}
