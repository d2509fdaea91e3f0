/**
 * A record batch (message format v2) as this broker sees it: a header of fixed positions before records that may be
 * compressed and are never looked into on the way in. Bytes are kept as received, save for what Kafka's own brokers
 * write: base offset, leader epoch and, for `message.timestamp.type=LogAppendTime`, the time and a new checksum.
 */
import { CODES } from '../wire/codes.ts';
import { crc32c } from '../wire/crc32c.ts';

const LENGTH_AT = 8;
const EPOCH_AT = 12;
const MAGIC_AT = 16;
const CRC_AT = 17;
const ATTRIBUTES_AT = 21;
const LAST_DELTA_AT = 23;
const FIRST_TIMESTAMP_AT = 27;
const MAX_TIMESTAMP_AT = 35;
const PRODUCER_ID_AT = 43;
const PRODUCER_EPOCH_AT = 51;
const SEQUENCE_AT = 53;
const COUNT_AT = 57;
/** Where records begin; also the smallest batch. */
export const HEADER_BYTES = 61;

const CODEC_BITS = 0x07;
const LOG_APPEND_TIME_BIT = 0x08;
const TRANSACTIONAL_BIT = 0x10;
const CONTROL_BIT = 0x20;

export interface BatchHeader {
  readonly bytes: number;
  readonly attributes: number;
  readonly count: number;
  readonly baseTimestamp: number;
  readonly maxTimestamp: number;
  readonly producerId: number;
  readonly producerEpoch: number;
  readonly baseSequence: number;
}

/** A batch that is refused, with the code that the producer gets. */
export interface Refusal {
  readonly code: number;
  readonly reason: string;
}

export interface BatchRules {
  readonly maxMessageBytes: number;
  /** How far a timestamp may be from now, ms. */
  readonly timestampBeforeMaxMs: number;
  readonly timestampAfterMaxMs: number;
  readonly logAppendTime: boolean;
  readonly now: number;
}

/** Checks what a producer sent for one partition: exactly one sound batch within the topic's rules. */
export function checkBatch(data: Buffer | null, rules: BatchRules): BatchHeader | Refusal {
  if (data === null || data.length === 0) return { code: CODES.INVALID_RECORD, reason: 'no record batch was sent' };
  if (data.length < HEADER_BYTES) {
    // Messages of the old formats are at least 26 bytes, with their magic at the same place.
    if (data.length > MAGIC_AT && data.readInt8(MAGIC_AT) < 2) return oldFormat(data.readInt8(MAGIC_AT));
    return { code: CODES.INVALID_RECORD, reason: `${data.length} bytes are too few for a record batch` };
  }
  const magic = data.readInt8(MAGIC_AT);
  if (magic !== 2) return magic >= 0 && magic < 2 ? oldFormat(magic) : corrupt(`unknown message format ${magic}`);
  const bytes = data.readInt32BE(LENGTH_AT) + LENGTH_AT + 4;
  if (bytes < HEADER_BYTES) return corrupt(`a batch of ${bytes} bytes`);
  if (bytes > data.length) return { code: CODES.INVALID_RECORD, reason: `a batch of ${bytes} bytes in ${data.length}` };
  if (bytes < data.length) return { code: CODES.INVALID_RECORD, reason: 'more than one record batch for a partition' };
  if (bytes > rules.maxMessageBytes) {
    return {
      code: CODES.MESSAGE_TOO_LARGE,
      reason: `the batch has ${bytes} bytes, max.message.bytes is ${rules.maxMessageBytes}`,
    };
  }
  if (crc32c(data, ATTRIBUTES_AT) !== data.readUInt32BE(CRC_AT)) return corrupt('the checksum does not match');
  const header: BatchHeader = {
    bytes,
    attributes: data.readInt16BE(ATTRIBUTES_AT),
    count: data.readInt32BE(COUNT_AT),
    baseTimestamp: Number(data.readBigInt64BE(FIRST_TIMESTAMP_AT)),
    maxTimestamp: Number(data.readBigInt64BE(MAX_TIMESTAMP_AT)),
    producerId: Number(data.readBigInt64BE(PRODUCER_ID_AT)),
    producerEpoch: data.readInt16BE(PRODUCER_EPOCH_AT),
    baseSequence: data.readInt32BE(SEQUENCE_AT),
  };
  return checkHeader(header, data.readInt32BE(LAST_DELTA_AT), rules) ?? header;
}

function checkHeader(header: BatchHeader, lastDelta: number, rules: BatchRules): Refusal | undefined {
  const invalid = (reason: string): Refusal => ({ code: CODES.INVALID_RECORD, reason });
  if (header.count <= 0) return invalid('a batch without records');
  if (lastDelta !== header.count - 1) return invalid(`${header.count} records, but the last offset is +${lastDelta}`);
  if ((header.attributes & CODEC_BITS) > 4) return invalid(`unknown compression ${header.attributes & CODEC_BITS}`);
  if (header.attributes & (TRANSACTIONAL_BIT | CONTROL_BIT)) {
    return { code: CODES.INVALID_REQUEST, reason: 'transactions are not supported by this broker' };
  }
  if (header.producerId >= 0 && (header.producerEpoch < 0 || header.baseSequence < 0)) {
    return invalid('a producer id without epoch or sequence');
  }
  // -1 says that the producer gave no time.
  if (rules.logAppendTime || header.maxTimestamp === -1) return undefined;
  const ahead = header.maxTimestamp - rules.now;
  if (ahead > rules.timestampAfterMaxMs || -ahead > rules.timestampBeforeMaxMs) {
    return { code: CODES.INVALID_TIMESTAMP, reason: `the timestamp is ${ahead} ms from the broker's time` };
  }
  return undefined;
}

function corrupt(reason: string): Refusal {
  return { code: CODES.CORRUPT_MESSAGE, reason };
}

function oldFormat(magic: number): Refusal {
  return { code: CODES.INVALID_RECORD, reason: `message format v${magic}; only v2 is accepted` };
}

/** Writes what the broker owns into a stored batch. */
export function stampBatch(stored: Buffer, baseOffset: number, leaderEpoch: number): void {
  stored.writeBigInt64BE(BigInt(baseOffset), 0);
  stored.writeInt32BE(leaderEpoch, EPOCH_AT);
}

/** Gives a stored batch the broker's time in place of the producer's. */
export function stampAppendTime(stored: Buffer, now: number): void {
  stored.writeInt16BE(stored.readInt16BE(ATTRIBUTES_AT) | LOG_APPEND_TIME_BIT, ATTRIBUTES_AT);
  stored.writeBigInt64BE(BigInt(now), MAX_TIMESTAMP_AT);
  stored.writeUInt32BE(crc32c(stored, ATTRIBUTES_AT), CRC_AT);
}

export interface StoredBatch {
  readonly baseOffset: number;
  readonly leaderEpoch: number;
  readonly codec: number;
  readonly logAppendTime: boolean;
  readonly count: number;
  readonly baseTimestamp: number;
  readonly maxTimestamp: number;
  /** Possibly compressed. */
  readonly records: Buffer;
}

/** Reads back a batch that was stored. */
export function readStored(batch: Buffer): StoredBatch {
  const attributes = batch.readInt16BE(ATTRIBUTES_AT);
  return {
    baseOffset: Number(batch.readBigInt64BE(0)),
    leaderEpoch: batch.readInt32BE(EPOCH_AT),
    codec: attributes & CODEC_BITS,
    logAppendTime: (attributes & LOG_APPEND_TIME_BIT) !== 0,
    count: batch.readInt32BE(COUNT_AT),
    baseTimestamp: Number(batch.readBigInt64BE(FIRST_TIMESTAMP_AT)),
    maxTimestamp: Number(batch.readBigInt64BE(MAX_TIMESTAMP_AT)),
    records: batch.subarray(HEADER_BYTES),
  };
}
