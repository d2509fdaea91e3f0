import { createRequire } from 'node:module';
import kafkajs from 'kafkajs';
import { beforeAll, describe, expect, test } from 'vitest';
import { registerCodecs, unreadableReason } from './kafkajs-codecs.ts';

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

const ATTRIBUTES_AT = 21;

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

  test.each(['GZIP', 'ZSTD'] as const)('%s batches are written and read', async (name) => {
    const written = await batch(kafkajs.CompressionTypes[name], ['a', 'b']);
    const { records } = await decodeBatch(new Decoder(written));
    expect(records.map(({ value }) => String(value))).toEqual(['a', 'b']);
    expect(records.map(({ value }) => unreadableReason(value))).toEqual([undefined, undefined]);
  });

  test.each([
    ['LZ4', 3],
    ['Snappy', 2],
  ])('a %s batch becomes stand-ins that know its first and last offset', async (_name, type) => {
    const written = await batch(kafkajs.CompressionTypes.GZIP, ['a', 'b', 'c']);
    written.writeInt16BE(type, ATTRIBUTES_AT);
    const { records } = await decodeBatch(new Decoder(written));
    expect(records).toHaveLength(3);
    for (const { value, offset, batchContext } of records) {
      expect(unreadableReason(value)).toContain('no codec is registered');
      expect(Number(batchContext.firstOffset) + batchContext.lastOffsetDelta).toBe(1_002);
      // Behind any fetch position within the batch: kafkajs drops what lies before it.
      expect(Number(offset)).toBeGreaterThan(1_002);
    }
  });

  test('a damaged batch becomes stand-ins too', async () => {
    const written = await batch(kafkajs.CompressionTypes.GZIP, ['a'.repeat(1_000)]);
    written.fill(0xee, written.length - 20);
    const { records } = await decodeBatch(new Decoder(written));
    expect(records.map(({ value }) => unreadableReason(value))).toEqual(['its gzip data is damaged']);
  });

  test('bytes that look like a stand-in’s are a record like any other', () => {
    expect(unreadableReason(Buffer.from([0]))).toBeUndefined();
    expect(unreadableReason(null)).toBeUndefined();
  });

  test('producing with a codec that is not there says so', async () => {
    await expect(batch(kafkajs.CompressionTypes.LZ4, ['a'])).rejects.toThrow(/no lz4 codec is registered/);
  });
});
