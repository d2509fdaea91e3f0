/**
 * Records read from bytes, a column for each thing that is known of them: 36 bytes a record outside of the heap, beside
 * the bytes that the broker sent. Nothing here is an object that the garbage collector has to visit while it waits.
 */
import { Fetched, type RawHeaders, type Records } from './port.ts';
import { type RecordBatch, type RecordSink, readHeaders, walkRecords } from './record-batch.ts';

/** Places a record: key, its length, value, its length, headers. */
const PLACES = 5;

export class ColumnRecords implements Records, RecordSink {
  readonly #topic: string;
  readonly #partition: number;
  /** The memory of all its batches. */
  readonly #bytes: Buffer;
  readonly #offsets: Float64Array;
  readonly #timestamps: Float64Array;
  readonly #places: Int32Array;
  #length = 0;

  /** @param most  as many records as will be added at most */
  constructor(at: { topic: string; partition: number; bytes: Buffer; most: number }) {
    this.#topic = at.topic;
    this.#partition = at.partition;
    this.#bytes = at.bytes;
    this.#offsets = new Float64Array(at.most);
    this.#timestamps = new Float64Array(at.most);
    this.#places = new Int32Array(at.most * PLACES);
  }

  get length(): number {
    return this.#length;
  }

  /**
   * Adds a batch's records from an offset on.
   * @throws DamagedBatchError, and has added nothing
   */
  add(batch: RecordBatch, from: number): void {
    const before = this.#length;
    try {
      walkRecords(batch, from, this);
    } catch (error) {
      this.#length = before;
      throw error;
    }
  }

  push(
    offset: number,
    timestamp: number,
    keyAt: number,
    keyLength: number,
    valueAt: number,
    valueLength: number,
    headersAt: number,
  ): void {
    const index = this.#length++;
    this.#offsets[index] = offset;
    this.#timestamps[index] = timestamp;
    const places = this.#places;
    const at = index * PLACES;
    places[at] = keyAt;
    places[at + 1] = keyLength;
    places[at + 2] = valueAt;
    places[at + 3] = valueLength;
    places[at + 4] = headersAt;
  }

  offset(index: number): number {
    return this.#offsets[index]!;
  }

  timestamp(index: number): number {
    return this.#timestamps[index]!;
  }

  key(index: number): Buffer | null {
    return this.#slice(index * PLACES);
  }

  value(index: number): Buffer | null {
    return this.#slice(index * PLACES + 2);
  }

  headers(index: number): RawHeaders | undefined {
    const at = this.#places[index * PLACES + 4]!;
    return at === 0 ? undefined : readHeaders(this.#bytes, at);
  }

  bytes(index: number): number {
    const key = this.#places[index * PLACES + 1]!;
    const value = this.#places[index * PLACES + 3]!;
    return (key > 0 ? key : 0) + (value > 0 ? value : 0);
  }

  at(index: number): Fetched {
    return new Fetched(
      this.#topic,
      this.#partition,
      this.offset(index),
      this.timestamp(index),
      this.key(index),
      this.value(index),
      this.headers(index),
    );
  }

  *[Symbol.iterator](): Generator<Fetched> {
    for (let index = 0; index < this.#length; index++) yield this.at(index);
  }

  #slice(place: number): Buffer | null {
    const at = this.#places[place]!;
    const length = this.#places[place + 1]!;
    return length < 0 ? null : this.#bytes.subarray(at, at + length);
  }
}
