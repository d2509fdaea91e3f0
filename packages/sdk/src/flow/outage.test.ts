/**
 * An outage of a minute, at the breaker's real settings: no attempt is burnt, nothing becomes a dead letter, and work goes
 * on within one cool-down of the end. A dependency without keys stops the worker; one of many hosts stops only its own.
 */
import { ManualClock } from '@weir/core/testing';
import { describe, expect, test } from 'vitest';
import { z } from 'zod';
import { defineWorker, topic } from '../define.ts';
import { RetryableError } from '../errors.ts';
import { createMetrics } from '../metrics.ts';
import { testWorker } from '../testing/index.ts';

const Job = z.object({ host: z.string() });
const OUTAGE_MS = 60_000;
const COOL_DOWN_MS = 30_000;
const CALL_MS = 50;

type Failure = 'refuses' | 'hangs';

/** A worker that calls hosts, some of them down; `calls` are those that reached a host. */
async function open(name: string, keyed: boolean, failure: Failure) {
  const clock = new ManualClock();
  const down = new Set<string>();
  const calls: { host: string; atMs: number; ok: boolean }[] = [];
  const done: { host: string; atMs: number }[] = [];
  let burnt = 0;
  const worker = defineWorker({
    name,
    consumes: topic(name, Job, { partitions: 4 }),
    concurrency: { fixed: 20 },
    retry: { delays: ['5m', '10m'] },
    dependencies: { hosts: { keyed: true, timeout: '2s' }, service: { timeout: '2s' } },
    async handle({ value: { host }, attempt }, ctx) {
      if (attempt > 0) burnt++;
      const work = async (signal: AbortSignal) => {
        const ok = !down.has(host);
        calls.push({ host, atMs: clock.now(), ok });
        if (!ok && failure === 'hangs') await clock.sleep(3_600_000, signal);
        await clock.sleep(CALL_MS, signal);
        if (!ok) throw new RetryableError('connect ECONNREFUSED');
      };
      if (keyed) await ctx.call('hosts', host, work);
      else await ctx.call('service', work);
      done.push({ host, atMs: clock.now() });
    },
  });
  const t = await testWorker(worker, { clock });
  let sent = 0;
  const run = async (ms: number, hosts: readonly string[], perSecond: number) => {
    for (const until = clock.now() + ms; clock.now() < until; await clock.advance(100))
      for (let at = 0; at < perSecond / 10; at++, sent++) {
        const host = hosts[sent % hosts.length]!;
        const value = Buffer.from(JSON.stringify({ host }));
        t.kafka.append({ topic: `xact.${name}`, key: null, value, partition: sent % 4 });
      }
  };
  return { t, clock, down, calls, done, run, burnt: () => burnt, sent: () => sent };
}

describe.each(['refuses', 'hangs'] as const)('a dependency without keys that %s for a minute', (failure) => {
  test('costs no attempt and no record, is tried one call at a time, and is used within a cool-down of its return', async () => {
    const { t, clock, down, calls, done, run, burnt, sent } = await open(`plain-${failure}`, false, failure);
    await run(5_000, ['a'], 40);
    expect(done.length).toBeGreaterThan(180);

    down.add('a');
    const from = clock.now();
    await run(OUTAGE_MS / 2, ['a'], 40);
    expect(t.worker.gauges().paused.breaker).toBe(1);
    expect(t.worker.signals().map((signal) => signal.paused)).toEqual(Array(4).fill('breaker'));
    await run(OUTAGE_MS / 2, ['a'], 40);
    const failed = calls.filter((call) => call.atMs >= from && !call.ok);
    // At first as many as were in flight while it opened; then one for each cool-down.
    const probes = failed.filter((call) => call.atMs >= from + 10_000);
    expect(probes.length).toBeGreaterThan(0);
    expect(probes.length).toBeLessThanOrEqual(2);

    down.delete('a');
    const back = clock.now();
    await run(COOL_DOWN_MS + 3_000, ['a'], 40);
    const first = done.find((each) => each.atMs > back);
    expect(first!.atMs - back).toBeLessThanOrEqual(COOL_DOWN_MS + CALL_MS + 2_000);
    await t.advance('30s');
    expect(done.length).toBe(sent());
    expect(burnt()).toBe(0);
    expect(t.retries()).toEqual([]);
    expect(t.deadLetters()).toEqual([]);
    expect(t.worker.gauges().paused.breaker).toBe(0);
    await t.stop();
  });
});

describe.each(['refuses', 'hangs'] as const)('one of five hosts that %s for a minute', (failure) => {
  test('costs no attempt, and the others lose nothing of their throughput', async () => {
    const hosts = ['a', 'b', 'c', 'd', 'e'];
    const { t, clock, down, done, run, burnt, sent } = await open(`keyed-${failure}`, true, failure);
    const others = (from: number, to: number) =>
      done.filter((each) => each.host !== 'e' && each.atMs > from && each.atMs <= to).length;
    const begin = clock.now();
    await run(OUTAGE_MS, hosts, 100);
    const from = clock.now();
    down.add('e');
    await run(OUTAGE_MS, hosts, 100);
    const back = clock.now();
    const share = others(from, back) / others(begin, from);
    expect(share).toBeGreaterThan(0.9);
    expect(share).toBeLessThan(1.1);
    expect(t.worker.gauges().paused.breaker).toBe(0);
    expect(t.worker.gauges().parked).toBeGreaterThan(0);

    down.delete('e');
    await run(COOL_DOWN_MS + 3_000, hosts, 100);
    const first = done.find((each) => each.host === 'e' && each.atMs > back);
    expect(first!.atMs - back).toBeLessThanOrEqual(COOL_DOWN_MS + CALL_MS + 2_000);
    // What found no room to be parked waits in the first retry topic, with its attempts as they were.
    for (const retry of t.retries()) expect(retry.attempt).toBe(0);
    await run(5_000, [], 0);
    expect(done.length + t.retries().length).toBe(sent());
    expect(burnt()).toBe(0);
    expect(t.deadLetters()).toEqual([]);
    await t.stop();
  });
});

test('the state of a breaker is a metric', async () => {
  const metrics = createMetrics({
    resolved: {
      group: 'g',
      consumes: [],
      dependencies: { hosts: { keyed: true, timeoutMs: 1, concurrency: undefined } },
    },
    nodeMetrics: false,
  });
  const shown = async () => /state\{dependency="hosts",state="open"\} (\d)/.exec(await metrics.registry.metrics())?.[1];
  expect(await shown()).toBe('0');
  metrics.breaker('hosts', 'open');
  expect(await shown()).toBe('1');
});
