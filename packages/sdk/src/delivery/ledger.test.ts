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

  test('what a former owner finished is not handed out, and counts as done ahead', () => {
    const ledger = new Ledger(10, [
      { from: 11, to: 13 },
      { from: 20, to: 21 },
    ]);
    expect([10, 11, 12, 13].map((offset) => ledger.take(offset) >= 0)).toEqual([true, false, false, true]);
    expect(ledger.watermark).toBe(10);
    expect(ledger.doneRanges()).toEqual([
      { from: 11, to: 13 },
      { from: 20, to: 21 },
    ]);
    ledger.finish(0);
    expect(ledger.watermark).toBe(13);
  });

  test('what a former owner finished is known until it is fetched and passed', () => {
    const ledger = new Ledger(10, [{ from: 15, to: 20 }]);
    ledger.finish(ledger.take(10));
    expect([ledger.watermark, ledger.doneAhead, ledger.knowsAhead]).toEqual([11, 0, true]);
    expect(ledger.doneRanges()).toEqual([{ from: 15, to: 20 }]);
    ledger.cover(19);
    expect([ledger.watermark, ledger.knowsAhead]).toEqual([20, false]);
    expect(new Ledger(10).knowsAhead).toBe(false);
  });

  test('a record of the former owner’s that was compacted away meanwhile disturbs nothing', () => {
    const ledger = new Ledger(0, [{ from: 1, to: 3 }]);
    const slot = ledger.take(0);
    const later = ledger.take(7);
    ledger.finish(slot);
    expect(ledger.watermark).toBe(7);
    ledger.finish(later);
    expect(ledger.watermark).toBe(8);
    expect(ledger.doneRanges()).toEqual([]);
  });

  test('done ranges are exactly what is finished above the watermark, and give the next owner the same state', () => {
    fc.assert(
      fc.property(
        fc.array(fc.record({ gap: fc.integer({ min: 0, max: 3 }), done: fc.boolean() }), { maxLength: 300 }),
        (steps) => {
          const ledger = new Ledger(0);
          let at = 0;
          const records = steps.map(({ gap, done }) => {
            const offset = at + gap;
            at = offset + 1;
            return { offset, done, slot: ledger.take(offset) };
          });
          for (const { done, slot } of records) if (done) ledger.finish(slot);
          const ranges = ledger.doneRanges();
          const heir = new Ledger(ledger.watermark, ranges);
          for (const { offset, done } of records)
            if (offset >= ledger.watermark) expect(heir.take(offset) >= 0).toBe(!done);
          expect(heir.watermark).toBe(records.find((each) => !each.done)?.offset ?? ledger.watermark);
          expect(heir.doneRanges()).toEqual(ranges);
        },
      ),
    );
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
