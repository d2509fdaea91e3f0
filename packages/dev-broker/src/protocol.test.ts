/** What reaches the broker that no good client sends: it answers with Kafka's error or hangs up, and never dies. */
import { seededRandom } from '@weir/core';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { APIS } from './apis/registry.ts';
import { type Broker, startBroker } from './broker.ts';
import { decodeResponse, framed, RawClient, recordBatch, requestFrame, sealed } from './testing/raw-client.ts';
import { CODES } from './wire/codes.ts';

let broker: Broker;
const clients: RawClient[] = [];
beforeEach(async () => {
  broker = await startBroker({ maxRequestBytes: 1_000_000, random: seededRandom(1) });
  broker.createTopic('t', { partitions: 2 });
});
afterEach(async () => {
  for (const client of clients.splice(0)) client.close();
  await broker.stop();
});

async function connect(): Promise<RawClient> {
  const client = await RawClient.connect(broker.brokers[0]!);
  clients.push(client);
  return client;
}

async function alive(): Promise<void> {
  const client = await connect();
  expect((await client.ask('ApiVersions', 0, {}))?.errorCode).toBe(CODES.NONE);
}

function int32(value: number): Buffer {
  const bytes = Buffer.alloc(4);
  bytes.writeInt32BE(value);
  return bytes;
}

describe('frames', () => {
  test.each([
    ['a negative length', int32(-5)],
    ['a length above the limit', int32(1_000_001)],
    ['two billion bytes', int32(0x7fff_ffff)],
    ['an HTTP request', Buffer.from('GET / HTTP/1.1\r\nHost: x\r\n\r\n')],
    ['a TLS hello', Buffer.from('16030100f1010000ed0303', 'hex')],
    ['an empty frame', int32(0)],
    ['a header cut short', framed(Buffer.from([0, 18, 0]))],
    ['an unknown API', framed(Buffer.from([0x13, 0x88, 0, 0, 0, 0, 0, 1, 0xff, 0xff]))],
    ['a version that is not advertised', framed(Buffer.from([0, 3, 0, 99, 0, 0, 0, 1, 0xff, 0xff]))],
    ['a client id longer than the frame', framed(Buffer.from([0, 18, 0, 0, 0, 0, 0, 1, 0x40, 0]))],
    ['bytes behind the request', framed(Buffer.from([0, 18, 0, 0, 0, 0, 0, 1, 0xff, 0xff, 1, 2, 3]))],
  ])('%s closes the connection', async (_what, bytes) => {
    const refused: string[] = [];
    broker.events.on('connection:refused', ({ reason }) => refused.push(reason));
    const client = await connect();
    client.write(bytes);
    await client.untilClosed();
    expect(refused).toHaveLength(1);
    await alive();
  });

  test('an unknown version of ApiVersions is told which ones there are, in version 0', async () => {
    const client = await connect();
    client.write(framed(Buffer.from([0, 18, 0, 99, 0, 0, 0, 7, 0xff, 0xff, 0])));
    const frame = (await client.frame())!;
    expect(frame.readInt32BE(0)).toBe(7);
    const answer = decodeResponse('ApiVersions', 0, frame);
    expect(answer.errorCode).toBe(CODES.UNSUPPORTED_VERSION);
    expect(answer.apiKeys).toContainEqual({ apiKey: 18, minVersion: 0, maxVersion: 4 });
  });

  test('ApiVersions v3 answers with the old header', async () => {
    const client = await connect();
    client.send('ApiVersions', 3, { clientSoftwareName: 'raw', clientSoftwareVersion: '1.0' });
    const frame = (await client.frame())!;
    expect([...frame.subarray(0, 6)]).toEqual([0, 0, 0, 1, 0, 0]);
    expect(decodeResponse('ApiVersions', 3, frame).apiKeys).toHaveLength(APIS.length);
  });

  test('a request in single bytes is read all the same', async () => {
    const client = await connect();
    client.socket.setNoDelay(true);
    for (const byte of requestFrame('Metadata', 1, { topics: null })) client.write(Buffer.from([byte]));
    expect(decodeResponse('Metadata', 1, (await client.frame())!).topics).toHaveLength(1);
  });

  test('half a frame and then silence holds nothing up for others', async () => {
    const client = await connect();
    client.write(requestFrame('Metadata', 1, { topics: null }).subarray(0, 9));
    await alive();
    expect(client.closed).toBe(false);
  });

  test('requests sent together are answered in their order, a long poll included', async () => {
    const client = await connect();
    const wanted = [
      client.send('Metadata', 1, { topics: null }),
      client.send('Fetch', 4, {
        maxWaitMs: 60,
        minBytes: 1,
        topics: [{ topic: 't', partitions: [{ partition: 0, fetchOffset: 0, partitionMaxBytes: 1000 }] }],
      }),
      ...Array.from({ length: 40 }, () => client.send('ApiVersions', 0, {})),
    ];
    const got: number[] = [];
    while (got.length < wanted.length) got.push((await client.frame())!.readInt32BE(0));
    expect(got).toEqual(wanted);
  });

  test('a client that does not read its answers is not read from either', async () => {
    const client = await connect();
    const batch = recordBatch({ values: ['x'.repeat(100_000)] });
    for (let index = 0; index < 20; index++) {
      await client.ask('Produce', 3, {
        acks: 1,
        topics: [{ name: 't', partitions: [{ index: 0, records: batch }] }],
      });
    }
    let fetches = 0;
    broker.control('Fetch', () => {
      fetches++;
      return undefined;
    });
    const greedy = await connect();
    greedy.socket.pause();
    const request = requestFrame('Fetch', 4, {
      maxWaitMs: 0,
      minBytes: 0,
      topics: [{ topic: 't', partitions: [{ partition: 0, fetchOffset: 0, partitionMaxBytes: 10_000_000 }] }],
    });
    for (let index = 0; index < 500; index++) greedy.write(request);
    await alive();
    await expect.poll(() => fetches, { interval: 20 }).toBeGreaterThan(0);
    const settled = await stable(() => fetches);
    // 500 answers of 2 MB would be 1 GB in memory; what the sockets' own buffers take is a few.
    expect(settled).toBeLessThan(20);
    greedy.socket.resume();
    await expect.poll(() => fetches, { timeout: 20_000 }).toBeGreaterThan(settled);
  });
});

/** The value once it has stopped changing. */
async function stable(read: () => number): Promise<number> {
  let last = -1;
  for (;;) {
    const now = read();
    if (now === last) return now;
    last = now;
    for (let round = 0; round < 3; round++) await alive();
  }
}

describe('noise', () => {
  test.each([
    1, 2, 3, 4, 5, 6,
  ])('seed %i: random frames, some with a true header, leave the broker alive', async (seed) => {
    const random = seededRandom(seed);
    for (let round = 0; round < 60; round++) {
      const client = await connect();
      const body = Buffer.from(Array.from({ length: random.below(300) }, () => random.below(256)));
      if (body.length >= 10 && random.below(4) > 0) {
        const api = APIS[random.below(APIS.length)]!;
        body.writeInt16BE(api.key, 0);
        body.writeInt16BE(api.versions[0] + random.below(api.versions[1] - api.versions[0] + 1), 2);
        body.writeInt16BE(-1, 8);
        if (random.below(2) === 0) body.fill(0, 10, Math.min(body.length, 10 + random.below(40)));
      }
      client.write(framed(body));
      client.socket.end();
      await client.untilClosed();
      client.close();
    }
    await alive();
  });

  test.each([7, 8, 9])('seed %i: true requests with one byte changed', async (seed) => {
    const random = seededRandom(seed);
    const batch = recordBatch({ values: ['one', 'two'] });
    const good = [
      requestFrame('Produce', 9, { acks: 1, topics: [{ name: 't', partitions: [{ index: 0, records: batch }] }] }),
      requestFrame('Fetch', 12, { topics: [{ topic: 't', partitions: [{ partition: 0, partitionMaxBytes: 100 }] }] }),
      requestFrame('Metadata', 12, { topics: [{ name: 't' }] }),
      requestFrame('CreateTopics', 5, { topics: [{ name: 'n', numPartitions: 1, replicationFactor: 1 }] }),
      requestFrame('OffsetCommit', 8, {
        groupId: 'g',
        topics: [{ name: 't', partitions: [{ committedOffset: 1, committedMetadata: 'm' }] }],
      }),
      requestFrame('JoinGroup', 3, {
        groupId: 'g',
        sessionTimeoutMs: 6000,
        rebalanceTimeoutMs: 10,
        protocolType: 'consumer',
        protocols: [{ name: 'range', metadata: Buffer.from([1, 2, 3]) }],
      }),
    ];
    for (let round = 0; round < 150; round++) {
      const frame = Buffer.from(good[random.below(good.length)]!);
      frame[4 + random.below(frame.length - 4)] = random.below(256);
      const client = await connect();
      client.write(frame);
      client.socket.end();
      await client.untilClosed();
      client.close();
    }
    await alive();
  });
});

describe('produce', () => {
  const produce = async (records: Buffer | null, more: { acks?: number; topic?: string; index?: number } = {}) => {
    const client = await connect();
    const answer = await client.ask('Produce', 8, {
      acks: more.acks ?? 1,
      topics: [{ name: more.topic ?? 't', partitions: [{ index: more.index ?? 0, records }] }],
    });
    return answer?.topics[0]?.partitions[0];
  };

  test('offsets count up and the batch is stored as it came, save base offset and leader epoch', async () => {
    expect(await produce(recordBatch({ values: ['a', 'b'] }))).toMatchObject({ errorCode: 0, baseOffset: 0 });
    const second = recordBatch({ values: ['c'] });
    expect(await produce(second)).toMatchObject({ errorCode: 0, baseOffset: 2 });
    const client = await connect();
    const answer = await client.ask('Fetch', 4, {
      topics: [{ topic: 't', partitions: [{ partition: 0, fetchOffset: 2, partitionMaxBytes: 1000 }] }],
    });
    const stored = Buffer.from(answer!.topics[0]!.partitions[0]!.records[0]!);
    expect(stored.readBigInt64BE(0)).toBe(2n);
    expect(stored.readInt32BE(12)).toBe(0);
    expect(stored.subarray(16)).toEqual(second.subarray(16));
  });

  test.each([
    ['a broken checksum', () => flip(recordBatch(), 60), CODES.CORRUPT_MESSAGE],
    ['a batch cut short', () => recordBatch().subarray(0, 65), CODES.INVALID_RECORD],
    ['two batches', () => Buffer.concat([recordBatch(), recordBatch()]), CODES.INVALID_RECORD],
    ['no batch', () => null, CODES.INVALID_RECORD],
    ['message format 1', () => set(recordBatch(), 16, 1), CODES.INVALID_RECORD],
    ['message format 7', () => set(recordBatch(), 16, 7), CODES.CORRUPT_MESSAGE],
    ['a wrong count', () => sealed(set(recordBatch(), 60, 9)), CODES.INVALID_RECORD],
    ['a transactional batch', () => recordBatch({ attributes: 0x10, producerId: 5 }), CODES.INVALID_REQUEST],
    ['a time too far back', () => recordBatch({ timestamps: [1000] }), CODES.INVALID_TIMESTAMP],
    ['a time too far ahead', () => recordBatch({ timestamps: [9e12] }), CODES.INVALID_TIMESTAMP],
    ['a batch above max.message.bytes', () => recordBatch({ values: ['x'.repeat(2000)] }), CODES.MESSAGE_TOO_LARGE],
  ])('%s is refused', async (_what, batch, code) => {
    broker.createTopic('small', {
      configs: {
        'max.message.bytes': '1000',
        'message.timestamp.before.max.ms': String(20 * 365 * 86_400_000),
        'message.timestamp.after.max.ms': '3600000',
      },
    });
    expect((await produce(batch(), { topic: 'small' }))?.errorCode).toBe(code);
    expect(broker.inspect().topics.find(({ name }) => name === 'small')?.partitions[0]?.endOffset).toBe(0);
  });

  test('a topic or partition that is not there, and impossible acks', async () => {
    expect((await produce(recordBatch(), { topic: 'nope' }))?.errorCode).toBe(CODES.UNKNOWN_TOPIC_OR_PARTITION);
    expect((await produce(recordBatch(), { index: 9 }))?.errorCode).toBe(CODES.UNKNOWN_TOPIC_OR_PARTITION);
    expect((await produce(recordBatch(), { acks: 7 }))?.errorCode).toBe(CODES.INVALID_REQUIRED_ACKS);
  });

  test('acks 0 is not answered, and hangs up when it fails', async () => {
    const client = await connect();
    client.send('Produce', 3, { acks: 0, topics: [{ name: 't', partitions: [{ index: 0, records: recordBatch() }] }] });
    expect((await client.ask('ApiVersions', 0, {}))?.errorCode).toBe(CODES.NONE);
    expect(broker.inspect().topics[0]?.partitions[0]?.endOffset).toBe(1);
    client.send('Produce', 3, {
      acks: 0,
      topics: [{ name: 'no', partitions: [{ index: 0, records: recordBatch() }] }],
    });
    await client.untilClosed();
  });

  test('LogAppendTime puts the broker’s time and a new checksum into the batch', async () => {
    broker.createTopic('stamped', { configs: { 'message.timestamp.type': 'LogAppendTime' } });
    const answer = await produce(recordBatch({ timestamps: [1000] }), { topic: 'stamped' });
    expect(answer?.logAppendTimeMs).toBeGreaterThan(1_700_000_000_000);
    const client = await connect();
    const fetched = await client.ask('Fetch', 4, {
      topics: [{ topic: 'stamped', partitions: [{ partition: 0, partitionMaxBytes: 1000 }] }],
    });
    const stored = Buffer.from(fetched!.topics[0]!.partitions[0]!.records[0]!);
    expect(Number(stored.readBigInt64BE(35))).toBe(answer?.logAppendTimeMs);
    expect(sealed(Buffer.from(stored)).readUInt32BE(17)).toBe(stored.readUInt32BE(17));
  });
});

function flip(batch: Buffer, at: number): Buffer {
  return set(batch, at, batch[at]! ^ 0xff);
}

function set(batch: Buffer, at: number, value: number): Buffer {
  batch[at] = value;
  return batch;
}
