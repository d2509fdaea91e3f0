import fc from 'fast-check';
import { expect, test } from 'vitest';
import { dueAt } from './due.ts';

const now = 1_000_000;
const delay = 5_000;

test('the header says when, within the topic’s delay', () => {
  expect(dueAt(String(now + 2_000), now - 1_000, delay, now)).toBe(now + 2_000);
});

test.each([
  undefined,
  '',
  'soon',
  '-1',
  '1e9',
  '99999999999999999999',
])('header %j counts the delay from the timestamp', (header) => {
  expect(dueAt(header, now - 1_000, delay, now)).toBe(now + 4_000);
});

test('a header in the year 9999 waits no longer than the delay', () => {
  expect(dueAt('253402300799999', now, delay, now)).toBe(now + delay);
});

test('a timestamp in the far future is due now', () => {
  expect(dueAt(undefined, now * 1000, delay, now)).toBe(now);
  expect(dueAt(String(now * 1000), now * 1000, delay, now)).toBe(now);
});

test('whatever is written, no record waits more than twice the delay, and asking again at that time says due', () => {
  const time = fc.integer({ min: 0, max: 2 ** 50 });
  fc.assert(
    fc.property(
      fc.option(fc.oneof(time.map(String), fc.string()), { nil: undefined }),
      time,
      time,
      (header, timestamp, at) => {
        const due = dueAt(header, timestamp, delay, at);
        expect(due).toBeLessThanOrEqual(at + 2 * delay);
        expect(dueAt(header, timestamp, delay, Math.max(due, at))).toBeLessThanOrEqual(Math.max(due, at));
      },
    ),
  );
});
