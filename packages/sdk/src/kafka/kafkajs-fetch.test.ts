import { createRequire } from 'node:module';
import type { Cluster } from 'kafkajs';
import { describe, expect, test } from 'vitest';
import { withAttributes, writeBatch, writeMarker } from './batch-bytes.fixture.ts';
import { type Doubts, readFetch, readFetchesOf, type WholeBatch } from './kafkajs-fetch.ts';

const load = createRequire(import.meta.url);
const int = (bytes: 2 | 4 | 8, value: number): Buffer => {
  const buffer = Buffer.alloc(bytes);
  if (bytes === 8) buffer.writeBigInt64BE(BigInt(value));
  else buffer.writeIntBE(value, 0, bytes);
  return buffer;
};

/** The answer of a broker: one topic, one partition. */
function answer(
  version: number,
  records: Buffer,
  aborted: readonly { producerId: number; firstOffset: number }[] = [],
): Buffer {
  return Buffer.concat([
    int(4, 17),
    ...(version >= 7 ? [int(2, 0), int(4, 5)] : []),
    int(4, 1),
    int(2, 5),
    Buffer.from('topic'),
    int(4, 1),
    int(4, 3),
    int(2, 0),
    int(8, 2_000),
    int(8, 1_990),
    ...(version >= 5 ? [int(8, 10)] : []),
    int(4, aborted.length),
    ...aborted.flatMap(({ producerId, firstOffset }) => [int(8, producerId), int(8, firstOffset)]),
    ...(version >= 11 ? [int(4, -1)] : []),
    int(4, records.length),
    records,
  ]);
}

const messagesOf = async (records: Buffer, aborted?: Parameters<typeof answer>[2]): Promise<readonly WholeBatch[]> =>
  (await readFetch(11, answer(11, records, aborted)))!.responses[0]!.partitions[0]!.messages;

describe('answers to fetches', () => {
  test.each([4, 5, 6, 7, 8, 9, 10, 11])('version %i: all but the messages is what kafkajs reads', async (version) => {
    const records = await writeBatch({ firstOffset: 100, records: [{}, {}] });
    const kafkajs = load(`kafkajs/src/protocol/requests/fetch/v${version}/response`) as {
      decode(data: Buffer): Promise<{ responses: { partitions: { messages: { offset: string }[] }[] }[] }>;
    };
    const data = answer(version, records);
    const expected = await kafkajs.decode(data);
    const read = (await readFetch(version, data))!;
    expect(expected.responses[0]!.partitions[0]!.messages.splice(0)).toHaveLength(2);
    expect(read.responses[0]!.partitions[0]!.messages.splice(0)).toMatchObject([{ offset: '101' }]);
    expect(read).toEqual(expected);
  });

  test('other versions, and logs of before Kafka 0.11, are left to kafkajs', async () => {
    const records = await writeBatch({ firstOffset: 100, records: [{}] });
    expect(await readFetch(3, answer(4, records))).toBeUndefined();
    expect(await readFetch(12, answer(11, records))).toBeUndefined();
    const old = Buffer.from(records);
    old[16] = 1;
    expect(await readFetch(11, answer(11, old))).toBeUndefined();
  });

  test('a batch has its last offset, so that one which begins before the position is not dropped', async () => {
    const records = [
      await writeBatch({ firstOffset: 100, records: [{}, {}, {}] }),
      await writeBatch({ firstOffset: 103, lastOffsetDelta: 9, records: [{}] }),
    ];
    expect((await messagesOf(Buffer.concat(records))).map(({ offset }) => offset)).toEqual(['102', '112']);
  });

  test('aborted transactions, markers and what compaction emptied are nobody’s work', async () => {
    const of = (firstOffset: number, producerId: number, transactional = true) =>
      writeBatch({ firstOffset, producerId, transactional, records: [{}, {}] });
    const records = [
      await of(0, 1),
      await of(2, 2),
      await of(4, 3, false),
      await writeMarker(6, 1, 'abort'),
      await of(7, 1),
      await writeMarker(9, 1, 'commit'),
      await writeMarker(10, 2, 'commit'),
      await writeBatch({ firstOffset: 11, lastOffsetDelta: 4, records: [] }),
    ];
    // The second one aborted began before what was fetched, as the first did: both are known at the first batch.
    const aborted = [
      { producerId: 2, firstOffset: -1 },
      { producerId: 1, firstOffset: 0 },
    ];
    const nobodys = (await messagesOf(Buffer.concat(records), aborted)).map((each) => each.isControlRecord);
    expect(nobodys).toEqual([true, true, false, true, false, true, true, true]);
  });

  describe('a batch whose checksum does not fit', () => {
    const three = async () => {
      const of = (firstOffset: number) =>
        writeBatch({ firstOffset, records: [{ value: Buffer.from('a') }, { value: Buffer.from('b') }] });
      return [await of(100), await of(102), await of(104)];
    };
    const read = async (batches: readonly Buffer[], doubts: Doubts) => {
      const data = answer(11, Buffer.concat(batches));
      const { messages } = (await readFetch(11, data, doubts))!.responses[0]!.partitions[0]!;
      return messages.map(({ offset, unreadable }) => (unreadable === undefined ? offset : [offset, unreadable]));
    };
    const WHY = 'its checksum does not fit its bytes';

    test('is left out, and so asked for again: what was changed on its way comes right', async () => {
      const doubts: Doubts = new Set();
      const [first, second, third] = await three();
      const bad = Buffer.from(second!);
      bad[70]! ^= 1;
      expect(await read([first!, bad, third!], doubts)).toEqual(['101']);
      expect(await read([second!, third!], doubts)).toEqual(['103', '105']);
    });

    test('the second time cannot be read, and ends where the next one begins, whatever it says itself', async () => {
      const doubts: Doubts = new Set();
      const [first, second, third] = await three();
      // The distance of its last offset, 65,537 now.
      second![24]! ^= 1;
      expect(await read([first!, second!, third!], doubts)).toEqual(['101']);
      expect(await read([second!, third!], doubts)).toEqual([['103', WHY], '105']);
      expect(doubts.size).toBe(0);
    });

    test('ends with the log when none follows', async () => {
      const doubts: Doubts = new Set();
      const [first] = await three();
      first![24]! ^= 1;
      expect(await read([first!], doubts)).toEqual([]);
      expect(await read([first!], doubts)).toEqual([['1999', WHY]]);
    });

    test('any bit that the checksum covers is found', async () => {
      const [first] = await three();
      for (let bit = 21 * 8; bit < first!.length * 8; bit += 5) {
        const bad = Buffer.from(first!);
        bad[bit >> 3]! ^= 1 << (bit & 7);
        expect(await read([bad], new Set())).toEqual([]);
      }
    });
  });

  test('an unknown codec is told with the batch', async () => {
    const records = withAttributes(await writeBatch({ firstOffset: 0, records: [{}] }), 0x07);
    expect(await messagesOf(records)).toMatchObject([{ unreadable: 'its codec 7 is not known' }]);
  });

  test('one client’s fetches are read here, also after its broker was connected anew; another’s are not', async () => {
    const made = (apiVersion: number) => ({
      request: { apiVersion },
      response: { decode: async () => 'by kafkajs', parse: async (data: unknown) => data },
    });
    const lookUp = (apiVersion: number) => () => () => made(apiVersion);
    type Broker = { lookupRequest: (key: number, definition: unknown) => (request: object) => ReturnType<typeof made> };
    const broker: Broker = { lookupRequest: lookUp(11) };
    const other: Broker = { lookupRequest: lookUp(11) };
    const cluster = { findBroker: async () => broker } as unknown as Cluster;
    readFetchesOf(cluster);
    readFetchesOf(cluster);
    await cluster.findBroker({ nodeId: '1' });
    await cluster.findBroker({ nodeId: '1' });
    const data = answer(11, await writeBatch({ firstOffset: 0, records: [{}] }));
    const decode = (from: Broker, key: number) => {
      const { decode } = from.lookupRequest(key, {})({}).response as { decode(data: Buffer): Promise<unknown> };
      return decode(data);
    };
    expect(await decode(broker, 1)).toMatchObject({ responses: [{ topicName: 'topic' }] });
    expect(await decode(broker, 3)).toBe('by kafkajs');
    expect(await decode(other, 1)).toBe('by kafkajs');
    broker.lookupRequest = lookUp(3);
    expect(await decode(broker, 1)).toBe('by kafkajs');
    broker.lookupRequest = lookUp(10);
    expect(await decode(broker, 1)).toMatchObject({ responses: [{ topicName: 'topic' }] });
  });
});
