/**
 * The log of one partition: segments, where it starts and ends, who leads it, and who waits for more.
 *
 *   logStartOffset <= ... segments ... < endOffset        older than the start: OFFSET_OUT_OF_RANGE
 *
 * There is no replication in one process: what is appended is at once acknowledged, visible and below the high
 * watermark. Leadership only says which of the broker's ports answers for the partition.
 */
import { type BatchHeader, type BatchRules, checkBatch, type Refusal, stampAppendTime, stampBatch } from './batch.ts';
import type { LogMemory, SegmentHolder, Trimmed } from './memory.ts';
import { Producers } from './producers.ts';
import { Segment } from './segment.ts';
import { firstAtOrAfter, type TimedOffset } from './timestamps.ts';

export interface Appended {
  readonly baseOffset: number;
  /** The broker's time when it was stamped, else -1. */
  readonly logAppendTime: number;
  readonly records: number;
  readonly repeated: boolean;
}

export class Partition implements SegmentHolder {
  readonly topic: string;
  readonly index: number;
  /** Node that leads, -1 when none can. */
  leader: number;
  leaderEpoch = 0;
  replicas: readonly number[];
  readonly #memory: LogMemory;
  readonly #segments: Segment[] = [];
  #producers = new Producers();
  readonly #epochs: { epoch: number; startOffset: number }[] = [];
  readonly #waiters = new Set<(bytes: number) => void>();
  #logStartOffset = 0;
  #endOffset = 0;
  #bytes = 0;

  constructor(options: {
    topic: string;
    index: number;
    replicas: readonly number[];
    leader: number;
    memory: LogMemory;
  }) {
    this.topic = options.topic;
    this.index = options.index;
    this.replicas = options.replicas;
    this.leader = options.leader;
    this.#memory = options.memory;
  }

  get logStartOffset(): number {
    return this.#logStartOffset;
  }
  /** Also the high watermark and the last stable offset. */
  get endOffset(): number {
    return this.#endOffset;
  }
  get bytes(): number {
    return this.#bytes;
  }
  get oldest(): Segment | undefined {
    return this.#segments[0];
  }

  append(data: Buffer | null, rules: BatchRules & { retentionBytes: number }): Appended | Refusal {
    const header = checkBatch(data, rules);
    if ('code' in header) return header;
    const verdict = this.#producers.check(header);
    if (verdict.kind === 'refuse') return verdict;
    if (verdict.kind === 'repeat') {
      // The time of the stored batch stands in a repeat's answer whoever gave it; Kafka does so too.
      const { baseOffset, timestamp } = verdict;
      return { baseOffset, logAppendTime: timestamp, records: header.count, repeated: true };
    }
    const baseOffset = this.#endOffset;
    const maxTimestamp = rules.logAppendTime ? rules.now : header.maxTimestamp;
    const stored = this.#segmentFor(header).append(data!, header, maxTimestamp);
    stampBatch(stored, baseOffset, this.leaderEpoch);
    if (rules.logAppendTime) stampAppendTime(stored, rules.now);
    if (this.#epochs.at(-1)?.epoch !== this.leaderEpoch) {
      this.#epochs.push({ epoch: this.leaderEpoch, startOffset: baseOffset });
    }
    this.#endOffset += header.count;
    this.#bytes += header.bytes;
    this.#producers.appended(header, baseOffset, maxTimestamp);
    this.trimBytes(rules.retentionBytes);
    for (const waiter of this.#waiters) waiter(header.bytes);
    return {
      baseOffset,
      logAppendTime: rules.logAppendTime ? rules.now : -1,
      records: header.count,
      repeated: false,
    };
  }

  /**
   * Whole batches from the one that holds `offset` on, at most `maxBytes`.
   * @param atLeastOne  gives the first batch even when it alone is larger
   */
  read(offset: number, maxBytes: number, atLeastOne: boolean): Buffer[] {
    const pieces: Buffer[] = [];
    let left = maxBytes;
    for (let index = this.#segmentIndex(offset); index >= 0 && index < this.#segments.length; index++) {
      const segment = this.#segments[index]!;
      const piece = segment.read(Math.max(offset, segment.baseOffset), left, atLeastOne && pieces.length === 0);
      if (!piece || piece.length === 0) break;
      pieces.push(piece);
      left -= piece.length;
      if (left <= 0 || piece.length < segment.bytesFrom(offset)) break;
    }
    return pieces;
  }

  /** Bytes from `offset` to the end, counted no further than `most`. */
  bytesFrom(offset: number, most: number): number {
    let total = 0;
    for (let index = this.#segmentIndex(offset); index >= 0 && index < this.#segments.length; index++) {
      total += this.#segments[index]!.bytesFrom(offset);
      if (total >= most) break;
    }
    return Math.min(total, most);
  }

  /** The first record at or after a time. */
  offsetAt(timestamp: number): TimedOffset | undefined {
    for (const segment of this.#segments) {
      if (segment.maxTimestamp < timestamp) continue;
      let from = Math.max(segment.baseOffset, this.#logStartOffset);
      for (;;) {
        const batch = segment.batchAtOrAfter(timestamp, from);
        if (!batch) break;
        const found = firstAtOrAfter(batch, timestamp, this.#logStartOffset);
        if (found) return found;
        from = Number(batch.readBigInt64BE(0)) + batch.readInt32BE(57);
      }
    }
    return undefined;
  }

  /** The first record with the newest timestamp; undefined in an empty log. */
  get newest(): TimedOffset | undefined {
    let timestamp = -1;
    for (const segment of this.#segments) timestamp = Math.max(timestamp, segment.maxTimestamp);
    return timestamp < 0 ? undefined : this.offsetAt(timestamp);
  }

  /** Where an epoch ended: the start of the next one, or the end of the log. */
  endOfEpoch(epoch: number): { epoch: number; endOffset: number } {
    if (epoch === this.leaderEpoch) return { epoch, endOffset: this.#endOffset };
    const next = this.#epochs.findIndex((entry) => entry.epoch > epoch);
    if (epoch > this.leaderEpoch) return { epoch: -1, endOffset: -1 };
    const at = next < 0 ? this.#epochs.length : next;
    const known = this.#epochs[at - 1];
    if (!known) return { epoch: -1, endOffset: -1 };
    return { epoch: known.epoch, endOffset: this.#epochs[at]?.startOffset ?? this.#endOffset };
  }

  /** Calls back with the size of every batch that is appended, and with Infinity when the partition goes or moves. */
  wait(waiter: (bytes: number) => void): () => void {
    this.#waiters.add(waiter);
    return () => this.#waiters.delete(waiter);
  }

  /** Gives leadership away; those who wait look again. */
  lead(node: number): void {
    if (node === this.leader) return;
    this.leader = node;
    this.leaderEpoch++;
    this.wake();
  }

  wake(): void {
    for (const waiter of [...this.#waiters]) waiter(Number.POSITIVE_INFINITY);
  }

  /** Moves the start of the log up, as an administrator may; blocks that are behind it go. */
  deleteBefore(offset: number): void {
    if (offset <= this.#logStartOffset) return;
    this.#logStartOffset = Math.min(offset, this.#endOffset);
    while (this.#segments[0] && this.#segments[0].endOffset <= this.#logStartOffset) this.#forget(this.#segments[0]);
  }

  trimBytes(retentionBytes: number): void {
    if (retentionBytes < 0) return;
    while (this.#segments.length > 1 && this.#bytes - this.#segments[0]!.bytes >= retentionBytes) {
      this.#drop('retention.bytes');
    }
  }

  trimTime(before: number): void {
    while (this.#segments[0] && this.#segments[0].bytes > 0 && this.#segments[0].maxTimestamp < before) {
      this.#drop('retention.ms');
    }
  }

  isCurrent(segment: Segment): boolean {
    return this.#segments.at(-1) === segment;
  }

  dropOldest(reason: Trimmed['reason']): Trimmed {
    const segment = this.#segments.shift();
    const before = this.#logStartOffset;
    if (segment) {
      this.#bytes -= segment.bytes;
      this.#logStartOffset = Math.max(before, segment.endOffset);
    }
    return {
      topic: this.topic,
      partition: this.index,
      records: this.#logStartOffset - before,
      bytes: segment?.bytes ?? 0,
      logStartOffset: this.#logStartOffset,
      reason,
    };
  }

  /** Forgets every record, as a disk that was lost; the log begins at 0 again. */
  clear(): void {
    while (this.#segments[0]) this.#forget(this.#segments[0]);
    this.#logStartOffset = 0;
    this.#endOffset = 0;
    this.#epochs.length = 0;
    this.#producers = new Producers();
    this.wake();
  }

  #drop(reason: Trimmed['reason']): void {
    const segment = this.#segments[0];
    if (!segment) return;
    const lost = this.dropOldest(reason);
    this.#memory.remove(segment);
    this.#memory.trimmed(lost);
  }

  #forget(segment: Segment): void {
    this.#segments.shift();
    this.#bytes -= segment.bytes;
    this.#memory.remove(segment);
  }

  #segmentFor(header: BatchHeader): Segment {
    const current = this.#segments.at(-1);
    if (current?.fits(header.bytes)) return current;
    const next = new Segment(this.#endOffset, this.#memory.capacityFor(current?.capacity, header.bytes));
    this.#segments.push(next);
    this.#memory.add(next, this);
    return next;
  }

  #segmentIndex(offset: number): number {
    let low = 0;
    let high = this.#segments.length;
    while (low < high) {
      const middle = (low + high) >>> 1;
      if (this.#segments[middle]!.baseOffset <= offset) low = middle + 1;
      else high = middle;
    }
    return low - 1;
  }
}
