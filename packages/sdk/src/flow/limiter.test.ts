import { describe, expect, test } from 'vitest';
import { Limiter } from './limiter.ts';

describe('Limiter', () => {
  test('gives out as many slots as its limit', () => {
    const limiter = new Limiter(2);
    expect([limiter.tryAcquire(), limiter.tryAcquire(), limiter.tryAcquire()]).toEqual([true, true, false]);
    expect(limiter.inflight).toBe(2);
    limiter.release();
    expect(limiter.tryAcquire()).toBe(true);
  });

  test('a lowered limit waits for those in flight', () => {
    const limiter = new Limiter(3);
    for (let at = 0; at < 3; at++) limiter.tryAcquire();
    limiter.limit = 1;
    limiter.release();
    limiter.release();
    expect(limiter.tryAcquire()).toBe(false);
    limiter.release();
    expect(limiter.tryAcquire()).toBe(true);
  });

  test('a slot given back twice is an error, as is a limit below 1', () => {
    const limiter = new Limiter(1);
    expect(() => limiter.release()).toThrow(RangeError);
    expect(() => new Limiter(0)).toThrow(RangeError);
    expect(() => {
      limiter.limit = 1.5;
    }).toThrow(RangeError);
  });
});
