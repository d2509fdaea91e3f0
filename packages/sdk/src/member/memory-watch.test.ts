/** What a worker does when its process runs short of memory. */
import { createLogger } from '@weir/core';
import { describe, expect, test } from 'vitest';
import { z } from 'zod';
import { defineWorker, topic } from '../define.ts';
import { testWorker } from '../testing/index.ts';

const jobs = topic('jobs', z.object({ n: z.number() }), { partitions: 2 });

/** Handlers take 100 ms; `t.running` is how many are at work. */
async function open(env: Record<string, string> = {}) {
  const memory = { usedBytes: 10, limitBytes: 100, of: 'heap' as const };
  const lines: { level: number; msg: string; usedMb?: number }[] = [];
  const seen = { running: 0, most: 0, done: 0 };
  const worker = defineWorker({
    name: 'hoarder',
    consumes: jobs,
    concurrency: { start: 8, max: 8 },
    async handle(_, ctx) {
      seen.running++;
      seen.most = Math.max(seen.most, seen.running);
      await ctx.clock.sleep(100);
      seen.running--;
      seen.done++;
    },
  });
  const t = await testWorker(worker, {
    env,
    memory: { read: () => memory, collect: () => undefined },
    log: createLogger({ name: 'test', destination: { write: (line: string) => void lines.push(JSON.parse(line)) } }),
  });
  const send = (count: number) => {
    for (let n = 0; n < count; n++) t.kafka.append({ topic: 'xact.jobs', key: null, value: Buffer.from('{"n":1}') });
  };
  return { t, memory, lines, seen, send };
}

describe('a worker whose memory is short', () => {
  test('takes nothing in, runs one call at a time, says why, and goes on when there is room', async () => {
    const { t, memory, lines, seen, send } = await open();
    await using _ = t;
    send(200);
    await t.clock.advance(500);
    expect(seen.running).toBe(8);
    expect(t.worker.gauges().paused.memory).toBe(0);

    memory.usedBytes = 90;
    await t.clock.advance(400);
    expect(seen.running).toBe(1);
    expect(t.worker.gauges()).toMatchObject({ paused: { memory: 1 }, limit: 4 });
    expect(t.worker.signals().map((signal) => signal.paused)).toEqual(['memory', 'memory']);
    const held = t.worker.gauges().queued + t.worker.gauges().inflight;
    send(50);
    await t.clock.advance(100);
    expect(t.worker.gauges().queued + t.worker.gauges().inflight).toBeLessThan(held);
    const told = lines.filter((line) => line.msg.startsWith('memory is short'));
    expect(told).toHaveLength(1);
    expect(told[0]!.msg).toContain('WEIR_CONCURRENCY_MAX');
    expect(told[0]!.msg).toContain('above 85 %');

    memory.usedBytes = 60;
    await t.clock.advance(400);
    expect(seen.running).toBe(4);
    expect(t.worker.gauges().paused.memory).toBe(0);
    expect(t.worker.signals().map((signal) => signal.paused)).toEqual([undefined, undefined]);
    expect(lines.some((line) => line.msg.startsWith('memory is no longer short'))).toBe(true);
    await t.clock.advance(20_000);
    expect(seen.done).toBe(250);
    expect(t.worker.gauges().limit).toBe(8);
  });

  test('with nothing in hand works on all the same, if slowly: waiting would free nothing', async () => {
    const { t, memory, lines, seen, send } = await open();
    await using _ = t;
    memory.usedBytes = 99;
    await t.clock.advance(1_000);
    send(20);
    await t.clock.advance(20_000);
    expect(seen.done).toBe(20);
    expect(seen.most).toBe(1);
    expect(lines.filter((line) => line.msg.startsWith('memory is short'))).toHaveLength(1);
  });

  test('drains what is in flight and leaves', async () => {
    const { t, memory, send } = await open();
    send(100);
    await t.clock.advance(500);
    memory.usedBytes = 90;
    await t.clock.advance(300);
    const drained = t.worker.drain(AbortSignal.timeout(5_000));
    await t.clock.advance(5_000);
    expect(await drained).toMatchObject({ clean: true });
  });

  test('WEIR_MEMORY_PAUSE_PERCENT moves the mark', async () => {
    const { t, memory, send } = await open({ WEIR_MEMORY_PAUSE_PERCENT: '50' });
    await using _ = t;
    send(100);
    memory.usedBytes = 50;
    await t.clock.advance(500);
    expect(t.worker.gauges().paused.memory).toBe(1);
    memory.usedBytes = 35;
    await t.clock.advance(500);
    expect(t.worker.gauges().paused.memory).toBe(0);
  });

  test('WEIR_MEMORY_PAUSE_PERCENT=0 turns the guard off', async () => {
    const { t, memory, seen, send } = await open({ WEIR_MEMORY_PAUSE_PERCENT: '0' });
    await using _ = t;
    send(100);
    memory.usedBytes = 99;
    await t.clock.advance(500);
    expect(seen.running).toBe(8);
  });
});
