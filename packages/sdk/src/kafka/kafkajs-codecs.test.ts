import { createRequire } from 'node:module';
import kafkajs from 'kafkajs';
import { beforeAll, describe, expect, test } from 'vitest';
import { registerCodecs } from './kafkajs-codecs.ts';
import { unreadableReason } from './kafkajs-unreadable.ts';

interface Decoded {
  readonly records: {
    readonly offset: string;
    readonly value: Buffer | null;
    readonly batchContext: { firstOffset: string; lastOffsetDelta: number };
  }[];
}

const load = createRequire(import.meta.url);
const { RecordBatch } = load('kafkajs/src/protocol/recordBatch/v0') as {
  RecordBatch(batch: object): Promise<{ buffer: Buffer }>;
};
const Record = load('kafkajs/src/protocol/recordBatch/record/v0') as (record: object) => unknown;
const Decoder = load('kafkajs/src/protocol/decoder') as new (buffer: Buffer) => unknown;
const decodeBatch = load('kafkajs/src/protocol/recordBatch/v0/decoder') as (decoder: unknown) => Promise<Decoded>;
const read = (written: Buffer) => decodeBatch(new Decoder(written));

const LENGTH_AT = 8;
/** Behind the head of 57 bytes and the count of 4. */
const RECORDS_AT = 61;

async function batch(compression: number, values: readonly string[]): Promise<Buffer> {
  const { buffer } = await RecordBatch({
    compression,
    firstOffset: 1_000,
    firstTimestamp: 1,
    maxTimestamp: 1,
    lastOffsetDelta: values.length - 1,
    records: values.map((value, index) => Record({ offsetDelta: index, timestampDelta: 0, key: null, value })),
  });
  return Buffer.from(buffer);
}

describe('codecs', () => {
  beforeAll(() => registerCodecs());

  test.each(['GZIP', 'Snappy', 'LZ4', 'ZSTD'] as const)('%s batches are written and read', async (name) => {
    // Snappy's blocks hold 32 KiB, lz4's 64.
    const values = ['a', 'b'.repeat(100_000), 'c'];
    const { records } = await read(await batch(kafkajs.CompressionTypes[name], values));
    expect(records.map(({ value }) => String(value))).toEqual(values);
    expect(records.map(({ value }) => unreadableReason(value))).toEqual([undefined, undefined, undefined]);
  });

  test('a bare snappy block is read too', async () => {
    const framed = await batch(kafkajs.CompressionTypes.Snappy, ['a', 'b']);
    const bare = Buffer.concat([framed.subarray(0, RECORDS_AT), framed.subarray(RECORDS_AT + 16 + 4)]);
    bare.writeInt32BE(bare.length - 12, LENGTH_AT);
    const { records } = await read(bare);
    expect(records.map(({ value }) => String(value))).toEqual(['a', 'b']);
  });

  test.each([
    ['gzip', 1],
    ['snappy', 2],
    ['lz4', 3],
    ['zstd', 4],
  ])('a damaged %s batch becomes stand-ins that know its first and last offset', async (name, type) => {
    const written = await batch(type, ['a', 'b', 'c']);
    written.fill(0xee, RECORDS_AT);
    const { records } = await read(written);
    expect(records).toHaveLength(3);
    for (const { value, offset, batchContext } of records) {
      expect(unreadableReason(value)).toBe(`its ${name} data is damaged`);
      expect(Number(batchContext.firstOffset) + batchContext.lastOffsetDelta).toBe(1_002);
      // Behind any fetch position within the batch: kafkajs drops what lies before it.
      expect(Number(offset)).toBeGreaterThan(1_002);
    }
  });

  test('bytes that look like a stand-in’s are a record like any other', () => {
    expect(unreadableReason(Buffer.from([0]))).toBeUndefined();
    expect(unreadableReason(null)).toBeUndefined();
  });
});
