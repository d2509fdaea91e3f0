import { type Logger, silentLogger } from '@weir/core';
import { ManualClock } from '@weir/core/testing';
import { Counter, Registry } from 'prom-client';
import { describe, expect, test } from 'vitest';
import { openPatiently } from './opening.ts';

class AwayError extends Error {
  readonly transient = true;
}

function world(outcomes: readonly (Error | string)[]) {
  const clock = new ManualClock();
  const stop = new AbortController();
  const waited: (string | undefined)[] = [];
  const warned: string[] = [];
  const log: Logger = { ...silentLogger, warn: (_fields: object, text?: string) => void warned.push(text ?? '') };
  let calls = 0;
  const registry = new Registry();
  new Counter({ name: 'ours_total', help: 'Of the process.', registers: [registry] });
  const opened = openPatiently({
    open: async () => {
      new Counter({ name: 'theirs_total', help: 'Of the handler.', registers: [registry] });
      const outcome = outcomes[Math.min(calls++, outcomes.length - 1)]!;
      if (typeof outcome === 'string') return outcome;
      throw outcome;
    },
    registry,
    clock,
    log,
    signal: stop.signal,
    waits: (what) => waited.push(what),
  });
  opened.catch(() => undefined);
  return { registry, clock, stop, waited, warned, opened, calls: () => calls };
}

describe('opening', () => {
  test('waits for what is away, says what it is once, and goes on', async () => {
    const { registry, clock, opened, waited, warned } = world([
      new AwayError('no store'),
      new AwayError('no store'),
      'the store',
    ]);
    await clock.advance(500);
    await clock.advance(750);
    expect(await opened).toBe('the store');
    expect(warned).toEqual(['not started yet: no store']);
    expect(waited).toEqual(['no store', 'no store', undefined]);
    expect(registry.getMetricsAsArray().map(({ name }) => name)).toEqual(['ours_total', 'theirs_total']);
  });

  test('waits longer each time, ten seconds at most', async () => {
    const { clock, calls } = world([new AwayError('no store')]);
    await clock.advance(120_000);
    expect(calls()).toBeGreaterThan(15);
    expect(calls()).toBeLessThan(22);
  });

  test('ends with what does not pass by itself', async () => {
    const { opened } = world([new Error('a bug')]);
    await expect(opened).rejects.toThrow('a bug');
  });

  test('a stop ends the wait at once', async () => {
    const { clock, stop, opened, calls } = world([new AwayError('no store')]);
    await clock.advance(10_000);
    const before = calls();
    stop.abort(new Error('told to stop'));
    await expect(opened).rejects.toThrow('told to stop');
    expect(calls()).toBe(before);
  });
});
