/** Consequences of failures: they are produced until the broker has them, in a form that it takes. */
import { createHash, randomBytes } from 'node:crypto';
import { gunzipSync } from 'node:zlib';
import { silentLogger } from '@weir/core';
import { ManualClock } from '@weir/core/testing';
import { describe, expect, test } from 'vitest';
import { resolve } from '../config.ts';
import { bytes, defineWorker, topic } from '../define.ts';
import { ProduceFailedError } from '../errors.ts';

import { Fetched, ListedRecords, type Producer, type ProducerRecord } from '../kafka/port.ts';
import { Delivery } from './delivery.ts';
import { HEADER } from './headers.ts';
import { Outlet } from './outlet.ts';
import { Owned } from './owned.ts';

const DEAD = { class: 'permanent', attempts: 3, exhausted: false, cause: undefined } as const;
const TOO_LARGE = new ProduceFailedError('xact.w.dlq', 'too large', { tooLarge: true });
const AWAY = new ProduceFailedError('xact.w.dlq', 'no leader');

/** An outlet whose broker answers what it is told to: an error, or undefined for "taken". */
function open(answer: (record: ProducerRecord, attempt: number) => Error | undefined) {
  const clock = new ManualClock();
  const offered: ProducerRecord[] = [];
  const at: number[] = [];
  const began = clock.now();
  const producer = {
    send(record: ProducerRecord, acknowledge: (error: Error | null) => void) {
      offered.push(record);
      at.push(clock.now() - began);
      acknowledge(answer(record, offered.length) ?? null);
      return undefined;
    },
  } as unknown as Producer;
  const worker = defineWorker({ name: 'w', consumes: topic('in', bytes, { partitions: 1 }), handle: () => undefined });
  const produced: string[] = [];
  const outlet = new Outlet({
    resolved: resolve(worker, {}),
    producer,
    clock,
    log: silentLogger,
    metrics: { produced: (_, status) => produced.push(status) },
  });
  return { outlet, clock, offered, at, produced };
}

function delivery(value: Buffer, headers: Record<string, string> = {}): Delivery {
  const owned = new Owned({ topic: 'xact.in', partition: 4 }, { start: 17, committed: 17, order: 'none' });
  const records = new ListedRecords([new Fetched('xact.in', 4, 17, 1_000, Buffer.from('k'), value, headers)]);
  return new Delivery(records, 0, owned, 0);
}

describe('a dead letter', () => {
  const value = Buffer.from('{"a":1}'.repeat(500));

  test('has the bytes, the key and the headers of the record, and its story', async () => {
    const { outlet, offered, produced } = open(() => undefined);
    await outlet.deadLetter(delivery(value, { colour: 'red', [HEADER.attempt]: '99' }), { ...DEAD, message: 'no' });
    expect(offered).toHaveLength(1);
    expect(offered[0]).toMatchObject({
      topic: 'xact.w.dlq',
      key: Buffer.from('k'),
      value,
      headers: {
        colour: 'red',
        [HEADER.group]: 'xact-w',
        [HEADER.attempt]: '3',
        [HEADER.origin]: 'xact.in/4/17',
        [HEADER.errorClass]: 'permanent',
        [HEADER.error]: 'no',
      },
    });
    expect(offered[0]!.headers).not.toHaveProperty(HEADER.encoding);
    expect(produced).toEqual(['ok']);
  });

  test('that is refused for its size is compressed', async () => {
    const { outlet, offered } = open((_, attempt) => (attempt === 1 ? TOO_LARGE : undefined));
    await outlet.deadLetter(delivery(value, { colour: 'red' }), { ...DEAD, message: 'no' });
    expect(offered).toHaveLength(2);
    expect(offered[1]!.headers).toMatchObject({ [HEADER.encoding]: 'gzip', colour: 'red' });
    expect(gunzipSync(offered[1]!.value!)).toEqual(value);
  });

  test('that is still too large is a pointer: where it was, how long, its hash; nothing that could be large', async () => {
    const noise = randomBytes(5_000);
    const { outlet, offered, at } = open((record) => ((record.value?.length ?? 0) > 1_000 ? TOO_LARGE : undefined));
    await outlet.deadLetter(delivery(noise, { colour: 'red' }), { ...DEAD, message: 'x'.repeat(900) });
    expect(offered).toHaveLength(3);
    const { value: pointer, headers } = offered[2]!;
    expect(JSON.parse(String(pointer))).toEqual({
      origin: 'xact.in/4/17',
      bytes: 5_000,
      sha256: createHash('sha256').update(noise).digest('hex'),
    });
    expect(headers).toMatchObject({ [HEADER.encoding]: 'pointer', [HEADER.origin]: 'xact.in/4/17' });
    expect(headers).not.toHaveProperty('colour');
    expect(String(headers?.[HEADER.error])).toHaveLength(200);
    // Its size says nothing about the broker: nobody waits between the forms.
    expect(at).toEqual([0, 0, 0]);
  });

  test('that is refused in every form is told, so that the record is kept', async () => {
    const { outlet, offered } = open(() => TOO_LARGE);
    await expect(outlet.deadLetter(delivery(value), { ...DEAD, message: 'no' })).rejects.toBe(TOO_LARGE);
    expect(offered).toHaveLength(3);
  });

  test('that is not taken for another reason is tried until it is, with a back-off, as it is', async () => {
    const { outlet, clock, offered, at, produced } = open((_, attempt) => (attempt < 8 ? AWAY : undefined));
    const buried = outlet.deadLetter(delivery(value), { ...DEAD, message: 'no' });
    await clock.advance(60_000);
    await buried;
    expect(at).toEqual([0, 500, 1_500, 3_500, 7_500, 15_500, 25_500, 35_500]);
    expect(new Set(offered.map((record) => record.value))).toEqual(new Set([value]));
    expect(produced).toEqual([...Array<string>(7).fill('failed'), 'ok']);
  });

  test('of a partition that was lost is somebody else’s: the tries end with the reason', async () => {
    const { outlet, clock, offered } = open(() => AWAY);
    const record = delivery(value);
    const buried = outlet.deadLetter(record, { ...DEAD, message: 'no' });
    const refused = expect(buried).rejects.toThrow('given up');
    await clock.advance(600);
    record.owned.lose(new Error('given up'));
    await refused;
    const tries = offered.length;
    await clock.advance(60_000);
    expect(offered).toHaveLength(tries);
  });

  test('of a batch that nobody can read has its coordinates', async () => {
    const { outlet, offered } = open(() => undefined);
    const at = { topic: 'xact.in', partition: 4, firstOffset: 17, lastOffset: 29 };
    await outlet.unreadable(at, 'damaged', new AbortController().signal);
    expect(JSON.parse(String(offered[0]!.value))).toEqual(at);
    expect(offered[0]!.headers).toMatchObject({
      [HEADER.origin]: 'xact.in/4/17',
      [HEADER.errorClass]: 'poison',
      [HEADER.encoding]: 'pointer',
    });
  });
});

test('a retry record says when it is due and how often it has failed, and keeps its first origin', async () => {
  const { outlet, offered, clock } = open(() => undefined);
  const record = delivery(Buffer.from('v'));
  record.story = { group: 'xact-w', attempt: 1, replays: 2, parked: 0, firstSeen: 77, origin: 'xact.in/0/3' };
  record.replays = 2;
  await outlet.retry(record, 1, { attempt: 2, parked: 0, reason: { class: 'transient', message: 'again' } });
  expect(offered[0]).toMatchObject({
    topic: 'xact.w.retry.10m',
    headers: {
      [HEADER.attempt]: '2',
      [HEADER.replays]: '2',
      [HEADER.firstSeen]: '77',
      [HEADER.origin]: 'xact.in/0/3',
      [HEADER.dueAt]: String(clock.now() + 600_000),
    },
  });
});
