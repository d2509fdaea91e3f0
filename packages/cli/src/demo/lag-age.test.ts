import { describe, expect, test } from 'vitest';
import { LagAge } from './lag-age.ts';

describe('the age of a backlog', () => {
  test('is the time since the end passed what is committed', () => {
    const age = new LagAge();
    expect(age.observe('t/0', 1_000, 5, 5)).toBe(0);
    expect(age.observe('t/0', 2_000, 8, 5)).toBe(0);
    expect(age.observe('t/0', 3_000, 12, 5)).toBe(1);
    expect(age.observe('t/0', 4_000, 12, 8)).toBe(1);
    expect(age.observe('t/0', 6_000, 12, 11)).toBe(3);
    expect(age.observe('t/0', 7_000, 12, 12)).toBe(0);
  });

  test('each partition has its own', () => {
    const age = new LagAge();
    age.observe('t/0', 0, 3, 0);
    expect(age.observe('t/0', 5_000, 3, 0)).toBe(5);
    expect(age.observe('t/1', 5_000, 3, 0)).toBe(0);
  });
});
