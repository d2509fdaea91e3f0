import { createRequire } from 'node:module';
import fc from 'fast-check';
import type { Cluster } from 'kafkajs';
import { describe, expect, test } from 'vitest';
import { type ProduceRequest, writeProduce, writeProducesOf } from './kafkajs-produce.ts';
import { isSound, readBatches } from './record-batch.ts';
import type { ProducedRecord } from './record-batch-bytes.ts';
import { ColumnRecords } from './record-columns.ts';

const load = createRequire(import.meta.url);
const VERSIONS = [3, 4, 5, 6, 7];

async function byKafkajs(version: number, request: ProduceRequest): Promise<Buffer> {
  const make = load(`kafkajs/src/protocol/requests/produce/v${version}/request`) as (request: ProduceRequest) => {
    encode(): Promise<{ buffer: Buffer }>;
  };
  return (await make(request).encode()).buffer;
}

const record = (over: Partial<ProducedRecord> = {}): ProducedRecord => ({
  key: 'key',
  value: Buffer.from('value'),
  headers: {},
  timestamp: 1_700_000_000_000,
  ...over,
});
const request = (messages: readonly ProducedRecord[], over: Partial<ProduceRequest> = {}): ProduceRequest => ({
  acks: -1,
  timeout: 30_000,
  producerId: '4000',
  producerEpoch: 3,
  compression: 0,
  topicData: [{ topic: 'topic', partitions: [{ partition: 5, firstSequence: 17, messages }] }],
  ...over,
});

const text = fc.string({ unit: 'grapheme', maxLength: 20 });
const bytes = fc.oneof(fc.uint8Array({ maxLength: 300 }), fc.uint8Array({ minLength: 8_000, maxLength: 9_000 }));
const part = fc.oneof(
  fc.constant(null),
  text,
  bytes.map((each) => Buffer.from(each)),
);
const records = fc.array(
  fc.record<ProducedRecord>({
    key: part,
    value: part,
    headers: fc.dictionary(
      text,
      fc.oneof(
        text,
        bytes.map((each) => Buffer.from(each)),
      ),
      { noNullPrototype: true },
    ),
    // Thirteen digits: kafkajs looks for the first and the last of them by their text.
    timestamp: fc.oneof(
      fc.integer({ min: 1_700_000_000_000, max: 1_700_000_100_000 }),
      fc.integer({ min: 1e12, max: 9_999_999_999_999 }),
    ),
  }),
  { minLength: 1, maxLength: 130 },
);

describe('produce requests', () => {
  test('are, byte for byte, what kafkajs writes', { timeout: 120_000 }, async () => {
    await fc.assert(
      fc.asyncProperty(
        fc.constantFrom(...VERSIONS),
        fc.record<ProduceRequest>({
          acks: fc.constantFrom(-1, 0, 1),
          timeout: fc.integer({ min: 0, max: 2 ** 31 - 1 }),
          transactionalId: fc.option(
            text.filter((id) => id !== ''),
            { nil: undefined },
          ),
          producerId: fc.bigInt({ min: -1n, max: 2n ** 63n - 1n }).map(String),
          producerEpoch: fc.integer({ min: 0, max: 2 ** 15 - 1 }),
          compression: fc.constant(0),
          topicData: fc.array(
            fc.record({
              topic: fc.stringMatching(/^[a-z.-]{1,40}$/),
              partitions: fc.array(
                fc.record({
                  partition: fc.nat(),
                  firstSequence: fc.integer({ min: 0, max: 2 ** 31 - 1 }),
                  messages: records,
                }),
                { maxLength: 3 },
              ),
            }),
            { maxLength: 3 },
          ),
        }),
        async (version, asked) => {
          expect(writeProduce(version, asked)).toEqual(await byKafkajs(version, asked));
        },
      ),
      { numRuns: 60 },
    );
  });

  test('hold records that are read back as they were given, times years apart among them', () => {
    const given = [
      record({ timestamp: 1_700_000_000_000, headers: { a: 'b', c: Buffer.from([0, 255]) } }),
      record({ timestamp: 1, key: null, value: null }),
      record({ timestamp: 8_640_000_000_000_000, key: Buffer.from('ä'), value: '' }),
    ];
    const written = writeProduce(7, request(given))!;
    const begin = 2 + 2 + 4 + 4 + (2 + 'topic'.length) + 4 + 4 + 4;
    const [batch] = readBatches(written, begin, written.length);
    expect(isSound(batch!)).toBe(true);
    const read = new ColumnRecords({ topic: 'topic', partition: 5, bytes: written, most: 3 });
    read.add(batch!, 0);
    expect([0, 1, 2].map((index) => read.timestamp(index))).toEqual(given.map(({ timestamp }) => timestamp));
    expect(read.key(2)?.toString()).toBe('ä');
    expect([read.key(1), read.value(1), read.value(2)?.length]).toEqual([null, null, 0]);
    expect({ ...read.headers(0) }).toEqual({ a: Buffer.from('b'), c: Buffer.from([0, 255]) });
  });

  test.each([
    ['of another version', 8, request([record()])],
    ['with a codec', 7, request([record()], { compression: 1 })],
    ['without a record', 7, request([])],
    ['with a time that kafkajs takes for none', 7, request([record({ timestamp: 0 })])],
    ['with a fraction of a millisecond', 7, request([record({ timestamp: 1.5 })])],
    ['with a value of another kind', 7, request([record({ value: new Uint8Array(3) as Buffer })])],
    ['with a header that comes twice', 7, request([record({ headers: { a: ['b', 'c'] as never } })])],
  ] as const)('%s are left to kafkajs', (_, version, asked) => {
    expect(writeProduce(version, asked)).toBeUndefined();
  });

  test('of one client are written here, those that are not ours and another client’s by kafkajs', async () => {
    const lookUp = () => (asked: object) => ({
      request: { ...asked, apiVersion: 7, encode: async () => 'by kafkajs' },
      response: { decode: async () => undefined, parse: async (data: unknown) => data },
    });
    const broker = { lookupRequest: lookUp };
    const cluster = { findBroker: async () => broker } as unknown as Cluster;
    writeProducesOf(cluster);
    await cluster.findBroker({ nodeId: '1' });
    const encoded = (asked: object, apiKey = 0) =>
      (broker.lookupRequest as (...looked: unknown[]) => ReturnType<typeof lookUp>)(apiKey, {})(asked).request.encode();
    const asked = request([record()]);
    const bytes = writeProduce(7, asked);
    expect(await encoded(asked)).toEqual({ buf: bytes, buffer: bytes });
    expect(await encoded(request([record()], { compression: 1 }))).toBe('by kafkajs');
    expect(await encoded(asked, 3)).toBe('by kafkajs');
    expect(await lookUp()(asked).request.encode()).toBe('by kafkajs');
  });
});
