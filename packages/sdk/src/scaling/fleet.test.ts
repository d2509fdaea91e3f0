import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import type { Capacity } from './capacity.ts';
import { Fleet, type Load } from './fleet.ts';

const capacity: Capacity = { laneRate: 10, limit: 10, shown: Number.POSITIVE_INFINITY, lanes: 10 };
const load = (partition: number, over: Partial<Load> = {}): Load => ({
  topic: 'xact.downloads.pending',
  partition,
  arrival: 0,
  backlog: 0,
  lanes: 10,
  broken: false,
  ...over,
});
const fleet = (loads: readonly Load[], today?: Load[][]) =>
  new Fleet({ capacity, loads, catchUpSeconds: 100, ...(today ? { today } : {}) });

describe('fleet', () => {
  test('a worker fits when it keeps up with room to spare and clears its backlog in time', () => {
    expect(fleet([load(0, { arrival: 45 }), load(1, { arrival: 45 })]).fits(1, 0.9)).toBe(true);
    expect(fleet([load(0, { arrival: 50 }), load(1, { arrival: 50 })]).fits(1, 0.9)).toBe(false);
    expect(fleet([load(0, { backlog: 5000 }), load(1, { backlog: 5000 })]).fits(1, 0.9)).toBe(true);
    expect(fleet([load(0, { backlog: 5000 }), load(1, { backlog: 5001 })]).fits(1, 0.9)).toBe(false);
  });

  test('one partition asks for no more than its own lanes manage, at the share that is asked for', () => {
    expect(fleet([load(0, { arrival: 500, backlog: 1e6 })]).fits(1, 0.8)).toBe(true);
    expect(fleet([load(0, { arrival: 500, backlog: 1e6 }), load(1, { arrival: 1 })]).fits(1, 0.8)).toBe(false);
  });

  test('today’s hands count only when they cover every partition', () => {
    const loads = [0, 1, 2, 3].map((partition) => load(partition, { arrival: 40 }));
    const [a, b, c, d] = loads as [Load, Load, Load, Load];
    expect(fleet(loads, [[a, b, c], [d]]).fits(2, 0.9)).toBe(false);
    expect(fleet(loads, [[a, b, c], []]).fits(2, 0.9)).toBe(true);
    expect(fleet(loads, [[a, b, c], [d]]).fits(3, 0.9)).toBe(true);
  });

  test('partitions whose own lanes are too slow for their backlog are late, however many workers there are', () => {
    const loads = [load(0, { backlog: 1001, lanes: 1 }), load(1, { backlog: 1000, lanes: 1 }), load(2)];
    expect(fleet(loads).late.map((each) => each.partition)).toEqual([0]);
  });

  test('the search skips only what cannot be', () => {
    const loads = fc.array(
      fc.record({
        arrival: fc.oneof(fc.constant(0), fc.double({ min: 0, max: 120, noNaN: true })),
        backlog: fc.oneof(fc.constant(0), fc.nat(20_000)),
        lanes: fc.integer({ min: 1, max: 12 }),
      }),
      { minLength: 1, maxLength: 24 },
    );
    const shown = fc.oneof(fc.constant(Number.POSITIVE_INFINITY), fc.double({ min: 1, max: 120, noNaN: true }));
    fc.assert(
      fc.property(loads, shown, fc.nat(24), (made, shown, running) => {
        const all = made.map((over, partition) => load(partition, over));
        const tried = new Fleet({ capacity: { ...capacity, shown }, loads: all, catchUpSeconds: 100 });
        const room = (n: number) => (n < running ? 0.8 : 0.9);
        const counts = all.map((_, at) => at + 1);
        const need = tried.need(1, all.length, room);
        expect(need.n).toBe(counts.find((n) => tried.fits(n, room(n))) ?? all.length);
        const limit = tried.heaviest(need.n) * 1.02;
        expect(tried.snap(1, need.n)).toBe(counts.find((n) => n === need.n || tried.heaviest(n) <= limit));
      }),
      { numRuns: 300 },
    );
  });
});
