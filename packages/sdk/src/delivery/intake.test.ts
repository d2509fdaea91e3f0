import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import type { Resolved } from '../config.ts';
import type { Order } from '../define.ts';
import { Budget } from '../flow/backpressure.ts';
import { Fetched, ListedRecords, type TopicPartition } from '../kafka/port.ts';
import type { Delivery } from './delivery.ts';
import { Intake } from './intake.ts';
import type { Owned } from './owned.ts';
import type { DoneRange } from './skip-map.ts';

const AT: TopicPartition = { topic: 't', partition: 0 };

function intake(order: Order) {
  const paused: string[] = [];
  let redelivered = 0;
  const budget = new Budget(1_000_000);
  const it = new Intake({
    resolved: { order, queue: { recordsPerPartition: 1_000, bytes: 1_000_000 } } as Resolved,
    budget,
    now: () => 7.6,
    pause: () => paused.push('pause'),
    resume: () => paused.push('resume'),
    onRedelivered: (count) => {
      redelivered += count;
    },
  });
  const take = (offsets: readonly number[]) =>
    it.take({
      ...AT,
      records: new ListedRecords(
        offsets.map((offset) => new Fetched('t', 0, offset, 5, Buffer.from(`k${offset % 3}`), Buffer.alloc(10), {})),
      ),
      lastOffset: offsets.at(-1) ?? -1,
      highWatermark: 1_000,
    });
  return { it, take, budget, redelivered: () => redelivered };
}

function drain(owned: Owned): Delivery[] {
  const taken: Delivery[] = [];
  for (let next = owned.next(); next !== undefined; next = owned.next()) {
    taken.push(next);
    owned.lanes.release(next);
  }
  return taken;
}

describe('intake', () => {
  test.each([
    'none',
    'partition',
    'key',
  ] as const)('order %s: whatever was handed out or done before is not handed out again, and every slot is its record’s', (order) => {
    const gaps = fc.array(fc.integer({ min: 1, max: 3 }), { minLength: 1, maxLength: 40 });
    const ranges = fc.array(fc.tuple(fc.nat(60), fc.integer({ min: 1, max: 5 })), { maxLength: 6 });
    fc.assert(
      fc.property(gaps, ranges, fc.integer({ min: 1, max: 7 }), fc.nat(3), (drawn, done, size, again) => {
        const log: number[] = [];
        let at = -1;
        for (const gap of drawn) {
          at += gap;
          log.push(at);
        }
        const isDone = (offset: number) => done.some(([from, length]) => offset >= from && offset < from + length);
        const doneBefore: DoneRange[] = [];
        for (let offset = 0; offset <= 70; offset++) {
          const last = doneBefore.at(-1);
          if (!isDone(offset)) continue;
          if (last?.to === offset) doneBefore[doneBefore.length - 1] = { from: last.from, to: offset + 1 };
          else doneBefore.push({ from: offset, to: offset + 1 });
        }
        const { it, take, budget, redelivered } = intake(order);
        const owned = it.own(AT, { start: 0, committed: -1, doneBefore });
        // Each fetch begins up to three records before the end of the last one.
        for (let begin = 0; begin < log.length; begin += size)
          take(log.slice(Math.max(0, begin - again), begin + size));
        const wanted = log.filter((offset) => !isDone(offset));
        expect(owned.queued).toBe(wanted.length);
        expect(owned.held).toBe(wanted.length);
        expect(owned.peek()?.offset).toBe(wanted[0]);
        const taken = drain(owned);
        expect(taken.map(({ offset }) => offset).sort((a, b) => a - b)).toEqual(wanted);
        if (order !== 'key') expect(taken.map(({ offset }) => offset)).toEqual(wanted);
        expect(owned.queued).toBe(0);
        expect(redelivered() > 0).toBe(again > 0 && log.length > size);
        expect(budget.used).toBe(taken.reduce((sum, { bytes }) => sum + bytes, 0));
        // A slot finishes its own record and no other: the watermark stays below the first that is left.
        for (const [index, delivery] of taken.entries()) {
          const left = taken.slice(index).map(({ offset }) => offset);
          expect(owned.ledger.watermark).toBeLessThanOrEqual(Math.min(...left));
          owned.ledger.finish(delivery.slot);
        }
        expect(owned.ledger.watermark).toBe(log.at(-1)! + 1);
      }),
    );
  });

  test('a record in hand has its own fields; key and headers are read when they are looked at', () => {
    const { it, take } = intake('none');
    const owned = it.own(AT, { start: 0, committed: -1, doneBefore: [] });
    take([41]);
    const record = owned.next()!;
    expect(Object.keys(record)).toEqual(expect.arrayContaining(['topic', 'partition', 'offset', 'timestamp', 'value']));
    expect(Object.keys(record)).not.toContain('key');
    expect({ ...record }).toMatchObject({ topic: 't', partition: 0, offset: 41, timestamp: 5, attempt: 0, replays: 0 });
    expect([record.key, record.headers, record.raw, record.queuedAt]).toEqual(['k2', {}, Buffer.alloc(10), 8]);
  });
});
