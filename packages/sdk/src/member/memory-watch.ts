/**
 * Looks at the process's memory ten times a second and tells the worker when it is short (flow/memory-guard.ts decides).
 * Says so in the log, with the numbers and what to do; not more than once a minute, because a process that is too small
 * for its work gets short again and again.
 */
import type { Cancel, Clock, Logger } from '@weir/core';
import {
  type InHand,
  MemoryGuard,
  type MemoryProbe,
  type MemoryReading,
  type MemorySettings,
  shareOf,
} from '../flow/memory-guard.ts';

/** 20 µs a look; what handlers hold can grow by a tenth of a small heap within this. */
const LOOK_EVERY_MS = 100;
const SAY_EVERY_MS = 60_000;
const REMEDY: Readonly<Record<MemoryReading['of'], string>> = {
  heap: 'give it more heap (--max-old-space-size)',
  container: 'give the container more memory (WEIR_PROFILE)',
};

export interface MemoryWatchOptions {
  /** Undefined: nobody looks, as in tests and where the guard is turned off. */
  readonly probe: MemoryProbe | undefined;
  readonly settings: MemorySettings | undefined;
  readonly clock: Clock;
  readonly log: Logger;
  readonly hand: () => InHand;
  /** It became short, or it is short no more, or the ceiling moved. */
  readonly onChange: () => void;
}

export class MemoryWatch {
  readonly #options: MemoryWatchOptions;
  readonly #guard: MemoryGuard | undefined;
  #saidAt = Number.NEGATIVE_INFINITY;
  #said = false;

  constructor(options: MemoryWatchOptions) {
    this.#options = options;
    const { probe, settings, clock } = options;
    this.#guard = probe && settings && new MemoryGuard({ settings, probe, now: () => clock.monotonic() });
  }

  /** Take nothing in; start queued records one at a time. */
  get short(): boolean {
    return this.#guard?.state === 'short';
  }

  /** Handler calls that may be in flight at most; infinite when memory is no question. */
  get ceiling(): number {
    return this.#guard?.ceiling ?? Number.POSITIVE_INFINITY;
  }

  start(): Cancel {
    const guard = this.#guard;
    if (guard === undefined) return () => undefined;
    return this.#options.clock.every(LOOK_EVERY_MS, () => this.#look(guard));
  }

  #look(guard: MemoryGuard): void {
    const { hand, onChange } = this.#options;
    const wasShort = this.short;
    const ceiling = this.ceiling;
    const now = hand();
    const reading = guard.look(now);
    if (this.short !== wasShort) this.#say(reading, now);
    if (this.short !== wasShort || this.ceiling !== ceiling) onChange();
  }

  #say(reading: MemoryReading, { inflight, records }: InHand): void {
    const { clock, log, settings } = this.#options;
    const { short } = this;
    // The end of a shortage that was told is told too.
    if (short ? clock.monotonic() - this.#saidAt < SAY_EVERY_MS : !this.#said) return;
    this.#said = short;
    const mb = (bytes: number) => Math.round(bytes / 2 ** 20);
    const facts = { usedMb: mb(reading.usedBytes), limitMb: mb(reading.limitBytes), of: reading.of, inflight, records };
    const share = `${facts.usedMb} of ${facts.limitMb} MB of ${reading.of === 'heap' ? 'V8’s heap' : 'the container'}`;
    if (!short) {
      if (shareOf(reading) <= settings!.resumeAt)
        log.info(facts, `memory is no longer short: ${share} in use; taking records again, fewer at once for now`);
      else
        log.warn(
          facts,
          `memory is still short (${share} in use), but no record is in hand: something else holds it. Going on with few records at once; ${REMEDY[reading.of]}, or look for what is never let go of`,
        );
      return;
    }
    this.#saidAt = clock.monotonic();
    log.warn(
      facts,
      `memory is short: ${share} in use, above ${Math.round(settings!.pauseAt * 100)} %. Nothing is taken in until it is at ${Math.round(settings!.resumeAt * 100)} %. If this comes back, lower WEIR_CONCURRENCY_MAX or WEIR_QUEUE_BYTES, or ${REMEDY[reading.of]}`,
    );
  }
}
