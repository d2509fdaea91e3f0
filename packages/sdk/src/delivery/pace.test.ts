import { ManualClock } from '@weir/core/testing';
import { expect, test } from 'vitest';
import type { Delivery, DeliveryState } from './delivery.ts';
import { Pace } from './pace.ts';

const ROOM = 10;

function world() {
  const clock = new ManualClock();
  let late = 0;
  const pace = new Pace(clock, () => late++);
  const group = (size: number, state: DeliveryState = 'running') =>
    Array.from({ length: size }, () => ({ state, owned: { alive: true } }) as unknown as Delivery);
  return { clock, pace, group, late: () => late };
}

/** The next group that a pace gives after one of `size` that took `ms`. */
async function after(size: number, ms: number): Promise<number> {
  const { clock, pace, group } = world();
  await clock.advance(1_000);
  const last = group(size);
  pace.started(last);
  await clock.advance(ms);
  for (const each of last) each.state = 'finished';
  return pace.next(ROOM);
}

test('the first group has as many as there are slots, and none without', async () => {
  const { clock, pace } = world();
  expect(pace.next(ROOM)).toBe(ROOM);
  await clock.advance(1_000);
  expect(pace.next(ROOM)).toBe(ROOM);
  expect(pace.next(0)).toBe(0);
});

test('a group doubles when the one before was over within 50 ms, up to 1,000', async () => {
  expect(await after(10, 0)).toBe(20);
  expect(await after(160, 49)).toBe(320);
  expect(await after(900, 1)).toBe(1_000);
  expect(await after(2, 1)).toBe(ROOM);
});

test('a group that took longer is followed by one of the free slots', async () => {
  expect(await after(640, 50)).toBe(ROOM);
});

test('a group that may still turn out to be quick is waited for, and no longer than that', async () => {
  const { clock, pace, group, late } = world();
  pace.started(group(ROOM));
  expect(pace.next(ROOM)).toBe(0);
  expect(pace.next(ROOM)).toBe(0);
  await clock.advance(49);
  expect(late()).toBe(0);
  await clock.advance(1);
  expect(late()).toBe(1);
  expect(pace.next(3)).toBe(3);
});

test('records that wait, are somebody else’s or were abandoned are over', () => {
  const { pace, group } = world();
  const [lost] = group(1);
  lost!.owned.alive = false;
  pace.started([...group(1, 'waiting'), ...group(1, 'abandoned'), lost!]);
  expect(pace.next(2)).toBe(6);
});

test('a stop leaves no timer behind', async () => {
  const { clock, pace, group, late } = world();
  pace.started(group(ROOM));
  pace.next(ROOM);
  pace.stop();
  await clock.advance(1_000);
  expect(late()).toBe(0);
});
