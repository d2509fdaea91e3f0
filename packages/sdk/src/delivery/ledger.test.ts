import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { Ledger } from './ledger.ts';

describe('ledger', () => {
  test('the watermark is the first offset that is not finished', () => {
    const ledger = new Ledger(100);
    const slots = [100, 101, 103, 104, 107].map((offset) => ledger.take(offset));
    ledger.finish(slots[0]!);
    ledger.finish(slots[2]!);
    ledger.finish(slots[3]!);
    expect(ledger.watermark).toBe(101);
    expect(ledger.doneAhead).toBe(2);
    ledger.finish(slots[1]!);
    expect(ledger.watermark).toBe(107);
    ledger.finish(slots[4]!);
    expect(ledger.watermark).toBe(108);
    expect(ledger.unfinished).toBe(0);
  });

  test('covered offsets without records move the watermark only when nothing is owed', () => {
    const ledger = new Ledger(0);
    const slot = ledger.take(0);
    ledger.cover(9);
    expect(ledger.watermark).toBe(0);
    ledger.finish(slot);
    expect(ledger.watermark).toBe(10);
  });

  test('an offset that was handed out before is refused', () => {
    const ledger = new Ledger(5);
    expect(ledger.take(4)).toBe(-1);
    ledger.take(5);
    expect(ledger.take(5)).toBe(-1);
  });

  test('finishing a slot twice is refused', () => {
    const ledger = new Ledger(0);
    const slot = ledger.take(0);
    ledger.take(1);
    ledger.finish(slot);
    expect(() => ledger.finish(slot)).toThrow(RangeError);
  });

  test('agrees with a naive model whatever the order and the gaps', () => {
    fc.assert(
      fc.property(
        fc.array(fc.record({ gap: fc.integer({ min: 0, max: 5 }), finish: fc.integer({ min: 0, max: 4 }) }), {
          maxLength: 900,
        }),
        fc.integer({ min: 0, max: 1e9 }),
        (steps, start) => {
          const ledger = new Ledger(start);
          const owed: { offset: number; slot: number }[] = [];
          let next = start;
          let finished = 0;
          const watermark = () => owed.reduce((least, each) => Math.min(least, each.offset), next);
          for (const step of steps) {
            const offset = next + step.gap;
            owed.push({ offset, slot: ledger.take(offset) });
            next = offset + 1;
            for (let count = 0; count < step.finish && owed.length > 0; count++) {
              const at = (offset * 7 + count) % owed.length;
              const [gone] = owed.splice(at, 1);
              ledger.finish(gone!.slot);
              finished++;
            }
            expect(ledger.watermark).toBe(watermark());
            expect(ledger.unfinished).toBe(owed.length);
          }
          expect(finished + owed.length).toBe(steps.length);
        },
      ),
      { numRuns: 60 },
    );
  });
});
