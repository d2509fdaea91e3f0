/**
 * How long this thread was ready to run and had no processor: turned out by others, or over its container's share. Whoever
 * times a system call on a busy machine must know it, or mistakes the machine's load for the disk's slowness.
 *
 * Linux keeps the number for every thread (`/proc/…/schedstat`, the second one, nanoseconds); a file kept open is read in
 * two microseconds. Elsewhere, or where it is hidden, it is always 0: then a wait for the processor counts as the disk's.
 */
import { openSync, readSync } from 'node:fs';

export class ProcessorWait {
  /** Undefined before the first question; -1 where there is none. */
  #file: number | undefined;
  readonly #text = Buffer.alloc(64);

  /** Of the thread that asks first, in milliseconds since it began. */
  ms(): number {
    this.#file ??= open();
    if (this.#file < 0) return 0;
    try {
      const text = this.#text.toString('latin1', 0, readSync(this.#file, this.#text, 0, this.#text.length, 0));
      return Number(text.split(' ')[1]) / 1e6 || 0;
    } catch {
      this.#file = -1;
      return 0;
    }
  }
}

/** This thread's. Its file stays open as long as the thread is there. */
export const processorWait = new ProcessorWait();

function open(): number {
  try {
    return openSync('/proc/thread-self/schedstat', 'r');
  } catch {
    return -1;
  }
}
