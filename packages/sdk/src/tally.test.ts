import fc from 'fast-check';
import { expect, test } from 'vitest';
import { FlatHistogram, Tally } from './tally.ts';

test('a tally adds up by its two labels, in whatever order they come', () => {
  const label = fc.constantFrom('a', 'b', 'c');
  fc.assert(
    fc.property(fc.array(fc.tuple(label, label, fc.nat(10))), (adds) => {
      const tally = new Tally();
      const expected = new Map<string, number>();
      for (const [first, second, count] of adds) {
        tally.add(first, second, count);
        expected.set(first + second, (expected.get(first + second) ?? 0) + count);
      }
      expect(new Map([...tally].map(([first, second, count]) => [first + second, count]))).toEqual(expected);
    }),
  );
});

test('a histogram counts each value in every bucket that it fits, and the last one has them all', async () => {
  const bounds = [1, 5, 10];
  await fc.assert(
    fc.asyncProperty(fc.array(fc.double({ min: 0, max: 20, noNaN: true })), async (values) => {
      const histogram = new FlatHistogram({ name: 'h', help: 'H.', bounds, labels: { group: 'g' } });
      for (const value of values) histogram.observe(value);
      const { values: lines } = (await histogram.get()) as { values: { labels: { le?: unknown }; value: number }[] };
      const buckets = lines.filter((line) => line.labels.le !== undefined).map((line) => line.value);
      expect(buckets).toEqual([
        ...bounds.map((bound) => values.filter((value) => value <= bound).length),
        values.length,
      ]);
    }),
  );
});

test('a histogram that is reset begins anew', async () => {
  const histogram = new FlatHistogram({ name: 'h', help: 'H.', bounds: [1], labels: {} });
  histogram.observe(0.5);
  histogram.reset();
  const { values } = (await histogram.get()) as { values: { value: number }[] };
  expect(values.map((line) => line.value)).toEqual([0, 0, 0, 0]);
});
