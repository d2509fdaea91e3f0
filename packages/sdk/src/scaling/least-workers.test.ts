import fc from 'fast-check';
import { expect, test } from 'vitest';
import { leastWorkers } from './least-workers.ts';

/** The true least number, by trying everything. */
function packed(weights: readonly number[], capacity: number): number {
  const bins: number[] = [];
  let best = weights.length;
  const place = (at: number) => {
    if (bins.length >= best && at < weights.length) return;
    if (at === weights.length) {
      best = Math.min(best, bins.length);
      return;
    }
    for (let bin = 0; bin < bins.length; bin++) {
      if (bins[bin]! + weights[at]! > capacity) continue;
      bins[bin]! += weights[at]!;
      place(at + 1);
      bins[bin]! -= weights[at]!;
    }
    bins.push(weights[at]!);
    place(at + 1);
    bins.pop();
  };
  place(0);
  return best;
}

test('it is never above what is needed', () => {
  fc.assert(
    fc.property(fc.array(fc.integer({ min: 0, max: 60 }), { maxLength: 8 }), (weights) => {
      const heavy = weights.filter((weight) => weight > 0);
      expect(leastWorkers(weights, 60)).toBeLessThanOrEqual(packed(heavy, 60));
    }),
  );
});

test.each([
  ['nothing', [], 0],
  ['what fits one', [10, 20, 30], 1],
  ['fifty that cannot share', Array.from({ length: 50 }, () => 31), 50],
  ['small ones fill the room beside the large ones', [40, 40, 20, 20], 2],
  ['and no more than that room', [40, 40, 20, 20, 20], 3],
  ['large ones that leave no room for small ones', [50, 50, 15, 15, 15, 15], 3],
  ['one that is too heavy fills a worker', [900, 30, 30], 2],
])('%s', (_name, weights, expected) => {
  expect(leastWorkers(weights, 60)).toBe(expected);
});

test('without a capacity nothing is known', () => {
  expect(leastWorkers([1, 2], 0)).toBe(0);
  expect(leastWorkers([1, 2], Number.POSITIVE_INFINITY)).toBe(0);
});
