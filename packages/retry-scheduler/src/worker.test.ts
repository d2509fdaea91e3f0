import { gzipSync } from 'node:zlib';
import { HEADER } from '@weir/sdk';
import { testWorker, topicOf, topologyOfWorkers, workerOf } from '@weir/sdk/testing';
import { describe, expect, test } from 'vitest';
import { retryScheduler } from './worker.ts';

const topology = topologyOfWorkers(workerOf('a', { consumes: [topicOf('one'), topicOf('two')] }), workerOf('b'));
const start = () => testWorker(retryScheduler(topology));
type Running = Awaited<ReturnType<typeof start>>;

const retry = (
  worker: Running,
  headers: Record<string, string>,
  over: { topic?: string; value?: Buffer; key?: string } = {},
) =>
  worker.sendRaw(over.value ?? Buffer.from([0xff, 0x00, 0x01]), {
    topic: over.topic ?? 'a.retry.5m',
    key: over.key ?? 'k',
    headers,
  });
const back = (worker: Running, topic: string) =>
  worker.kafka
    .records(topic)
    .map((record) => ({ value: record.value, key: record.key?.toString(), headers: record.headers }));
const story = (worker: Running, dueInMs: number) => ({
  [HEADER.group]: 'xact-a',
  [HEADER.attempt]: '2',
  [HEADER.firstSeen]: '123',
  [HEADER.origin]: 'xact.two/3/9',
  [HEADER.replays]: '1',
  [HEADER.parked]: '3',
  [HEADER.errorClass]: 'transient',
  [HEADER.error]: 'it was down',
  [HEADER.dueAt]: String(worker.clock.now() + dueInMs),
  traceparent: '00-abc',
  mine: 'kept',
});

describe('a retry record', () => {
  test('keeps a key and headers that are no text', async () => {
    await using worker = await start();
    const odd = Buffer.from([0xff, 0xfe, 0x00]);
    await worker.sendRaw(Buffer.from('x'), {
      topic: 'a.retry.5m',
      key: odd,
      headers: { ...story(worker, -1), odd },
    });
    const [record] = worker.kafka.records('xact.two');
    expect(record?.key).toEqual(odd);
    expect(record?.headers.odd).toEqual(odd);
  });

  test('goes back when it is due and not before: same bytes, same key, same story', async () => {
    await using worker = await start();
    await retry(worker, story(worker, 60_000));
    await worker.advance('59s');
    expect(back(worker, 'xact.two')).toEqual([]);
    await worker.advance('2s');
    expect(back(worker, 'xact.two')).toEqual([
      {
        value: Buffer.from([0xff, 0x00, 0x01]),
        key: 'k',
        headers: expect.objectContaining({
          [HEADER.group]: 'xact-a',
          [HEADER.attempt]: '2',
          [HEADER.firstSeen]: '123',
          [HEADER.origin]: 'xact.two/3/9',
          [HEADER.replays]: '1',
          [HEADER.parked]: '3',
          [HEADER.error]: 'it was down',
          traceparent: '00-abc',
          mine: 'kept',
        }),
      },
    ]);
    expect(back(worker, 'xact.two')[0]?.headers).not.toHaveProperty(HEADER.dueAt);
  });

  test('that is late goes back at once', async () => {
    await using worker = await start();
    await retry(worker, story(worker, -5_000));
    expect(back(worker, 'xact.two')).toHaveLength(1);
  });

  test('without a story waits the topic’s delay and goes to the owner’s first topic, for its group only', async () => {
    await using worker = await start();
    await retry(worker, {});
    await worker.advance('299s');
    expect(back(worker, 'xact.one')).toEqual([]);
    await worker.advance('2s');
    expect(back(worker, 'xact.one')).toEqual([
      expect.objectContaining({ headers: expect.objectContaining({ [HEADER.group]: 'xact-a' }) }),
    ]);
  });

  test('with a forged story can neither wait for ever, nor go elsewhere, nor speak for another group', async () => {
    await using worker = await start();
    await retry(worker, {
      [HEADER.dueAt]: '253402300799999',
      [HEADER.origin]: 'xact.b.in/0/0',
      [HEADER.group]: 'xact-b',
      'weir-made-up': 'x',
    });
    await worker.advance('301s');
    expect(back(worker, 'xact.b.in')).toEqual([]);
    const [record] = back(worker, 'xact.one');
    expect(record?.headers).toMatchObject({ [HEADER.group]: 'xact-a' });
    expect(record?.headers).not.toHaveProperty('weir-made-up');
  });

  test('that was compressed to fit goes back as it was', async () => {
    await using worker = await start();
    const original = Buffer.alloc(10_000, 'x');
    await retry(worker, { ...story(worker, 0), [HEADER.encoding]: 'gzip' }, { value: gzipSync(original) });
    const [record] = back(worker, 'xact.two');
    expect(record?.value?.equals(original)).toBe(true);
    expect(record?.headers).not.toHaveProperty(HEADER.encoding);
  });

  test('that only points to its bytes becomes a dead letter, not a task made of a pointer', async () => {
    await using worker = await start();
    await retry(worker, { ...story(worker, 0), [HEADER.encoding]: 'pointer' });
    expect(back(worker, 'xact.two')).toEqual([]);
    expect(worker.deadLetters()).toHaveLength(1);
  });

  test('of a short delay is not held up by those of a long one', async () => {
    await using worker = await start();
    for (let index = 0; index < 300; index++) await retry(worker, {}, { topic: 'a.retry.10m', key: `long-${index}` });
    await retry(worker, story(worker, 1_000), { key: 'short' });
    await worker.advance('2s');
    expect(back(worker, 'xact.two').map((record) => record.key)).toEqual(['short']);
    await worker.advance('10m');
    expect(back(worker, 'xact.one')).toHaveLength(300);
  });
});

test('the scheduler needs no retry topics of its own', async () => {
  await using worker = await start();
  expect(worker.resolved.retry).toEqual([]);
});
