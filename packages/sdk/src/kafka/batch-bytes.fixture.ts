/** Record batches as kafkajs writes them, for tests that read them. */
import { createRequire } from 'node:module';
import { crc32c } from './crc32c.ts';

const load = createRequire(import.meta.url);
const { RecordBatch } = load('kafkajs/src/protocol/recordBatch/v0') as {
  RecordBatch(batch: object): Promise<{ buffer: Buffer }>;
};
const Record = load('kafkajs/src/protocol/recordBatch/record/v0') as (record: object) => unknown;

export interface WrittenRecord {
  readonly key: Buffer | null;
  readonly value: Buffer | null;
  readonly headers: Readonly<Record<string, Buffer | Buffer[]>>;
  /** From the batch's first. */
  readonly offsetDelta: number;
  readonly timestampDelta: number;
}

export interface WrittenBatch {
  readonly firstOffset: number;
  readonly firstTimestamp?: number;
  readonly maxTimestamp?: number;
  /** kafkajs's number of a codec. */
  readonly compression?: number;
  readonly transactional?: boolean;
  readonly producerId?: number;
  readonly lastOffsetDelta?: number;
  readonly records: readonly Partial<WrittenRecord>[];
}

export async function writeBatch(batch: WrittenBatch): Promise<Buffer> {
  const { firstTimestamp = 1_700_000_000_000, producerId = -1, records } = batch;
  const { buffer } = await RecordBatch({
    compression: batch.compression ?? 0,
    firstOffset: batch.firstOffset,
    firstTimestamp,
    maxTimestamp: batch.maxTimestamp ?? firstTimestamp,
    lastOffsetDelta: batch.lastOffsetDelta ?? records.at(-1)?.offsetDelta ?? Math.max(0, records.length - 1),
    transactional: batch.transactional ?? false,
    producerId,
    records: records.map((record, index) =>
      Record({ key: null, value: null, headers: {}, offsetDelta: index, timestampDelta: 0, ...record }),
    ),
  });
  return Buffer.from(buffer);
}

/** The same batch with other attributes: 0x08 the broker's clock, 0x20 a marker. */
export function withAttributes(batch: Buffer, attributes: number): Buffer {
  const changed = Buffer.from(batch);
  changed.writeInt16BE(changed.readInt16BE(21) | attributes, 21);
  return sealed(changed);
}

/** With a checksum that fits its bytes, whatever they are. */
export function sealed(batch: Buffer): Buffer {
  batch.writeUInt32BE(crc32c(batch.subarray(21)), 17);
  return batch;
}

export const HEAD_BYTES = 61;

/** A marker of a transaction's end. */
export async function writeMarker(firstOffset: number, producerId: number, end: 'abort' | 'commit'): Promise<Buffer> {
  const key = Buffer.from([0, 0, 0, end === 'abort' ? 0 : 1]);
  const batch = { firstOffset, producerId, transactional: true, records: [{ key, value: Buffer.alloc(6) }] };
  return withAttributes(await writeBatch(batch), 0x20);
}
