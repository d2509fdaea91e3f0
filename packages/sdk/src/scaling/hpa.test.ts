import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { HpaModel } from './hpa.ts';
import { nudged } from './plan.ts';
import { BEHAVIOR, type ScalingBehavior } from './policy.ts';

/** Asks every 15 s and does what is said; returns the counts. */
function run(
  hpa: HpaModel,
  signal: (at: number, current: number) => number | undefined,
  options: { from: number; steps: number; everyMs?: number; startMs?: number },
): number[] {
  const counts: number[] = [];
  let current = options.from;
  for (let step = 0; step < options.steps; step++) {
    const now = (options.startMs ?? 1_000_000) + step * (options.everyMs ?? 15_000);
    current = hpa.next({ now, signalValue: signal(step, current), current });
    counts.push(current);
  }
  return counts;
}

describe('the metric', () => {
  test('a difference within 10 % is left alone, which is why 22 stays 22 when 24 are wanted', () => {
    expect(run(new HpaModel({ min: 1, max: 24 }), () => 24, { from: 22, steps: 4 })).toEqual([22, 22, 22, 22]);
    expect(run(new HpaModel({ min: 1, max: 24 }), () => 20, { from: 22, steps: 40 }).at(-1)).toBe(22);
  });

  test('the nudged value gets past it, exactly at the maximum and by one to spare below', () => {
    const wanting = (wanted: number) => (_: number, current: number) => nudged(wanted, current);
    expect(run(new HpaModel({ min: 1, max: 24 }), wanting(24), { from: 22, steps: 3 })).toEqual([24, 24, 24]);
    expect(run(new HpaModel({ min: 1, max: 24 }), wanting(12), { from: 11, steps: 3 })).toEqual([13, 13, 13]);
  });

  test('a fraction is rounded up', () => {
    expect(run(new HpaModel({ min: 1, max: 24 }), () => 2.2, { from: 1, steps: 1 })).toEqual([3]);
  });

  test('a metric that cannot be read holds the count', () => {
    expect(run(new HpaModel({ min: 1, max: 24 }), () => undefined, { from: 7, steps: 100 }).at(-1)).toBe(7);
    expect(run(new HpaModel({ min: 1, max: 24 }), () => Number.NaN, { from: 7, steps: 100 }).at(-1)).toBe(7);
  });
});

describe('policies', () => {
  test('up: doubling or four more each 15 s, whichever is more', () => {
    expect(run(new HpaModel({ min: 1, max: 100 }), () => 100, { from: 1, steps: 6 })).toEqual([5, 10, 20, 40, 80, 100]);
  });

  test('asking more often than the period gives no more', () => {
    const every5s = run(new HpaModel({ min: 1, max: 100 }), () => 100, { from: 4, steps: 7, everyMs: 5_000 });
    expect(every5s).toEqual([8, 8, 8, 16, 16, 16, 32]);
  });

  test('down: nothing for five minutes, then a quarter a minute', () => {
    const hpa = new HpaModel({ min: 1, max: 24 });
    const counts = run(hpa, () => 1, { from: 24, steps: 60 });
    expect(counts.slice(0, 20)).toEqual(Array(20).fill(24));
    expect(counts[20]).toBe(18);
    expect(counts.slice(20, 37).filter((count, at, all) => count !== all[at - 1])).toEqual([18, 13, 9, 6, 4]);
    expect(counts.at(-1)).toBe(1);
  });

  test('a rise within the window starts it again', () => {
    const hpa = new HpaModel({ min: 1, max: 24 });
    const counts = run(hpa, (step) => (step === 10 ? 12 : 4), { from: 12, steps: 28 });
    expect(new Set(counts)).toEqual(new Set([12]));
  });

  test('the runbook’s slow policy, smallest change and no change at all', () => {
    const with_ = (scaleUp: Partial<ScalingBehavior['scaleUp']>) =>
      new HpaModel({ min: 1, max: 24, behavior: { ...BEHAVIOR, scaleUp: { ...BEHAVIOR.scaleUp, ...scaleUp } } });
    const policies = [
      { type: 'Percent', value: 50, periodSeconds: 60 },
      { type: 'Pods', value: 2, periodSeconds: 60 },
    ] as const;
    expect(run(with_({ policies }), () => 24, { from: 4, steps: 9 })).toEqual([6, 6, 6, 6, 9, 9, 9, 9, 14]);
    expect(run(with_({ policies, selectPolicy: 'Min' }), () => 24, { from: 8, steps: 1 })).toEqual([10]);
    expect(run(with_({ selectPolicy: 'Disabled' }), () => 24, { from: 4, steps: 9 }).at(-1)).toBe(4);
    expect(run(with_({ stabilizationWindowSeconds: 60 }), (step) => (step < 2 ? 4 : 8), { from: 4, steps: 7 })).toEqual(
      [4, 4, 4, 4, 4, 8, 8],
    );
  });
});

describe('zero', () => {
  test('it wakes at once and sleeps after the cooldown', () => {
    const hpa = new HpaModel({ min: 0, max: 24 });
    expect(run(hpa, () => 0, { from: 0, steps: 3 })).toEqual([0, 0, 0]);
    expect(run(hpa, () => 5, { from: 0, steps: 3, startMs: 2_000_000 })).toEqual([1, 5, 5]);
    const asleep = run(hpa, () => 0, { from: 1, steps: 21, startMs: 2_045_000 });
    expect(asleep.slice(0, 19)).toEqual(Array(19).fill(1));
    expect(asleep.slice(19)).toEqual([0, 0]);
  });

  test('with a minimum above zero it never is', () => {
    expect(run(new HpaModel({ min: 2, max: 24 }), () => 0, { from: 2, steps: 200 }).at(-1)).toBe(2);
    expect(run(new HpaModel({ min: 2, max: 24 }), () => 0, { from: 0, steps: 1 })).toEqual([2]);
  });
});

test('ten times the speed is the same in a tenth of the time', () => {
  const signal = (step: number) => (step < 10 ? 20 : 3);
  const slow = run(new HpaModel({ min: 1, max: 24 }), signal, { from: 1, steps: 80 });
  const fast = run(new HpaModel({ min: 1, max: 24, speed: 10 }), signal, { from: 1, steps: 80, everyMs: 1_500 });
  expect(fast).toEqual(slow);
});

test('whatever is asked, the count stays between minimum and maximum', () => {
  fc.assert(
    fc.property(
      fc.array(fc.option(fc.double({ min: -10, max: 1e6, noNaN: true }), { nil: undefined }), { maxLength: 60 }),
      fc.integer({ min: 0, max: 5 }),
      fc.integer({ min: 5, max: 40 }),
      (signals, min, max) => {
        const counts = run(new HpaModel({ min, max }), (step) => signals[step], { from: min, steps: signals.length });
        for (const count of counts) {
          expect(Number.isInteger(count)).toBe(true);
          expect(count).toBeGreaterThanOrEqual(min);
          expect(count).toBeLessThanOrEqual(max);
        }
      },
    ),
  );
});
