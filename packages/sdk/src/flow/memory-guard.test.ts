import { describe, expect, test } from 'vitest';
import { type InHand, MemoryGuard, type MemoryReading } from './memory-guard.ts';

/** A process of 100 bytes: what it holds, and garbage that lies about until it is collected. */
class FakeMemory {
  held = 0;
  garbage = 0;
  collections = 0;
  nowMs = 0;
  collectingMs = 0;
  readonly guard = new MemoryGuard({
    settings: { pauseAt: 0.85, resumeAt: 0.7 },
    probe: {
      read: (): MemoryReading => ({ usedBytes: this.held + this.garbage, limitBytes: 100, of: 'heap' }),
      collect: () => {
        this.garbage = 0;
        this.collections++;
        this.nowMs += this.collectingMs;
      },
    },
    now: () => this.nowMs,
  });

  look(held: number, hand: Partial<InHand> = {}): string {
    this.held = held;
    this.nowMs += 100;
    this.guard.look({ inflight: 16, records: 50, limit: 16, ...hand });
    return this.guard.state;
  }
}

describe('memory guard', () => {
  test('is short from 85 % and no more at 70 %', () => {
    const memory = new FakeMemory();
    expect(memory.look(84)).toBe('roomy');
    expect(memory.look(85)).toBe('short');
    expect(memory.look(84)).toBe('short');
    expect(memory.look(71)).toBe('short');
    expect(memory.look(70)).toBe('careful');
    expect(memory.look(84)).toBe('careful');
    expect(memory.look(85)).toBe('short');
  });

  test('goes on with half of what was in flight, and rises from there to what it may', () => {
    const memory = new FakeMemory();
    expect(memory.guard.ceiling).toBe(Number.POSITIVE_INFINITY);
    memory.look(90);
    expect(memory.guard.ceiling).toBe(8);
    memory.look(60);
    const seen: number[] = [];
    for (let look = 0; look < 500 && memory.guard.state === 'careful'; look++) {
      seen.push(memory.guard.ceiling);
      memory.look(60);
    }
    expect(seen).toEqual([...seen].sort((a, b) => a - b));
    expect(seen.at(-1)).toBe(15);
    expect(memory.guard.state).toBe('roomy');
    // Seconds, not milliseconds: what the new calls hold must be seen before more are let in.
    expect(seen.length).toBeGreaterThan(50);
    expect(seen.length).toBeLessThan(150);
  });

  test('the wall met a second time leaves half of what it was met with', () => {
    const memory = new FakeMemory();
    memory.look(90);
    memory.look(60);
    memory.look(90, { inflight: 8 });
    expect(memory.guard.ceiling).toBe(4);
    for (let round = 0; round < 5; round++) {
      memory.look(60);
      memory.look(90, { inflight: 1 });
    }
    expect(memory.guard.ceiling).toBe(1);
  });

  test('garbage is collected before it is believed, going in and going out', () => {
    const memory = new FakeMemory();
    memory.garbage = 60;
    expect(memory.look(40)).toBe('roomy');
    expect(memory.collections).toBe(1);
    expect(memory.look(90)).toBe('short');
    memory.garbage = 50;
    expect(memory.look(40)).toBe('careful');
  });

  test('collecting takes a twentieth of the time at most', () => {
    const memory = new FakeMemory();
    memory.collectingMs = 500;
    for (let look = 0; look < 300; look++) memory.look(95);
    expect(memory.collections * memory.collectingMs).toBeLessThanOrEqual(memory.nowMs * 0.05 + memory.collectingMs);
    expect(memory.collections).toBeGreaterThan(1);
  });

  test('with nothing in hand it goes on: waiting would free nothing', () => {
    const memory = new FakeMemory();
    memory.look(95);
    expect(memory.look(95, { inflight: 0, records: 3 })).toBe('short');
    expect(memory.look(95, { inflight: 0, records: 0 })).toBe('careful');
    expect(memory.guard.ceiling).toBeLessThanOrEqual(8);
  });
});
