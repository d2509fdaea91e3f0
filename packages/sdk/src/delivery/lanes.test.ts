import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { Fetched, ListedRecords } from '../kafka/port.ts';
import type { Delivery } from './delivery.ts';
import { FairQueue } from './fair.ts';
import { Owned } from './owned.ts';
import { Waiting } from './waiting.ts';

function push(owned: Owned, offset: number, key: string | Buffer | null): void {
  const fetched = new Fetched(
    owned.topic,
    owned.partition,
    offset,
    0,
    typeof key === 'string' ? Buffer.from(key) : key,
    null,
    {},
  );
  const slot = owned.ledger.take(offset);
  owned.lanes.add(new Waiting(new ListedRecords([fetched]), owned, { first: 0, slot, left: 1, queuedAt: 0 }));
}
const partition = (order: 'none' | 'key' | 'partition', number = 0) =>
  new Owned({ topic: 't', partition: number }, { start: 0, committed: -1, order });

describe('lanes', () => {
  test('none: everything may run at once', () => {
    const owned = partition('none');
    for (let offset = 0; offset < 3; offset++) push(owned, offset, 'k');
    expect([owned.next(), owned.next(), owned.next()].map((each) => each?.offset)).toEqual([0, 1, 2]);
  });

  test('key: the most lanes at once are known also when they were done before anybody asked', () => {
    const owned = partition('key');
    for (const [offset, key] of ['a', 'b', 'a', 'c', null, 'b'].entries()) push(owned, offset, key);
    for (let next = owned.next(); next !== undefined; next = owned.next()) owned.lanes.release(next);
    expect(owned.lanes.width).toBe(0);
    expect(owned.lanes.widest).toBe(4);
    owned.lanes.widestSaid();
    expect(owned.lanes.widest, 'whoever asks just after a commit').toBe(4);
    push(owned, 6, 'd');
    owned.lanes.widestSaid();
    expect(owned.lanes.widest).toBe(1);
  });

  test('partition: one after the other', () => {
    const owned = partition('partition');
    push(owned, 0, null);
    push(owned, 1, null);
    const first = owned.next()!;
    expect(owned.runnable).toBe(false);
    owned.lanes.release(first);
    expect(owned.next()?.offset).toBe(1);
  });

  test.each([
    'none',
    'partition',
    'key',
  ] as const)('%s: whose turn is next is known, whether its lane is free or not', (order) => {
    const owned = partition(order);
    expect(owned.upNext).toBeUndefined();
    for (const [offset, key] of ['a', 'b', 'b', 'a'].entries()) push(owned, offset, key);
    expect(owned.upNext?.offset).toBe(0);
    const held: Delivery[] = [];
    for (let next = owned.next(); next !== undefined; next = owned.next()) held.push(next);
    expect(owned.upNext?.offset).toBe({ none: undefined, partition: 1, key: 2 }[order]);
    for (const each of held) owned.lanes.release(each);
    expect(owned.upNext?.offset).toBe({ none: undefined, partition: 1, key: 3 }[order]);
  });

  test('key: keys run beside each other, a key never beside itself, records without a key freely', () => {
    const owned = partition('key');
    push(owned, 0, 'a');
    push(owned, 1, 'a');
    push(owned, 2, 'b');
    push(owned, 3, null);
    push(owned, 4, null);
    const started = [owned.next(), owned.next(), owned.next(), owned.next()];
    expect(started.map((each) => each?.offset)).toEqual([0, 2, 3, 4]);
    expect(owned.next()).toBeUndefined();
    owned.lanes.release(started[0]!);
    expect(owned.next()?.offset).toBe(1);
  });

  test('key: keys that are no text stay apart', () => {
    const owned = partition('key');
    push(owned, 0, Buffer.from([0xff]));
    push(owned, 1, Buffer.from([0xfe]));
    expect(owned.next()?.offset).toBe(0);
    expect(owned.next()?.offset).toBe(1);
  });

  test('key: whatever the interleaving, each key’s offsets rise and nothing is left over', () => {
    fc.assert(
      fc.property(fc.array(fc.integer({ min: 0, max: 4 }), { maxLength: 200 }), fc.integer(), (keys, salt) => {
        const owned = partition('key');
        const seen = new Map<string, number>();
        const held: Delivery[] = [];
        let done = 0;
        let next = 0;
        let state = salt >>> 0;
        while (done < keys.length) {
          state = (Math.imul(state, 1664525) + 1013904223) >>> 0;
          if (next < keys.length && state % 3 === 0) push(owned, next, String(keys[next++]));
          else if (state % 3 === 1 || held.length === 0) {
            const started = owned.next();
            if (started) {
              const key = started.key!;
              expect(started.offset).toBeGreaterThan(seen.get(key) ?? -1);
              expect(held.some((other) => other.key === key)).toBe(false);
              seen.set(key, started.offset);
              held.push(started);
            } else if (next < keys.length) push(owned, next, String(keys[next++]));
          } else {
            owned.lanes.release(held.splice(state % held.length, 1)[0]!);
            done++;
          }
        }
        expect(owned.lanes.queued).toBe(0);
        expect(owned.lanes.width).toBe(0);
      }),
    );
  });
});

describe('fair queue', () => {
  test('a partition with many records does not starve one with few', () => {
    const fair = new FairQueue();
    const big = partition('none', 0);
    const small = partition('none', 1);
    for (let offset = 0; offset < 1000; offset++) push(big, offset, null);
    fair.add(big);
    for (let offset = 0; offset < 3; offset++) push(small, offset, null);
    fair.add(small);
    const order: number[] = [];
    for (let turn = 0; turn < 8; turn++) {
      const owned = fair.next()!;
      owned.next();
      order.push(owned.partition);
    }
    expect(order.filter((each) => each === 1)).toHaveLength(3);
  });

  test('a partition that was lost drops out', () => {
    const fair = new FairQueue();
    const owned = partition('none');
    push(owned, 0, null);
    fair.add(owned);
    owned.lose(new Error('gone'));
    expect(fair.next()).toBeUndefined();
  });
});
