/**
 * Records as the bytes of one record batch (record-batch.ts says what is where), not compressed: measured first, then
 * written once into their place. kafkajs makes a zeroed buffer of half a kilobyte for every record and another for each of
 * its headers, and copies each into the next larger one: nine tenths of what producing a small record costs.
 */
import { crc32c } from './crc32c.ts';

/** Whole numbers only; a header comes once. */
export interface ProducedRecord {
  readonly key: Buffer | string | null;
  readonly value: Buffer | string | null;
  readonly headers: Readonly<Record<string, Buffer | string>>;
  /** Milliseconds since the epoch. */
  readonly timestamp: number;
}

export interface ProducedBy {
  readonly producerId: bigint;
  readonly producerEpoch: number;
  readonly firstSequence: number;
  readonly transactional: boolean;
}

const HEAD = 61;
const CRC_AT = 17;
const CHECKED_FROM = 21;
const MAGIC = 2;
const TRANSACTIONAL = 0x10;

export class BatchBytes {
  readonly #records: readonly ProducedRecord[];
  readonly #firstTimestamp: number;
  readonly #maxTimestamp: number;
  /** Of each record, what its length says: all that follows it. */
  readonly #lengths: number[];
  /** Of the whole batch. */
  readonly size: number;

  /** @param records  one or more */
  constructor(records: readonly ProducedRecord[]) {
    this.#records = records;
    let [first, last] = [Number.POSITIVE_INFINITY, 0];
    for (const { timestamp } of records) {
      if (timestamp < first) first = timestamp;
      if (timestamp > last) last = timestamp;
    }
    this.#firstTimestamp = first;
    this.#maxTimestamp = last;
    this.#lengths = new Array(records.length);
    let size = HEAD;
    for (let index = 0; index < records.length; index++) {
      const length = lengthOf(records[index]!, index, first);
      this.#lengths[index] = length;
      size += sizeOfVarint(length) + length;
    }
    this.size = size;
  }

  /** @returns where it ends: `size` bytes behind `at` */
  write(into: Buffer, at: number, by: ProducedBy): number {
    into.writeBigInt64BE(0n, at);
    into.writeInt32BE(this.size - 12, at + 8);
    into.writeInt32BE(0, at + 12);
    into.writeInt8(MAGIC, at + 16);
    into.writeInt16BE(by.transactional ? TRANSACTIONAL : 0, at + 21);
    into.writeInt32BE(this.#records.length - 1, at + 23);
    into.writeBigInt64BE(BigInt(this.#firstTimestamp), at + 27);
    into.writeBigInt64BE(BigInt(this.#maxTimestamp), at + 35);
    into.writeBigInt64BE(by.producerId, at + 43);
    into.writeInt16BE(by.producerEpoch, at + 51);
    into.writeInt32BE(by.firstSequence, at + 53);
    into.writeInt32BE(this.#records.length, at + 57);
    let end = at + HEAD;
    for (let index = 0; index < this.#records.length; index++)
      end = writeRecord(into, end, this.#records[index]!, {
        length: this.#lengths[index]!,
        index,
        firstTimestamp: this.#firstTimestamp,
      });
    into.writeUInt32BE(crc32c(into.subarray(at + CHECKED_FROM, end)), at + CRC_AT);
    return end;
  }
}

function lengthOf(record: ProducedRecord, index: number, firstTimestamp: number): number {
  let length =
    1 +
    sizeOfVarint(record.timestamp - firstTimestamp) +
    sizeOfVarint(index) +
    sizeOf(record.key) +
    sizeOf(record.value);
  let count = 0;
  for (const name in record.headers) {
    length += sizeOf(name) + sizeOf(record.headers[name]!);
    count++;
  }
  return length + sizeOfVarint(count);
}

function writeRecord(
  into: Buffer,
  begin: number,
  record: ProducedRecord,
  { length, index, firstTimestamp }: { length: number; index: number; firstTimestamp: number },
): number {
  let at = writeVarint(into, begin, length);
  into[at++] = 0;
  at = writeVarint(into, at, record.timestamp - firstTimestamp);
  at = writeVarint(into, at, index);
  at = writePart(into, at, record.key);
  at = writePart(into, at, record.value);
  let count = 0;
  for (const _ in record.headers) count++;
  at = writeVarint(into, at, count);
  for (const name in record.headers) {
    at = writePart(into, at, name);
    at = writePart(into, at, record.headers[name]!);
  }
  return at;
}

const bytesOf = (part: Buffer | string) => (typeof part === 'string' ? Buffer.byteLength(part) : part.length);

/** With its length before it; -1 stands for no part at all. */
function sizeOf(part: Buffer | string | null): number {
  if (part === null) return 1;
  const bytes = bytesOf(part);
  return sizeOfVarint(bytes) + bytes;
}

function writePart(into: Buffer, begin: number, part: Buffer | string | null): number {
  if (part === null) {
    into[begin] = 1;
    return begin + 1;
  }
  const bytes = bytesOf(part);
  const at = writeVarint(into, begin, bytes);
  if (typeof part === 'string') into.write(part, at, bytes, 'utf8');
  else part.copy(into, at);
  return at + bytes;
}

/** Zigzag of a number that is not negative: its double. Doubles of 2^53 hold it exactly, which shifts do not. */
function sizeOfVarint(value: number): number {
  let size = 1;
  for (let left = value * 2; left >= 128; left = Math.floor(left / 128)) size++;
  return size;
}

function writeVarint(into: Buffer, begin: number, value: number): number {
  let at = begin;
  let left = value * 2;
  while (left >= 128) {
    into[at++] = (left % 128) | 0x80;
    left = Math.floor(left / 128);
  }
  into[at++] = left;
  return at;
}
