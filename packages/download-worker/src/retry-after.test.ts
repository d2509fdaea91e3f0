import { expect, test } from 'vitest';
import { retryAfterMs } from './retry-after.ts';

const now = Date.UTC(2026, 10, 21, 12);

test.each([
  ['120', 120_000],
  [' 0 ', 0],
  ['Sat, 21 Nov 2026 12:10:00 GMT', 600_000],
  ['Sat, 21 Nov 2026 11:00:00 GMT', 0],
  ['9999999999', 86_400_000],
  ['Sun, 21 Nov 2027 12:00:00 GMT', 86_400_000],
])('%j waits %i ms', (header, expected) => {
  expect(retryAfterMs(header, now)).toBe(expected);
});

test.each([undefined, '', 'soon', '-5', '1.5', '2026-11-21', '12345678901'])('%j says nothing', (header) => {
  expect(retryAfterMs(header, now)).toBeUndefined();
});
