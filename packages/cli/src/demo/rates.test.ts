import { describe, expect, test } from 'vitest';
import { Rates } from './rates.ts';

describe('rates', () => {
  test('are growth a second over the window', () => {
    const rates = new Rates(4_000);
    expect(rates.observe('a', 0, 10)).toBe(0);
    expect(rates.observe('a', 1_000, 30)).toBe(20);
    expect(rates.observe('b', 1_000, 30)).toBe(0);
    for (let at = 2_000; at <= 20_000; at += 1_000) rates.observe('a', at, 30);
    expect(rates.observe('a', 21_000, 34)).toBe(1);
  });

  test('a counter that went back shows no rate', () => {
    const rates = new Rates(4_000);
    rates.observe('a', 0, 10);
    expect(rates.observe('a', 1_000, 5)).toBe(0);
  });
});
