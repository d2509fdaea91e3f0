import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { Rejoins } from './rejoins.ts';

const PAUSE = 300_000;
const SECOND = 1_000;
const plan = (rebalance: boolean | undefined) => ({ rebalance, catchUpMs: PAUSE });

/** A leader for so long that it may. */
function leader(): Rejoins {
  const rejoins = new Rejoins();
  rejoins.joined(true, -PAUSE);
  return rejoins;
}

describe('the leader joins again', () => {
  test('when it is wanted at two looks in a row', () => {
    const rejoins = leader();
    expect(rejoins.looked(plan(true), 0)).toBe(false);
    expect(rejoins.looked(plan(false), 10)).toBe(false);
    expect(rejoins.looked(plan(true), 20)).toBe(false);
    expect(rejoins.looked(plan(undefined), 30)).toBe(false);
    expect(rejoins.looked(plan(true), 40)).toBe(true);
  });

  test('never as a follower, and as a new leader only after the time to catch up', () => {
    const rejoins = new Rejoins();
    rejoins.joined(false, 0);
    for (let at = 0; at < 10 * PAUSE; at += 10 * SECOND) expect(rejoins.looked(plan(true), at)).toBe(false);
    rejoins.joined(true, 10 * PAUSE);
    expect(rejoins.looked(plan(true), 10 * PAUSE + 1)).toBe(false);
    expect(rejoins.looked(plan(true), 11 * PAUSE - 1)).toBe(false);
    expect(rejoins.looked(plan(true), 11 * PAUSE)).toBe(true);
  });

  test('a join by others changes nothing about when a leader that stays one may', () => {
    const rejoins = leader();
    rejoins.joined(true, 0);
    rejoins.looked(plan(true), 15 * SECOND);
    expect(rejoins.looked(plan(true), 16 * SECOND)).toBe(true);
  });

  test('not before the members can tell what their partitions ask of them', () => {
    const rejoins = leader();
    rejoins.joined(true, 0);
    for (let at = 1; at < 15 * SECOND; at += SECOND) expect(rejoins.looked(plan(true), at)).toBe(false);
    expect(rejoins.looked(plan(true), 15 * SECOND)).toBe(true);
  });

  test('half as often each time it did not help, up to eight times, and as before once it did', () => {
    const rejoins = leader();
    const at: number[] = [];
    for (let now = 0; now < 35 * PAUSE; now += SECOND)
      if (rejoins.looked(plan(true), now)) {
        at.push(now);
        rejoins.began(now);
        rejoins.joined(true, now);
      }
    expect(at.map((time, index) => Math.round((time - (at[index - 1] ?? -PAUSE)) / PAUSE))).toEqual([1, 2, 4, 8, 8, 8]);
    rejoins.looked(plan(false), 35 * PAUSE);
    rejoins.looked(plan(true), 35 * PAUSE + SECOND);
    expect(rejoins.looked(plan(true), at.at(-1)! + PAUSE - 1)).toBe(false);
    expect(rejoins.looked(plan(true), at.at(-1)! + PAUSE)).toBe(true);
  });

  test('once in the time to catch up at most, whatever happens', () => {
    const happens = fc.array(fc.tuple(fc.constantFrom('look', 'calm', 'unknown', 'lead', 'follow'), fc.nat(PAUSE / 4)));
    fc.assert(
      fc.property(happens, (events) => {
        const rejoins = new Rejoins();
        let now = 0;
        let last = Number.NEGATIVE_INFINITY;
        for (const [what, later] of events) {
          now += later;
          if (what === 'lead' || what === 'follow') rejoins.joined(what === 'lead', now);
          else if (rejoins.looked(plan(what === 'unknown' ? undefined : what === 'look'), now)) {
            expect(now - last).toBeGreaterThanOrEqual(PAUSE);
            last = now;
            rejoins.began(now);
          }
        }
      }),
    );
  });
});
