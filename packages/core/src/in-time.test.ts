import { expect, test } from 'vitest';
import { inTime, NoAnswerError, within } from './in-time.ts';
import { ManualClock } from './testing/index.ts';

test('work that ends in time is passed on, its failure too, and no timer is left', async () => {
  const clock = new ManualClock();
  expect(await inTime(clock, 1_000, Promise.resolve('done'), 'late')).toBe('done');
  await expect(inTime(clock, 1_000, Promise.reject(new Error('broken')), 'late')).rejects.toThrow('broken');
  await clock.advance(10_000);
});

test('work that takes longer is not waited for', async () => {
  const clock = new ManualClock();
  const waiting = inTime(clock, 1_000, new Promise(() => undefined), 'no answer within 1000 ms');
  const told = expect(waiting).rejects.toThrow(new NoAnswerError('no answer within 1000 ms'));
  await clock.advance(1_000);
  await told;
});

test('waiting without a result ends with the work or with the time, and leaves no timer', async () => {
  const clock = new ManualClock();
  await within(clock, 1_000, Promise.resolve());
  await within(clock, 1_000, Promise.reject(new Error('no')));
  expect(clock.pending).toBe(0);
  let over = false;
  const waiting = within(clock, 1_000, new Promise(() => undefined)).then(() => {
    over = true;
  });
  await clock.advance(999);
  expect(over).toBe(false);
  await clock.advance(1);
  await waiting;
});
