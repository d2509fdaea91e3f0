import { expect, test } from 'vitest';
import { readStuck } from '../../bench/memory/stuck.ts';

test('a million records behind a stuck handler: under 200 MB resident, 64 calls begun', {
  timeout: 120_000,
}, async () => {
  const { calls, peakMb } = await readStuck({ records: 1_000_000, watchMs: 10_000 });
  expect(calls).toBe(64);
  expect(peakMb).toBeLessThan(200);
});
