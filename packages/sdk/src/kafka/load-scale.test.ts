import fc from 'fast-check';
import { expect, test } from 'vitest';
import { codeOfLoad, loadOfCode, roundLoad } from './load-scale.ts';

test('a load keeps its size within half a step, and rounding it twice changes nothing', () => {
  fc.assert(
    fc.property(fc.double({ min: 0.001, max: 1e6, noNaN: true }), (load) => {
      expect(Math.abs(Math.log2(roundLoad(load) / load))).toBeLessThanOrEqual(1 / 16 + 1e-9);
      expect(roundLoad(roundLoad(load))).toBe(roundLoad(load));
    }),
  );
});

test('none stays none, what is not known stays so, and every code fits a byte', () => {
  expect(roundLoad(0)).toBe(0);
  expect(roundLoad(1e-9)).toBe(0);
  for (const unknown of [undefined, Number.NaN, -1]) expect(loadOfCode(codeOfLoad(unknown))).toBeUndefined();
  expect(codeOfLoad(Number.POSITIVE_INFINITY)).toBe(255);
});
