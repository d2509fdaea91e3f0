import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { decodeSuspicion, type End, encodeSuspicion, type Suspicion, takeOver } from './suspicion.ts';

const end: End = { writer: 'first000', at: 1_767_225_600_000 };
const second: End = { writer: 'second00', at: end.at + 60_000 };
const logEnd = 1_000_000;
const self = 'self0000';
const until40: Suspicion = {
  until: 40,
  ends: [end],
  suspects: [
    { offset: 30, strikes: 2, inFlight: true },
    { offset: 31, strikes: 1, inFlight: true },
    { offset: 35, strikes: 2, inFlight: false },
    { offset: 60, strikes: 0, inFlight: true },
  ],
};

describe('what the next owner has to know', () => {
  test('after an owner that left is nothing', () => {
    expect(takeOver(undefined, { end: undefined, from: 10, reach: 1_000, self, logEnd })).toBeUndefined();
  });

  test('after the first unclean end is one strike for everything in reach, as far as there are records', () => {
    const at = { end, from: 10, reach: 1_000 };
    expect(takeOver(undefined, { ...at, self, logEnd })).toEqual({ until: 1_000, ends: [end], suspects: [] });
    expect(takeOver(undefined, { ...at, self, logEnd: 20 })).toEqual({ until: 20, ends: [end], suspects: [] });
    expect(takeOver(undefined, { ...at, self, logEnd: 10 })).toBeUndefined();
  });

  test('after the next one is a strike more for those in flight, and for nobody else', () => {
    expect(takeOver(until40, { end: second, from: 30, reach: 5_000, self, logEnd })).toEqual({
      until: 61,
      ends: [end, second],
      suspects: [
        { offset: 30, strikes: 3, inFlight: false },
        { offset: 31, strikes: 2, inFlight: false },
        { offset: 35, strikes: 2, inFlight: false },
        { offset: 60, strikes: 1, inFlight: false },
      ],
    });
  });

  test('after an owner that left in order is what it was: leaving adds nothing and takes nothing away', () => {
    expect(takeOver(until40, { end: undefined, from: 30, reach: 5_000, self, logEnd })).toEqual({
      until: 40,
      ends: [end],
      suspects: [
        { offset: 30, strikes: 2, inFlight: false },
        { offset: 31, strikes: 1, inFlight: false },
        { offset: 35, strikes: 2, inFlight: false },
      ],
    });
  });

  test('has nothing of what is finished, nor of a log that ends before it', () => {
    const at = { end: second, reach: 5_000 };
    expect(takeOver(until40, { ...at, from: 61, self, logEnd })).toBeUndefined();
    expect(takeOver(until40, { ...at, from: 32, self, logEnd: 36 })).toMatchObject({
      until: 36,
      suspects: [{ offset: 35, strikes: 2 }],
    });
  });

  test('forgives what an owner was held for that is back itself', () => {
    const at = { from: 30, reach: 5_000, logEnd };
    expect(takeOver(until40, { ...at, end: undefined, self: end.writer })).toEqual({
      until: 36,
      ends: [],
      suspects: [
        { offset: 30, strikes: 1, inFlight: false },
        { offset: 35, strikes: 1, inFlight: false },
      ],
    });
    const unlisted = { until: 40, ends: [end], suspects: [] };
    expect(takeOver(unlisted, { ...at, end: undefined, self: end.writer })).toBeUndefined();
    const two = { until: 40, ends: [end, second], suspects: [{ offset: 31, strikes: 2, inFlight: true }] };
    expect(takeOver(two, { ...at, end: { writer: 'third000', at: second.at + 1 }, self: end.writer })).toMatchObject({
      until: 40,
      ends: [second, { writer: 'third000' }],
      suspects: [{ offset: 31, strikes: 2 }],
    });
  });

  test('names the last four ends at most', () => {
    let known: Suspicion | undefined = { ...until40, ends: [] };
    for (let at = 0; at < 9; at++)
      known = takeOver(known, { end: { writer: `w${at}`, at }, from: 30, reach: 0, self, logEnd });
    expect(known!.ends.map(({ writer }) => writer)).toEqual(['w5', 'w6', 'w7', 'w8']);
  });
});

describe('the text beside an offset', () => {
  const suspicion = fc
    .record({
      from: fc.integer({ min: 0, max: 2 ** 48 }),
      beyond: fc.integer({ min: 0, max: 20_000 }),
      ends: fc.array(
        fc.record({ writer: fc.stringMatching(/^[0-9a-z]{8}$/), at: fc.integer({ min: 0, max: 8.64e15 }) }),
        { maxLength: 4 },
      ),
      suspects: fc.uniqueArray(
        fc.record({
          offset: fc.integer({ min: 0, max: 5_000 }),
          strikes: fc.integer({ min: 0, max: 5 }),
          inFlight: fc.boolean(),
        }),
        { selector: ({ offset }) => offset, maxLength: 100 },
      ),
    })
    .map(({ from, beyond, ends, suspects }) => ({
      offset: from,
      suspicion: {
        until: from + beyond,
        ends,
        suspects: suspects.map((each) => ({ ...each, offset: from + each.offset })).sort((a, b) => a.offset - b.offset),
      } satisfies Suspicion,
    }));

  test('says what was put in', () => {
    fc.assert(
      fc.property(suspicion, ({ offset, suspicion: given }) => {
        const text = encodeSuspicion(given, offset);
        // It is a field of the metadata: nothing that separates fields may be in it.
        expect(text).toMatch(/^[!-<>-~]+$/);
        expect(decodeSuspicion(text, offset)).toEqual(given);
      }),
    );
  });

  test('stays short however many there are; those with the lowest offsets are kept', () => {
    const suspects = Array.from({ length: 5_000 }, (_, at) => ({
      offset: 100 + at * 2,
      strikes: at % 3,
      inFlight: at % 2 === 0,
    }));
    const text = encodeSuspicion({ until: 20_000, ends: [end], suspects }, 100);
    expect(text.length).toBeLessThanOrEqual(1_500);
    const kept = decodeSuspicion(text, 100)!.suspects;
    expect(kept.length).toBeGreaterThan(300);
    expect(kept).toEqual(suspects.slice(0, kept.length));
  });

  test('that is cut, of another form, or absurd says nothing', () => {
    const text = encodeSuspicion(until40, 30);
    expect(decodeSuspicion(text, 30)).toEqual(until40);
    for (const damaged of [
      text.slice(0, 3),
      text.replace(/^a/, 'b'),
      text.replaceAll('.', ','),
      `${text}=`,
      'azzzzzzzzzzz..',
      // More records, or more strikes, than there can be.
      `a0..${varints(0, 200_000, 2)}`,
      `a0..${varints(0, 1, 2 ** 40)}`,
      `a0..${varints(0, 0, 2)}`,
      `a0..${varints(2 ** 53 - 1, 10, 2)}`,
    ])
      expect(decodeSuspicion(damaged, 30), damaged).toBeUndefined();
  });

  test('never throws, and never invents strikes that no count of ours gives', () => {
    fc.assert(
      fc.property(fc.string(), fc.base64String(), (one, two) => {
        for (const text of [one, `a1.${one}.${two}`, `a9..${two.replaceAll(/[^A-Za-z0-9]/g, '')}`])
          for (const { strikes, offset } of decodeSuspicion(text, 7)?.suspects ?? []) {
            expect(strikes).toBeLessThanOrEqual(100);
            expect(offset).toBeGreaterThanOrEqual(7);
          }
      }),
    );
  });
});

function varints(...values: readonly number[]): string {
  const bytes: number[] = [];
  for (const value of values) {
    let rest = value;
    for (; rest >= 128; rest = Math.floor(rest / 128)) bytes.push((rest % 128) | 0x80);
    bytes.push(rest);
  }
  return Buffer.from(bytes).toString('base64url');
}
