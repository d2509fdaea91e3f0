/**
 * A piece of a partition's log: one block of memory that batches are copied into, one after the other, and the list of
 * where each begins. Reading gives a view of the block, however many batches it spans, so a fetch costs no copy.
 * Segments are what retention drops; a response still on its way to a slow client keeps its block alive.
 */
import type { BatchHeader } from './batch.ts';

export class Segment {
  readonly baseOffset: number;
  readonly #block: Buffer;
  #used = 0;
  readonly #offsets: number[] = [];
  readonly #positions: number[] = [];
  readonly #timestamps: number[] = [];
  #endOffset: number;
  #maxTimestamp = -1;

  constructor(baseOffset: number, capacity: number) {
    this.baseOffset = baseOffset;
    this.#endOffset = baseOffset;
    this.#block = Buffer.allocUnsafeSlow(capacity);
  }

  /** Offset after the last record. */
  get endOffset(): number {
    return this.#endOffset;
  }
  /** Bytes of memory, used or not. */
  get capacity(): number {
    return this.#block.length;
  }
  /** Bytes of batches. */
  get bytes(): number {
    return this.#used;
  }
  get maxTimestamp(): number {
    return this.#maxTimestamp;
  }

  fits(bytes: number): boolean {
    return this.#used + bytes <= this.#block.length;
  }

  /** Copies a batch to the end and returns the copy, for the broker's own fields to be written. */
  append(batch: Buffer, header: BatchHeader, maxTimestamp: number): Buffer {
    const position = this.#used;
    batch.copy(this.#block, position);
    this.#used += batch.length;
    this.#offsets.push(this.#endOffset);
    this.#positions.push(position);
    this.#timestamps.push(maxTimestamp);
    this.#endOffset += header.count;
    if (maxTimestamp > this.#maxTimestamp) this.#maxTimestamp = maxTimestamp;
    return this.#block.subarray(position, this.#used);
  }

  /**
   * Whole batches from the one that holds `offset`, as many as fit in `maxBytes`.
   * @param atLeastOne  gives the first batch even when it alone is larger
   */
  read(offset: number, maxBytes: number, atLeastOne: boolean): Buffer | undefined {
    const first = this.#indexOf(offset);
    if (first < 0) return undefined;
    const from = this.#positions[first]!;
    let to = from + maxBytes;
    if (to >= this.#used) {
      to = this.#used;
    } else {
      // The last batch that ends at or before the limit.
      const next = lastAtOrBelow(this.#positions, to);
      to = this.#positions[next]!;
      if (to <= from) {
        if (!atLeastOne) return undefined;
        to = this.#positions[first + 1] ?? this.#used;
      }
    }
    return this.#block.subarray(from, to);
  }

  /** Bytes from the batch that holds `offset` to the end. */
  bytesFrom(offset: number): number {
    if (offset <= this.baseOffset) return this.#used;
    const index = this.#indexOf(offset);
    return index < 0 ? 0 : this.#used - this.#positions[index]!;
  }

  /** The first batch whose newest record is at or after `timestamp` and which ends after `fromOffset`. */
  batchAtOrAfter(timestamp: number, fromOffset: number): Buffer | undefined {
    for (let index = Math.max(0, this.#indexOf(fromOffset)); index < this.#offsets.length; index++) {
      if (this.#timestamps[index]! >= timestamp) {
        return this.#block.subarray(this.#positions[index]!, this.#positions[index + 1] ?? this.#used);
      }
    }
    return undefined;
  }

  #indexOf(offset: number): number {
    if (offset >= this.#endOffset) return -1;
    return lastAtOrBelow(this.#offsets, offset);
  }
}

/** Index of the last value that is not above `wanted` in a rising list; -1 when all are. */
export function lastAtOrBelow(values: readonly number[], wanted: number): number {
  let low = 0;
  let high = values.length;
  while (low < high) {
    const middle = (low + high) >>> 1;
    if (values[middle]! <= wanted) low = middle + 1;
    else high = middle;
  }
  return low - 1;
}
