import { mkdtemp, readdir, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { putInPlace, QuickDisk } from './in-place.ts';

let root: string;
beforeAll(async () => {
  root = await mkdtemp(join(tmpdir(), 'weir-in-place-'));
});
afterAll(() => rm(root, { recursive: true, force: true }));

/** Moved within a synchronous call, which ManualClock cannot be. */
class Hand {
  ms = 0;
  monotonic(): number {
    return this.ms;
  }
}

describe('a disk that is watched', () => {
  const writes = (disk: QuickDisk, clock: Hand, ms: number, count: number) => {
    for (let done = 0; done < count; done++) {
      disk.timed(() => {
        clock.ms += ms;
      });
    }
  };

  test('is quick while its writes take under a millisecond', () => {
    const clock = new Hand();
    const disk = new QuickDisk(clock);
    writes(disk, clock, 0.9, 500);
    expect(disk.quick).toBe(true);
  });

  test('rests for two seconds after one long write, and after many that are a little slow', () => {
    for (const [ms, count] of [
      [20, 1],
      [2, 16],
    ] as const) {
      const clock = new Hand();
      const disk = new QuickDisk(clock);
      writes(disk, clock, ms, count);
      expect(disk.quick).toBe(false);
      clock.ms += 2_000;
      expect(disk.quick).toBe(true);
    }
  });

  test('is on trial after its rest: one slow write sends it back, quick ones do not', () => {
    const clock = new Hand();
    const disk = new QuickDisk(clock);
    writes(disk, clock, 20, 1);
    clock.ms += 2_000;
    writes(disk, clock, 2, 1);
    expect(disk.quick).toBe(false);
    clock.ms += 2_000;
    writes(disk, clock, 0.1, 100);
    expect(disk.quick).toBe(true);
  });

  test('is not blamed for what a write waited for a processor, only for the rest', () => {
    const clock = new Hand();
    const processor = new Hand();
    const disk = new QuickDisk(clock, { ms: () => processor.ms });
    const write = (ms: number, waitedMs: number) =>
      disk.timed(() => {
        clock.ms += ms;
        processor.ms += waitedMs;
      });
    for (let done = 0; done < 100; done++) write(30, 29.5);
    expect(disk.quick).toBe(true);
    write(40, 20);
    expect(disk.quick).toBe(false);
  });

  test('counts a write that fails like any other', () => {
    const clock = new Hand();
    const disk = new QuickDisk(clock);
    expect(() =>
      disk.timed(() => {
        clock.ms += 50;
        throw new Error('ENOSPC');
      }),
    ).toThrow('ENOSPC');
    expect(disk.quick).toBe(false);
  });
});

describe('a file put in place', () => {
  test('replaces what was there and leaves nothing else', async () => {
    const folders = new Set<string>();
    for (const text of ['first', 'second']) {
      putInPlace(join(root, 'temporary'), join(root, 'a/b/file'), Buffer.from(text), folders);
    }
    expect(await readFile(join(root, 'a/b/file'), 'utf8')).toBe('second');
    expect(await readdir(root)).toEqual(['a']);
  });

  test('whose folder has gone since is an error, and leaves no temporary file', async () => {
    const folder = join(root, 'gone');
    expect(() =>
      putInPlace(join(root, 'temporary'), join(folder, 'file'), Buffer.from('x'), new Set([folder])),
    ).toThrow(/ENOENT/);
    expect(await readdir(root)).toEqual(['a']);
  });
});
