import kafkajs, { type KafkaMessage } from 'kafkajs';
import { beforeAll, describe, expect, test } from 'vitest';
import { HEAD_BYTES, sealed, writeBatch } from './batch-bytes.fixture.ts';
import { registerCodecs } from './kafkajs-codecs.ts';
import { readFetch } from './kafkajs-fetch.ts';
import { readParts } from './kafkajs-parts.ts';
import { standInsFor } from './kafkajs-unreadable.ts';

const { CompressionTypes } = kafkajs;

/** What a broker's answer with these batches becomes. */
async function partsOf(batches: readonly Buffer[], next = 0): Promise<unknown[]> {
  const records = Buffer.concat(batches);
  const data = Buffer.alloc(64 + records.length);
  let at = data.writeInt32BE(0); // throttle
  at = data.writeInt32BE(1, at);
  at = data.writeInt16BE(1, at);
  at += data.write('t', at);
  at = data.writeInt32BE(1, at);
  at += 4 + 2 + 8 + 8 + 4; // partition, error, ends, aborted
  at = data.writeInt32BE(records.length, at);
  records.copy(data, at);
  const read = (await readFetch(4, data))!;
  const messages = read.responses[0]!.partitions[0]!.messages as unknown as KafkaMessage[];
  return told(messages, next);
}

function told(messages: readonly KafkaMessage[], next: number): unknown[] {
  return [...readParts({ topic: 't', partition: 0, next }, messages)].map((part) =>
    part.records === undefined
      ? [part.firstOffset, part.lastOffset, part.reason]
      : { values: [...part.records].map(({ raw }) => String(raw)), lastOffset: part.lastOffset },
  );
}

const written = (firstOffset: number, values: string, compression: number = CompressionTypes.None) =>
  writeBatch({ firstOffset, compression, records: [...values].map((value) => ({ value: Buffer.from(value) })) });

describe('parts of a fetch', () => {
  beforeAll(() => registerCodecs());

  test('batches that are not compressed are one part', async () => {
    expect(await partsOf([await written(0, 'ab'), await written(2, 'cd')])).toEqual([
      { values: ['a', 'b', 'c', 'd'], lastOffset: 3 },
    ]);
  });

  test('a position within a batch is where the part begins', async () => {
    expect(await partsOf([await written(0, 'ab'), await written(2, 'cd')], 1)).toEqual([
      { values: ['b', 'c', 'd'], lastOffset: 3 },
    ]);
  });

  test('every codec is a part of its own, in order', async () => {
    const { GZIP, Snappy, LZ4, ZSTD } = CompressionTypes;
    const batches = [await written(0, 'ab'), await written(2, 'cd', GZIP), await written(4, 'ef', Snappy)];
    batches.push(await written(6, 'gh', LZ4), await written(8, 'ij', ZSTD));
    const expected = ['ab', 'cd', 'ef', 'gh', 'ij'].map((pair, index) => ({
      values: [...pair],
      lastOffset: 2 * index + 1,
    }));
    expect(await partsOf(batches)).toEqual(expected);
  });

  test.each([
    ['', CompressionTypes.None, 'its records are damaged'],
    ['gzip', CompressionTypes.GZIP, 'its gzip data is damaged'],
    ['zstd', CompressionTypes.ZSTD, 'its zstd data is damaged'],
  ])('a damaged batch (%s) is told by its offsets, and its neighbours stay readable', async (_, type, reason) => {
    const bad = await written(2, 'cde', type);
    sealed(bad.fill(0xee, HEAD_BYTES));
    expect(await partsOf([await written(0, 'ab'), bad, await written(5, 'f')])).toEqual([
      { values: ['a', 'b'], lastOffset: 1 },
      [2, 4, reason],
      { values: ['f'], lastOffset: 5 },
    ]);
    expect(await partsOf([bad])).toEqual([[2, 4, reason]]);
    expect(await partsOf([bad, bad])).toEqual([
      [2, 4, reason],
      [2, 4, reason],
    ]);
  });

  test('a codec that throws makes its own batch unreadable and no other', async () => {
    const { GZIP, ZSTD } = CompressionTypes;
    const table = kafkajs.CompressionCodecs as Record<number, unknown>;
    const before = table[GZIP];
    const batches = [await written(0, 'ab', GZIP), await written(2, 'cd', ZSTD)];
    table[GZIP] = () => ({ decompress: () => Promise.reject(new Error('no such codec')) });
    const parts = await partsOf(batches);
    table[GZIP] = before;
    expect(parts).toEqual([[0, 1, 'its codec 1 has failed: no such codec'], { values: ['c', 'd'], lastOffset: 3 }]);
  });

  test('a batch that claims a billion records is damaged, and claims no memory', async () => {
    const bad = await written(2, 'cde');
    bad.writeInt32BE(1_000_000_000, 57);
    sealed(bad);
    expect(await partsOf([bad])).toEqual([[2, 4, 'its records are damaged']]);
  });

  test('messages that kafkajs has read itself are parts too', () => {
    const message = (offset: number, value: Buffer) =>
      ({
        offset: String(offset),
        timestamp: '5',
        key: null,
        value,
        headers: {},
        batchContext: { firstOffset: '7', lastOffsetDelta: 2 },
      }) as unknown as KafkaMessage;
    const standIn = standInsFor('it is of another world').subarray(0, 1);
    expect(told([message(5, Buffer.from('a')), message(6, Buffer.from('b')), message(7, standIn)], 0)).toEqual([
      { values: ['a', 'b'], lastOffset: 6 },
      [7, 9, 'it is of another world'],
    ]);
  });
});
