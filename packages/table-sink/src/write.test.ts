import { silentLogger, WeirError } from '@weir/core';
import { ManualClock } from '@weir/core/testing';
import { DependencyDownError, type KafkaRecord, PermanentError, RetryableError } from '@weir/sdk';
import { describe, expect, test } from 'vitest';
import { slicesOf, writeThrough } from './write.ts';

const record = (partition: number, offset: number, topic = 't'): KafkaRecord<string> => ({
  value: `${topic}/${partition}/${offset}`,
  key: null,
  headers: {},
  attempt: 0,
  replays: 0,
  timestamp: 0,
  topic,
  partition,
  offset,
});

describe('slices of a batch', () => {
  test('are one per topic and partition, rows in order, covering records without a row', () => {
    const batch = [record(1, 5), record(0, 7), record(1, 6), record(1, 9), record(0, 7, 'u')];
    const slices = slicesOf(batch, 3, (each) => (each.offset === 9 ? undefined : { id: each.value }));
    expect(slices).toEqual([
      {
        source: { topic: 't', partition: 1, epoch: '3' },
        rows: [
          { offset: 5, row: { id: 't/1/5' } },
          { offset: 6, row: { id: 't/1/6' } },
        ],
        lastOffset: 9,
      },
      { source: { topic: 't', partition: 0, epoch: '3' }, rows: [{ offset: 7, row: { id: 't/0/7' } }], lastOffset: 7 },
      { source: { topic: 'u', partition: 0, epoch: '3' }, rows: [{ offset: 7, row: { id: 'u/0/7' } }], lastOffset: 7 },
    ]);
  });
});

describe('writing through', () => {
  class StoreAway extends WeirError {
    constructor() {
      super('WEIR_STORE_UNAVAILABLE', 'away');
    }
  }
  const direct = <T>(work: (signal: AbortSignal) => Promise<T>) => work(new AbortController().signal);
  const context = (signal = new AbortController().signal) => ({ clock: new ManualClock(), log: silentLogger, signal });

  test('gets over a store that fails for a while', async () => {
    const ctx = context();
    let failures = 30;
    const done = writeThrough(
      direct,
      async () => {
        if (failures-- > 0) throw new StoreAway();
        return 'written';
      },
      ctx,
    );
    for (let step = 0; step < 40; step++) await ctx.clock.advance(5000);
    expect(await done).toBe('written');
  });

  test('tries ten times within ten seconds, which is what opens a breaker', async () => {
    const ctx = context();
    let tries = 0;
    const down = new DependencyDownError('tables', undefined);
    const done = writeThrough(
      (work) => (tries >= 10 ? Promise.reject(down) : direct(work)),
      async () => {
        tries++;
        throw new StoreAway();
      },
      ctx,
    );
    done.catch(() => undefined);
    for (let step = 0; step < 10; step++) await ctx.clock.advance(500);
    await expect(done).rejects.toBe(down);
  });

  test.each([
    ['a permanent failure', new PermanentError('no')],
    ['a bug', new TypeError('undefined is not a function')],
    ['a row that does not fit', Object.assign(new WeirError('WEIR_TABLE_ROW_INVALID', 'no'))],
  ])('passes %s on at once', async (_, error) => {
    await expect(writeThrough(direct, () => Promise.reject(error), context())).rejects.toBe(error);
  });

  test('counts a transient failure of the table as the dependency’s', async () => {
    const seen: unknown[] = [];
    const abort = new AbortController();
    const conflict = Object.assign(new WeirError('WEIR_TABLE_COMMIT_CONFLICT', 'no'), { transient: true });
    const done = writeThrough(
      async (work) => {
        try {
          return await direct(work);
        } catch (error) {
          seen.push(error);
          abort.abort(new Error('lost'));
          throw error;
        }
      },
      () => Promise.reject(conflict),
      context(abort.signal),
    );
    await expect(done).rejects.toThrow();
    expect(seen[0]).toBeInstanceOf(RetryableError);
    expect(seen[0]).toMatchObject({ class: 'dependency', cause: conflict });
  });

  test('ends with the handler’s signal while it waits', async () => {
    const abort = new AbortController();
    const ctx = context(abort.signal);
    const done = writeThrough(direct, () => Promise.reject(new StoreAway()), ctx);
    done.catch(() => undefined);
    await ctx.clock.advance(100);
    abort.abort(new Error('the partition was lost'));
    await expect(done).rejects.toThrow('the partition was lost');
  });
});
