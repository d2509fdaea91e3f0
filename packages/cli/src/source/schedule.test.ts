import { describe, expect, test } from 'vitest';
import { dueMs, durationMs } from './schedule.ts';

describe('when events are published', () => {
  const times = Array.from({ length: 1000 }, (_, index) => dueMs(index, 1000, 10));

  test('never goes back, starts at once and ends with the mean rate kept', () => {
    expect(times[0]).toBe(0);
    for (const [index, time] of times.entries()) if (index > 0) expect(time).toBeGreaterThanOrEqual(times[index - 1]!);
    expect(times.at(-1)).toBeLessThanOrEqual(durationMs(1000, 10));
    expect(durationMs(1000, 10)).toBe(100_000);
  });

  test('three quarters come in the burst, a quarter of the time', () => {
    const inBurst = times.filter((time) => time >= 15_000 && time < 40_000).length;
    expect(inBurst).toBeGreaterThan(700);
    expect(inBurst).toBeLessThan(800);
  });

  test('rate 0 is all at once', () => {
    expect(dueMs(999, 1000, 0)).toBe(0);
  });
});
