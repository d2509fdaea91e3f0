/**
 * Kafka's record batch (magic 2): a head of 61 bytes, then records packed one behind the other, compressed or not. Read
 * here rather than by kafkajs, which makes some twenty objects and four numbers of arbitrary length for every record.
 *
 *   0 first offset  8 length  12 leader epoch  16 magic  17 CRC  21 attributes  23 last offset's distance
 *   27 first timestamp  35 greatest timestamp  43 producer  51 epoch  53 sequence  57 count  61 records
 */
import { crc32c } from './crc32c.ts';

export const MAGIC_AT = 16;
export const MAGIC = 2;

const LENGTH_AT = 8;
/** What `length` does not count: the first offset and itself. */
const BEFORE_LENGTH = 12;
const HEAD = 61;
const CRC_AT = 17;
const CHECKED_FROM = 21;

const CODEC = 0x07;
const APPEND_TIME = 0x08;
const TRANSACTIONAL = 0x10;
const CONTROL = 0x20;

/** Length, attributes, timestamp, offset, key, value, headers: a byte each at least. */
const LEAST_RECORD = 7;

/** The bytes are no records: what they say of themselves does not fit what is there. */
export class DamagedBatchError extends Error {}

/** One batch in the answer to a fetch; the bytes stay where they are. */
export interface RecordBatch {
  readonly firstOffset: number;
  readonly lastOffset: number;
  readonly count: number;
  readonly firstTimestamp: number;
  /** The broker's clock, for all records of the batch; undefined when each has its producer's. */
  readonly appendTime: number | undefined;
  readonly producerId: bigint;
  readonly inTransaction: boolean;
  /** A marker of a transaction's end: nobody's work. */
  readonly isControl: boolean;
  /** 0: not compressed. */
  readonly codec: number;
  /** Where the records are. */
  readonly bytes: Buffer;
  readonly begin: number;
  readonly end: number;
}

/** A whole number of 64 bits; beyond 2^53 it loses its last digits, as offsets and times never do. */
export function readInt64(bytes: Buffer, at: number): number {
  return bytes.readInt32BE(at) * 4_294_967_296 + bytes.readUInt32BE(at + 4);
}

/**
 * The batches that lie between two places. What is cut off at the end (by the fetch's limit of bytes) is left out: it is
 * asked for again.
 */
export function readBatches(bytes: Buffer, begin: number, end: number): RecordBatch[] {
  const batches: RecordBatch[] = [];
  for (let at = begin; at + HEAD <= end; ) {
    const length = bytes.readInt32BE(at + LENGTH_AT);
    const next = at + BEFORE_LENGTH + length;
    if (length < HEAD - BEFORE_LENGTH)
      throw new DamagedBatchError(`a record batch claims to be ${length} bytes long, less than its own head`);
    if (next > end) break;
    const attributes = bytes.readInt16BE(at + 21);
    const firstOffset = readInt64(bytes, at);
    batches.push({
      firstOffset,
      lastOffset: firstOffset + bytes.readInt32BE(at + 23),
      count: bytes.readInt32BE(at + 57),
      firstTimestamp: readInt64(bytes, at + 27),
      appendTime: (attributes & APPEND_TIME) === 0 ? undefined : readInt64(bytes, at + 35),
      producerId: bytes.readBigInt64BE(at + 43),
      inTransaction: (attributes & TRANSACTIONAL) !== 0,
      isControl: (attributes & CONTROL) !== 0,
      codec: attributes & CODEC,
      bytes,
      begin: at + HEAD,
      end: next,
    });
    at = next;
  }
  return batches;
}

/** Whether the checksum fits the bytes that it covers: all behind itself, and not the first offset. */
export function isSound({ bytes, begin, end }: RecordBatch): boolean {
  const head = begin - HEAD;
  return crc32c(bytes.subarray(head + CHECKED_FROM, end)) === bytes.readUInt32BE(head + CRC_AT);
}

/** Whether a control batch says that its producer's transaction was aborted. Its key is a version and a type. */
export function isAbortMarker(batch: RecordBatch): boolean {
  const { bytes } = batch;
  // Length, attributes, distances of time and offset (all short in a batch of one), the key's length.
  let at = batch.begin;
  varint(bytes, at);
  varint64(bytes, after + 1);
  varint(bytes, after);
  const keyLength = varint(bytes, after);
  at = after;
  return keyLength >= 4 && at + 4 <= batch.end && bytes.readInt16BE(at) === 0 && bytes.readInt16BE(at + 2) === 0;
}

/** Where the number that was read last ends: a second result without an object. */
let after = 0;

/** A zigzag varint of 32 bits. Behind the end of the bytes it reads zeros: whoever calls checks `after` in the end. */
function varint(bytes: Uint8Array, at: number): number {
  let byte = bytes[at++]!;
  let value = byte & 0x7f;
  for (let shift = 7; (byte & 0x80) !== 0; shift += 7) {
    if (shift > 28) throw new DamagedBatchError('a number of more than 32 bits');
    byte = bytes[at++]!;
    value |= (byte & 0x7f) << shift;
  }
  after = at;
  return (value >>> 1) ^ -(value & 1);
}

/** The same of 64 bits, exact up to 2^53. */
function varint64(bytes: Uint8Array, at: number): number {
  let byte = bytes[at++]!;
  let value = byte & 0x7f;
  let factor = 128;
  for (let count = 1; (byte & 0x80) !== 0; count++) {
    if (count > 9) throw new DamagedBatchError('a number of more than 64 bits');
    byte = bytes[at++]!;
    value += (byte & 0x7f) * factor;
    factor *= 128;
  }
  after = at;
  return value % 2 === 0 ? value / 2 : -(value + 1) / 2;
}

/** A bound for the records in a batch, whatever a damaged one claims. */
export function mostRecords({ begin, end, count }: RecordBatch): number {
  return Math.min(Math.max(count, 0), Math.floor((end - begin) / LEAST_RECORD));
}

/** Takes in where the parts of a record lie. A length of -1: there is no such part; `headersAt` 0: no headers. */
export interface RecordSink {
  push(
    offset: number,
    timestamp: number,
    keyAt: number,
    keyLength: number,
    valueAt: number,
    valueLength: number,
    headersAt: number,
  ): void;
}

/**
 * Walks through the records of a batch (decompressed), and checks that each part lies within its record.
 * @param from  records before this offset are left out: a fetch that begins within a batch gets it whole
 * @throws DamagedBatchError, when records before the damage have been told already
 */
export function walkRecords(batch: RecordBatch, from: number, into: RecordSink): void {
  const { bytes, end, count, firstOffset, lastOffset, firstTimestamp, appendTime } = batch;
  if (count < 0 || count * LEAST_RECORD > end - batch.begin)
    throw new DamagedBatchError(`${count} records in ${end - batch.begin} bytes`);
  let at = batch.begin;
  let previous = firstOffset - 1;
  for (let index = 0; index < count; index++) {
    const length = varint(bytes, at);
    const next = after + length;
    if (length < LEAST_RECORD - 1 || next > end) throw new DamagedBatchError('a record that ends behind its batch');
    const timestamp = varint64(bytes, after + 1);
    const offset = firstOffset + varint(bytes, after);
    const keyLength = varint(bytes, after);
    const keyAt = after;
    const valueLength = varint(bytes, keyLength > 0 ? keyAt + keyLength : keyAt);
    const valueAt = after;
    const headersAt = valueLength > 0 ? valueAt + valueLength : valueAt;
    if (keyLength < -1 || valueLength < -1 || headersAt >= next)
      throw new DamagedBatchError('a key or a value that ends behind its record');
    if (offset <= previous || offset > lastOffset) throw new DamagedBatchError('offsets that do not rise');
    const hasHeaders = bytes[headersAt] !== 0;
    if (hasHeaders) checkHeaders(bytes, headersAt, next);
    previous = offset;
    at = next;
    if (offset < from) continue;
    const time = appendTime ?? firstTimestamp + timestamp;
    into.push(offset, time, keyAt, keyLength, valueAt, valueLength, hasHeaders ? headersAt : 0);
  }
}

function checkHeaders(bytes: Uint8Array, at: number, end: number): void {
  const count = varint(bytes, at);
  // Each has two lengths.
  if (count < 0 || count * 2 > end - after) throw new DamagedBatchError(`${count} headers in ${end - after} bytes`);
  for (let index = 0; index < count; index++) {
    const nameLength = varint(bytes, after);
    if (nameLength < 0 || after + nameLength > end) throw new DamagedBatchError('a header without a name');
    const valueLength = varint(bytes, after + nameLength);
    if (valueLength > 0) after += valueLength;
    if (after > end) throw new DamagedBatchError('a header that ends behind its record');
  }
}

/**
 * The headers that begin at a place (checked by `walkRecords`). One that comes more than once is a list, as kafkajs has it; no prototype, since a
 * header may be called `__proto__`.
 */
export function readHeaders(bytes: Buffer, at: number): Record<string, Buffer | Buffer[]> {
  const headers = Object.create(null) as Record<string, Buffer | Buffer[]>;
  const count = varint(bytes, at);
  for (let index = 0; index < count; index++) {
    const nameLength = varint(bytes, after);
    const nameEnd = after + nameLength;
    const name = bytes.toString('utf8', after, nameEnd);
    const length = varint(bytes, nameEnd);
    const valueEnd = length > 0 ? after + length : after;
    // A header without a value is null in kafkajs too, whatever its typings say.
    const value = (length < 0 ? null : bytes.subarray(after, valueEnd)) as Buffer;
    after = valueEnd;
    const before = headers[name];
    if (before === undefined) headers[name] = value;
    else if (Array.isArray(before)) before.push(value);
    else headers[name] = [before, value];
  }
  return headers;
}
