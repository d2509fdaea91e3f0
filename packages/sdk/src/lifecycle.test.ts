import { silentLogger } from '@weir/core';
import { ManualClock, settle } from '@weir/core/testing';
import { describe, expect, test } from 'vitest';
import { EXIT, type Runnable, StopRequests, untilStopped } from './lifecycle.ts';

function world(over: Partial<Runnable> = {}) {
  const clock = new ManualClock();
  const requests = new StopRequests();
  const calls: string[] = [];
  let finish: () => void = () => undefined;
  let cut: AbortSignal | undefined;
  const runnable: Runnable = {
    start: async () => void calls.push('start'),
    drain: (signal) => {
      calls.push('drain');
      cut = signal;
      return new Promise((resolve) => {
        finish = resolve;
        signal.addEventListener('abort', () => calls.push('aborted'));
      });
    },
    ...over,
  };
  const code = untilStopped({ runnable, requests, drainTimeoutMs: 30_000, clock, log: silentLogger });
  code.catch(() => undefined);
  return { clock, requests, calls, code, finish: () => finish(), cut: () => cut };
}

describe('untilStopped', () => {
  test('runs until asked, drains, and ends clean', async () => {
    const { clock, requests, calls, code, finish } = world();
    await clock.advance(3_600_000);
    expect(calls).toEqual(['start']);
    requests.request('SIGTERM');
    await clock.advance(29_999);
    expect(calls).toEqual(['start', 'drain']);
    finish();
    expect(await code).toBe(EXIT.clean);
    expect(calls).toEqual(['start', 'drain']);
    expect(clock.pending).toBe(0);
  });

  test('aborts at the deadline and waits for the abort to take effect', async () => {
    const { clock, requests, calls, code, finish } = world();
    requests.request('SIGTERM');
    await clock.advance(30_000);
    expect(calls).toEqual(['start', 'drain', 'aborted']);
    finish();
    expect(await code).toBe(EXIT.cutShort);
    expect(clock.pending).toBe(0);
  });

  test('leaves without what does not let go', async () => {
    const { clock, requests, code } = world();
    requests.request('SIGTERM');
    await clock.advance(35_000);
    expect(await code).toBe(EXIT.cutShort);
  });

  test('a drain that fails after it was left is nobody’s business', async () => {
    let fail: (error: Error) => void = () => undefined;
    const { clock, requests, code } = world({
      drain: () =>
        new Promise((_, reject) => {
          fail = reject;
        }),
    });
    requests.request('SIGTERM');
    await clock.advance(35_000);
    expect(await code).toBe(EXIT.cutShort);
    fail(new Error('too late'));
    await settle();
  });

  test('a second request aborts at once', async () => {
    const { requests, calls, code, finish, cut } = world();
    requests.request('SIGTERM');
    await settle();
    requests.request('SIGINT');
    await settle();
    expect(calls).toEqual(['start', 'drain', 'aborted']);
    expect(String(cut()?.reason)).toContain('SIGINT a second time');
    finish();
    expect(await code).toBe(EXIT.cutShort);
  });

  test('a request during the start drains without waiting for it, whatever becomes of it', async () => {
    let fail: (error: Error) => void = () => undefined;
    const { requests, calls, code, finish } = world({
      start: () =>
        new Promise((_, reject) => {
          fail = reject;
        }),
    });
    await settle();
    requests.request('SIGTERM');
    await settle();
    expect(calls).toEqual(['drain']);
    fail(new Error('given up'));
    finish();
    expect(await code).toBe(EXIT.clean);
  });

  test('what fails to start, or to drain, is thrown', async () => {
    await expect(world({ start: () => Promise.reject(new Error('no store')) }).code).rejects.toThrow('no store');
    const second = world({ drain: () => Promise.reject(new Error('commit lost')) });
    second.requests.request('SIGTERM');
    await expect(second.code).rejects.toThrow('commit lost');
    expect(second.clock.pending).toBe(0);
  });
});
