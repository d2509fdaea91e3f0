import { expect, test } from 'vitest';
import { inTime, NoAnswerError } from './in-time.ts';
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
