import { describe, expect, test } from 'vitest';
import { Killer } from './killer.ts';

describe('the killer', () => {
  test('spreads its kills over the work and does no more than asked', () => {
    const at: number[] = [];
    let share = 0;
    const killer = new Killer({
      kills: 3,
      kill: () => {
        at.push(share);
        return { worker: 'w', number: at.length };
      },
      said: () => undefined,
    });
    for (share = 0; share <= 1; share += 0.0625) killer.consider(share);
    expect(at.map((each) => Math.round(each * 100))).toEqual([25, 50, 75]);
    expect(killer.over).toBe(true);
  });

  test('a kill that found nobody is made up for', () => {
    let anybody = false;
    const killer = new Killer({
      kills: 1,
      kill: () => (anybody ? { worker: 'w', number: 1 } : undefined),
      said: () => undefined,
    });
    killer.consider(1);
    expect(killer.over).toBe(false);
    anybody = true;
    killer.consider(1);
    expect(killer.over).toBe(true);
  });

  test('without kills it is over before it begins', () => {
    const killer = new Killer({ kills: 0, kill: () => undefined, said: () => undefined });
    expect(killer.over).toBe(true);
  });
});
