import { expect, test } from 'vitest';
import { reachOf } from './reach.ts';

const resolved = { queue: { recordsPerPartition: 100, bytes: 1 }, commitIntervalMs: 1_000 };
const at = { from: 50, doneBefore: [], signal: undefined, resolved };

test('work can have got as far as twice what a partition holds', () => {
  expect(reachOf(at)).toBe(250);
});

test('and twice what its owner did between two commits at its best', () => {
  expect(reachOf({ ...at, signal: { bestRate: 300 } })).toBe(50 + 200 + 600);
});

test('what was done ahead is no reach used up: records in flight lie around it and above', () => {
  const doneBefore = [
    { from: 10, to: 40 },
    { from: 60, to: 90 },
    { from: 100, to: 1_000 },
  ];
  // 50 to 60, 90 to 100, and 180 more above 1,000.
  expect(reachOf({ ...at, doneBefore })).toBe(1_180);
});

test('a range of done records that lies beyond the reach changes nothing', () => {
  expect(reachOf({ ...at, doneBefore: [{ from: 5_000, to: 6_000 }] })).toBe(250);
});

test('the quickest owner is suspected of 10,000 records and no more', () => {
  expect(reachOf({ ...at, signal: { bestRate: 1e9 } })).toBe(10_050);
});
