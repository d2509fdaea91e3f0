/**
 * Batches that cannot be decoded must not crash the consumer: kafkajs would meet them again after every restart, and
 * does not say where they lie. They become *stand-ins*: records that are told from real ones by the memory that their
 * value lies in, which no record from outside can share, and that carry the batch's context, which names its first and
 * last offset. The neighbours in the same fetch stay readable.
 *
 * They are made in two places. A codec sees compressed bytes only, no coordinates: it gives back bytes that decode to
 * as many stand-ins as kafkajs asks for. What fails outside a codec (a damaged batch that is not compressed, or one that
 * decompressed to nonsense) is caught around kafkajs's decoder of batches.
 */
import { createRequire } from 'node:module';

/** More records than a batch of the usual 1 MiB holds. */
const STAND_INS = 250_000;
/**
 * Length 11; no attributes; timestamp +0; offset + 2^29, so that kafkajs never takes it for a record before the fetch
 * position; key null; a value of one byte; no headers. Numbers are zigzag varints.
 */
const STAND_IN = Buffer.from([0x16, 0x00, 0x00, 0x80, 0x80, 0x80, 0x80, 0x04, 0x01, 0x02, 0x00, 0x00]);
const STAND_IN_OFFSET = 2n ** 29n;

/** Memory of stand-ins -> why the batch cannot be read. */
const reasons = new Map<ArrayBufferLike, string>();
const standIns = new Map<string, Buffer>();

/** Bytes of a batch's records, uncompressed, each of which is a stand-in. */
export function standInsFor(reason: string): Buffer {
  let buffer = standIns.get(reason);
  if (!buffer) {
    buffer = Buffer.from(new ArrayBuffer(STAND_INS * STAND_IN.length)).fill(STAND_IN);
    standIns.set(reason, buffer);
    reasons.set(buffer.buffer, reason);
  }
  return buffer;
}

/** @returns why the batch of this record cannot be read, or undefined for a real record */
export function unreadableReason(value: Buffer | null): string | undefined {
  return reasons.size > 0 && value !== null ? reasons.get(value.buffer) : undefined;
}

const DAMAGED = 'its records are damaged';
let damagedValue: Buffer | undefined;

function damaged(): Buffer {
  if (!damagedValue) {
    damagedValue = Buffer.from(new ArrayBuffer(1));
    reasons.set(damagedValue.buffer, DAMAGED);
  }
  return damagedValue;
}

/** kafkajs's cursor over the answer to a fetch. */
interface Cursor {
  readonly buffer: Buffer;
  readonly offset: number;
}
type DecodeBatch = (cursor: Cursor) => Promise<{ readonly records: readonly object[] }>;

/** The head of a record batch: first offset, length, leader epoch, magic, CRC, attributes, last offset's distance. */
const LAST_OFFSET_DELTA_AT = 23;
const FIRST_TIMESTAMP_AT = 27;
const PRODUCER_ID_AT = 43;
const MAGIC = 2;

/**
 * @param decode  kafkajs's decoder of one batch, which leaves the cursor behind the batch also when it throws
 * @returns       the same, except that a batch which makes it throw becomes one stand-in
 */
export function guardedDecoder(decode: DecodeBatch): DecodeBatch {
  return async (cursor) => {
    const { buffer, offset: at } = cursor;
    try {
      return await decode(cursor);
    } catch (error) {
      // The end of a fetch that was cut off: asked for again. Without a whole head, nothing can be said about it.
      const isCutOff = error instanceof Error && error.name === 'KafkaJSPartialMessageError';
      if (isCutOff || cursor.offset <= at || at + PRODUCER_ID_AT + 8 > buffer.length) throw error;
      const first = buffer.readBigInt64BE(at);
      const timestamp = String(buffer.readBigInt64BE(at + FIRST_TIMESTAMP_AT));
      const batchContext = {
        firstOffset: String(first),
        lastOffsetDelta: buffer.readInt32BE(at + LAST_OFFSET_DELTA_AT),
        firstTimestamp: timestamp,
        maxTimestamp: timestamp,
        producerId: String(buffer.readBigInt64BE(at + PRODUCER_ID_AT)),
        inTransaction: false,
        isControlBatch: false,
        magicByte: MAGIC,
      };
      const standIn = {
        magicByte: MAGIC,
        attributes: 0,
        timestamp,
        offset: String(first + STAND_IN_OFFSET),
        key: null,
        value: damaged(),
        headers: {},
        isControlRecord: false,
        batchContext,
      };
      return { ...batchContext, records: [standIn] };
    }
  };
}

let done = false;

/**
 * Puts the guard around kafkajs's decoder. Only before the first fetch of the process: kafkajs loads what reads fetches
 * then, and keeps it. If its insides look different (another version, a fork), nothing is changed, and only what a codec
 * cannot read is stepped over.
 */
export function guardBatchDecoder(): void {
  if (done) return;
  done = true;
  const require = createRequire(import.meta.url);
  try {
    const path = require.resolve('kafkajs/src/protocol/recordBatch/v0/decoder');
    const decode: unknown = require(path);
    const cached = require.cache[path];
    if (cached && typeof decode === 'function') cached.exports = guardedDecoder(decode as DecodeBatch);
  } catch {
    return; // not kafkajs 2.2: see above
  }
}
