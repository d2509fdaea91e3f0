import { describe, expect, test } from 'vitest';
import { Budget } from './backpressure.ts';

describe('Budget', () => {
  test('is full at its limit and low at half of it', () => {
    const budget = new Budget(100);
    expect([budget.full, budget.low]).toEqual([false, true]);
    budget.add(99);
    expect([budget.full, budget.low]).toEqual([false, false]);
    budget.add(1);
    expect([budget.full, budget.low]).toEqual([true, false]);
    budget.remove(49);
    expect([budget.full, budget.low]).toEqual([false, false]);
    budget.remove(1);
    expect([budget.full, budget.low, budget.used]).toEqual([false, true, 50]);
  });

  test('refuses to give back what was never taken', () => {
    const budget = new Budget(10);
    budget.add(1);
    expect(() => budget.remove(2)).toThrow(RangeError);
    expect(() => new Budget(0)).toThrow(RangeError);
  });
});
