/**
 * The bound on what all logs together may hold. Every segment is registered here; when the sum passes the limit, the
 * oldest segments go: first full ones, in the order they were begun, then the current ones of other partitions. Their
 * partitions' logs then start later, as under Kafka's retention. Each loss is an event, and a warning at most every
 * ten seconds says how much went.
 */
import type { Clock, Logger } from '@weir/core';
import type { Segment } from './segment.ts';

const WARN_EVERY_MS = 10_000;
/** What the index of a segment and its objects weigh, so that many tiny segments count too. */
const SEGMENT_OVERHEAD_BYTES = 512;

export interface Trimmed {
  readonly topic: string;
  readonly partition: number;
  readonly records: number;
  readonly bytes: number;
  readonly logStartOffset: number;
  readonly reason: 'memory' | 'retention.bytes' | 'retention.ms';
}

/** Whoever holds segments: a partition's log. */
export interface SegmentHolder {
  /** True for the segment that is being appended to. */
  isCurrent(segment: Segment): boolean;
  /** Forgets the segment, which is the holder's oldest, and says what was lost. */
  dropOldest(reason: Trimmed['reason']): Trimmed;
  /** Its oldest segment. */
  readonly oldest: Segment | undefined;
}

export class LogMemory {
  readonly limitBytes: number;
  readonly #clock: Clock;
  readonly #log: Logger;
  readonly #report: (trimmed: Trimmed) => void;
  /** In the order they were begun. */
  readonly #segments = new Map<Segment, SegmentHolder>();
  #bytes = 0;
  #warnedAt = Number.NEGATIVE_INFINITY;
  #unwarned = { segments: 0, records: 0, bytes: 0 };
  #cancelWarning: (() => void) | undefined;

  constructor(options: { limitBytes: number; clock: Clock; log: Logger; report: (trimmed: Trimmed) => void }) {
    this.limitBytes = options.limitBytes;
    this.#clock = options.clock;
    this.#log = options.log;
    this.#report = options.report;
  }

  get bytes(): number {
    return this.#bytes;
  }

  /** Segments grow with a partition: an idle one costs 16 KiB, a busy one rolls every 4 MiB or 1/32 of the bound. */
  capacityFor(previous: number | undefined, batchBytes: number): number {
    const largest = Math.max(4096, Math.min(4 * 1024 * 1024, Math.floor(this.limitBytes / 32)));
    const wanted = Math.min(largest, previous === undefined ? 16 * 1024 : previous * 2);
    return Math.max(wanted, batchBytes);
  }

  add(segment: Segment, holder: SegmentHolder): void {
    this.#segments.set(segment, holder);
    this.#bytes += segment.capacity + SEGMENT_OVERHEAD_BYTES;
    if (this.#bytes > this.limitBytes) this.#shrink(segment);
  }

  remove(segment: Segment): void {
    if (this.#segments.delete(segment)) this.#bytes -= segment.capacity + SEGMENT_OVERHEAD_BYTES;
  }

  /** Tells of a loss; holders call it for what their own retention drops. */
  trimmed(trimmed: Trimmed): void {
    this.#report(trimmed);
    if (trimmed.reason !== 'memory') return;
    this.#unwarned.segments++;
    this.#unwarned.records += trimmed.records;
    this.#unwarned.bytes += trimmed.bytes;
    const wait = this.#warnedAt + WARN_EVERY_MS - this.#clock.monotonic();
    if (wait <= 0) this.#warn();
    else this.#cancelWarning ??= this.#clock.after(wait, () => this.#warn());
  }

  close(): void {
    this.#cancelWarning?.();
    this.#cancelWarning = undefined;
    this.#segments.clear();
    this.#bytes = 0;
  }

  #warn(): void {
    this.#cancelWarning = undefined;
    this.#warnedAt = this.#clock.monotonic();
    this.#log.warn(
      { ...this.#unwarned, limitBytes: this.limitBytes },
      `the oldest ${this.#unwarned.records} records went, to stay within ${this.limitBytes} bytes of memory; raise retentionBytes to keep more`,
    );
    this.#unwarned = { segments: 0, records: 0, bytes: 0 };
  }

  #shrink(newest: Segment): void {
    for (const currentToo of [false, true]) {
      for (const [segment, holder] of this.#segments) {
        if (this.#bytes <= this.limitBytes) return;
        if (segment === newest || (holder.isCurrent(segment) && !currentToo)) continue;
        if (holder.oldest !== segment) continue;
        const lost = holder.dropOldest('memory');
        this.remove(segment);
        this.trimmed(lost);
      }
    }
  }
}
