import { ManualClock } from '@weir/core/testing';
import fc from 'fast-check';
import { expect, test } from 'vitest';
import { WaitList } from './waitlist.ts';

test('everything wakes in the order it is due, at its time, with one timer', async () => {
  await fc.assert(
    fc.asyncProperty(fc.array(fc.integer({ min: 0, max: 5_000 }), { maxLength: 60 }), async (delays) => {
      const clock = new ManualClock(0);
      const waits = new WaitList<number>(clock);
      const woken: [number, number][] = [];
      for (const delay of delays) waits.add(delay, delay, (value) => woken.push([value, clock.now()]));
      expect(clock.pending).toBeLessThanOrEqual(1);
      await clock.advance(5_000);
      expect(woken.map(([due]) => due)).toEqual([...delays].sort((a, b) => a - b));
      for (const [due, at] of woken) expect(at).toBe(due);
    }),
    { numRuns: 30 },
  );
});

test('stopping wakes nobody', async () => {
  const clock = new ManualClock(0);
  const waits = new WaitList<number>(clock);
  waits.add(10, 1, () => expect.unreachable());
  waits.stop();
  await clock.advance(100);
  expect(clock.pending).toBe(0);
});
