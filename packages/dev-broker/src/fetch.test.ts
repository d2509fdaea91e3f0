/** Long polls and limits of a fetch, on a clock that moves by hand. */
import { silentLogger } from '@weir/core';
import { ManualClock } from '@weir/core/testing';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { type Broker, startBroker } from './broker.ts';
import { RawClient, recordBatch } from './testing/raw-client.ts';
import { CODES } from './wire/codes.ts';

let clock: ManualClock;
let broker: Broker;
let reader: RawClient;
let writer: RawClient;
beforeEach(async () => {
  clock = new ManualClock();
  broker = await startBroker({ clock, log: silentLogger });
  broker.createTopic('t', { partitions: 3 });
  reader = await RawClient.connect(broker.brokers[0]!);
  writer = await RawClient.connect(broker.brokers[0]!);
});
afterEach(async () => {
  reader.close();
  writer.close();
  await broker.stop();
});

const produce = (index: number, bytes = 100) =>
  writer.ask('Produce', 3, {
    acks: 1,
    topics: [{ name: 't', partitions: [{ index, records: recordBatch({ values: ['x'.repeat(bytes)] }) }] }],
  });
const fetch = (
  more: { maxWaitMs?: number; minBytes?: number; maxBytes?: number; from?: readonly number[]; max?: number } = {},
) =>
  reader.ask('Fetch', 4, {
    maxWaitMs: more.maxWaitMs ?? 0,
    minBytes: more.minBytes ?? 1,
    maxBytes: more.maxBytes ?? 1_000_000,
    topics: [
      {
        topic: 't',
        partitions: (more.from ?? [0, 0, 0]).map((fetchOffset, partition) => ({
          partition,
          fetchOffset,
          partitionMaxBytes: more.max ?? 1_000_000,
        })),
      },
    ],
  });
type Answer = Awaited<ReturnType<typeof fetch>>;
/** Bytes of each partition. */
const sizes = (answer: Answer) =>
  answer!.topics[0]!.partitions.map(({ records }) => records.reduce((sum, piece) => sum + piece.length, 0));
/** Whether a promise is settled after the event loop has turned for a while. */
const waits = async (promise: Promise<unknown>) => {
  let settled = false;
  void promise.finally(() => {
    settled = true;
  });
  await writer.ask('ApiVersions', 0, {});
  await writer.ask('ApiVersions', 0, {});
  return !settled;
};

describe('a long poll', () => {
  test('ends empty when its time is up, not before', async () => {
    const answer = fetch({ maxWaitMs: 5000 });
    expect(await waits(answer)).toBe(true);
    await clock.advance(4999);
    expect(await waits(answer)).toBe(true);
    await clock.advance(1);
    expect(sizes(await answer)).toEqual([0, 0, 0]);
  });

  test('ends as soon as the smallest amount is there, over all partitions', async () => {
    const answer = fetch({ maxWaitMs: 5000, minBytes: 400 });
    await produce(0);
    await produce(1);
    expect(await waits(answer)).toBe(true);
    await produce(0);
    expect(sizes(await answer).map((size) => size > 0)).toEqual([true, true, false]);
  });

  test('ends when its topic goes', async () => {
    const answer = fetch({ maxWaitMs: 5000 });
    expect(await waits(answer)).toBe(true);
    await writer.ask('DeleteTopics', 1, { topicNames: ['t'] });
    expect((await answer)!.topics[0]!.partitions[0]!.errorCode).toBe(CODES.UNKNOWN_TOPIC_OR_PARTITION);
  });

  test('leaves no timer behind when its client goes', async () => {
    const before = clock.pending;
    const answer = fetch({ maxWaitMs: 5000 });
    expect(await waits(answer)).toBe(true);
    expect(clock.pending).toBe(before + 1);
    reader.close();
    await expect.poll(() => clock.pending).toBe(before);
  });
});

describe('limits', () => {
  test('the first batch is given whatever the limits; the next partitions only within them', async () => {
    for (const partition of [0, 1, 2]) await produce(partition, 1000);
    const one = sizes(await fetch())[0]!;
    expect(sizes(await fetch({ max: 10 }))).toEqual([one, 0, 0]);
    expect(sizes(await fetch({ maxBytes: 10 }))).toEqual([one, 0, 0]);
    expect(sizes(await fetch({ maxBytes: one * 2 }))).toEqual([one, one, 0]);
    expect(sizes(await fetch({ from: [1, 0, 0], max: 10 }))).toEqual([0, one, 0]);
  });

  test('an offset that is gone or not there yet is out of range', async () => {
    await produce(0);
    const codes = (answer: Answer) => answer!.topics[0]!.partitions.map(({ errorCode }) => errorCode);
    expect(codes(await fetch({ from: [2] }))).toEqual([CODES.OFFSET_OUT_OF_RANGE]);
    expect(codes(await fetch({ from: [-1] }))).toEqual([CODES.OFFSET_OUT_OF_RANGE]);
    await writer.ask('DeleteRecords', 1, { topics: [{ name: 't', partitions: [{ partitionIndex: 0, offset: 1 }] }] });
    expect(codes(await fetch({ from: [0] }))).toEqual([CODES.OFFSET_OUT_OF_RANGE]);
  });

  test('records older than retention.ms go, as the clock moves', async () => {
    broker.createTopic('short', { configs: { 'retention.ms': '60000' } });
    const batch = recordBatch({ timestamps: [clock.now()] });
    await writer.ask('Produce', 3, {
      acks: 1,
      topics: [{ name: 'short', partitions: [{ index: 0, records: batch }] }],
    });
    const view = () => broker.inspect().topics.find(({ name }) => name === 'short')?.partitions[0];
    await clock.advance(59_000);
    expect(view()?.logStartOffset).toBe(0);
    await clock.advance(15_000);
    expect(view()).toMatchObject({ logStartOffset: 1, endOffset: 1, bytes: 0 });
  });
});

test('a member that is silent for its session is expired when the clock says so', async () => {
  const joined = await writer.ask('JoinGroup', 0, {
    groupId: 'g',
    sessionTimeoutMs: 10_000,
    protocolType: 'consumer',
    protocols: [{ name: 'range', metadata: Buffer.alloc(0) }],
  });
  const beat = () =>
    writer.ask('Heartbeat', 0, { groupId: 'g', generationId: joined!.generationId, memberId: joined!.memberId });
  await writer.ask('SyncGroup', 0, { groupId: 'g', generationId: 1, memberId: joined!.memberId });
  await clock.advance(9_000);
  expect((await beat())?.errorCode).toBe(CODES.NONE);
  await clock.advance(10_000);
  expect((await beat())?.errorCode).toBe(CODES.UNKNOWN_MEMBER_ID);
});
