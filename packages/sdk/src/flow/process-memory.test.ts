import { describe, expect, test } from 'vitest';
import { oldSpaceLimit, processMemory, usableOf } from './process-memory.ts';

const MIB = 1024 * 1024;

describe('the limit of the heap', () => {
  test.each([
    [['--max-old-space-size=64'], 64],
    [['--conditions=source', '--max_old_space_size=512'], 512],
    [['--max-old-space-size', '100'], 100],
    [[], 4096],
    [['--max-old-space-size=zzz'], 4096],
  ])('with %j is %i MiB', (flags, mib) => {
    expect(oldSpaceLimit(flags, 4288 * MIB)).toBe(mib * MIB);
  });

  test('a small heap that nobody named is not taken for nothing', () => {
    expect(oldSpaceLimit([], 112 * MIB)).toBe(56 * MIB);
  });

  test.each([64, 256, 1024, 4096])('85 % of what counts of %i MiB leaves V8 room', (mib) => {
    const mark = 0.85 * usableOf(mib * MIB);
    // From four fifths on it may give up, when less than a young generation is free.
    expect(mark <= 0.8 * mib * MIB || mib * MIB - mark > 32 * MIB).toBe(true);
    expect(mark).toBeGreaterThan(0.76 * mib * MIB);
  });
});

test('what is held shows, and is gone once it is let go and collected', () => {
  // So small that the heap is nearer to its limit than the process is to the container's.
  const probe = processMemory({ nodeOptions: '--max-old-space-size=1' });
  probe.collect();
  const before = probe.read().usedBytes;
  let held: object[] | undefined = Array.from({ length: 300_000 }, (_, at) => ({ at }));
  probe.collect();
  expect(held.length).toBe(300_000);
  expect(probe.read().usedBytes - before).toBeGreaterThan(5 * MIB);
  held = undefined;
  probe.collect();
  expect(probe.read().usedBytes - before).toBeLessThan(3 * MIB);
});
