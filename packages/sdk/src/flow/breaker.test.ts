import { ManualClock, settle } from '@weir/core/testing';
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import type { BreakerSettings } from '../config.ts';
import type { BreakerState } from '../metrics.ts';
import { Breaker, type Outcome, type Permit, WINDOW_BUCKETS } from './breaker.ts';

const settings: BreakerSettings = { minCalls: 4, windowMs: 10_000, failureShare: 0.5, coolDownMs: 3_000 };

function world() {
  const clock = new ManualClock();
  const moves: string[] = [];
  const breaker = new Breaker({ settings, clock, moved: (from, to) => void moves.push(`${from} ${to}`) });
  const stopRotating = clock.every(settings.windowMs / WINDOW_BUCKETS, () => breaker.rotate());
  const stop = () => {
    stopRotating();
    breaker.stop();
  };
  return { clock, breaker, moves, stop };
}

/** The rules in the fewest words, to hold the real one against. */
class Model {
  state: BreakerState = 'closed';
  era = 0;
  probing = false;
  coolDownEnds = 0;
  window: { bucket: number; failed: boolean }[] = [];
  row = { count: 0, since: 0 };

  move(to: BreakerState, nowMs: number): void {
    this.state = to;
    this.era += 1;
    this.probing = false;
    this.window = [];
    this.row = { count: 0, since: 0 };
    this.coolDownEnds = nowMs + settings.coolDownMs;
  }

  tick(nowMs: number): void {
    if (this.state === 'open' && nowMs >= this.coolDownEnds) this.move('half-open', nowMs);
  }

  settle(era: number, outcome: Outcome, nowMs: number, bucket: number): void {
    if (era !== this.era) return;
    if (outcome === 'void') this.probing = false;
    else if (this.state === 'half-open') {
      this.move(outcome === 'ok' ? 'closed' : 'open', nowMs);
      // The probe is the first call of the new window.
      if (outcome === 'ok') this.window.push({ bucket, failed: false });
    } else {
      this.window = this.window.filter((each) => each.bucket > bucket - WINDOW_BUCKETS);
      this.window.push({ bucket, failed: outcome === 'failed' });
      const failures = this.window.filter((each) => each.failed).length;
      const enough = this.window.length >= settings.minCalls;
      const fresh = this.row.count > 0 && nowMs - this.row.since <= settings.windowMs;
      if (outcome === 'ok') this.row.count = 0;
      else this.row = fresh ? { count: this.row.count + 1, since: this.row.since } : { count: 1, since: nowMs };
      const share = enough && failures / this.window.length >= settings.failureShare;
      if (outcome === 'failed' && (share || this.row.count >= settings.minCalls)) this.move('open', nowMs);
    }
  }
}

describe('Breaker', () => {
  test('does what the rules say, whatever comes in whatever order', async () => {
    const outcome = fc.constantFrom('ok' as const, 'failed' as const, 'failed' as const, 'void' as const);
    const step = fc.oneof(
      { weight: 6, arbitrary: fc.record({ do: fc.constant('call' as const), outcome }) },
      { weight: 1, arbitrary: fc.record({ do: fc.constant('enter' as const) }) },
      { weight: 1, arbitrary: fc.record({ do: fc.constant('leave' as const), which: fc.nat(100), outcome }) },
      {
        weight: 2,
        arbitrary: fc.record({ do: fc.constant('wait' as const), ms: fc.constantFrom(1_000, 3_000, 9_000) }),
      },
    );
    const seen = new Set<string>();
    await fc.assert(
      fc.asyncProperty(fc.array(step, { minLength: 20, maxLength: 60 }), async (steps) => {
        const { clock, breaker, moves, stop } = world();
        const model = new Model();
        const begin = clock.now();
        const held: { permit: Permit; era: number }[] = [];
        const enter = () => {
          const allowed = model.state === 'closed' || (model.state === 'half-open' && !model.probing);
          const permit = breaker.enter();
          expect(permit !== undefined).toBe(allowed);
          if (!permit) return;
          if (model.state === 'half-open') model.probing = true;
          held.push({ permit, era: model.era });
        };
        const leave = async (at: number, outcome: Outcome) => {
          const [one] = held.splice(at, 1);
          if (one!.era !== model.era) seen.add(`late ${outcome}`);
          const now = clock.now();
          model.settle(one!.era, outcome, now, Math.floor((now - begin) / (settings.windowMs / WINDOW_BUCKETS)));
          breaker.leave(one!.permit, outcome);
          await settle(1);
        };
        for (const each of steps) {
          if (each.do === 'wait') {
            // In steps, or the model would see the end of a cool-down late.
            for (let left = each.ms; left > 0; left -= 1_000) {
              await clock.advance(1_000);
              model.tick(clock.now());
            }
          } else if (each.do === 'enter') enter();
          else if (each.do === 'leave') {
            if (held.length > 0) await leave(each.which % held.length, each.outcome);
          } else {
            const before = held.length;
            enter();
            if (held.length > before) await leave(before, each.outcome);
          }
          expect(breaker.state).toBe(model.state);
        }
        for (const move of moves) seen.add(move);
        stop();
      }),
      { numRuns: 150 },
    );
    // The steps are of use only if they get everywhere.
    expect([...seen]).toEqual(
      expect.arrayContaining([
        'closed open',
        'open half-open',
        'half-open closed',
        'half-open open',
        'late ok',
        'late failed',
      ]),
    );
  });

  test('opens when its last calls failed in a row, whatever succeeded in the seconds before', async () => {
    const { breaker, moves, stop } = world();
    for (let at = 0; at < 100; at++) breaker.leave(breaker.enter()!, 'ok');
    for (let at = 0; at < 3; at++) breaker.leave(breaker.enter()!, 'failed');
    breaker.leave(breaker.enter()!, 'ok');
    for (let at = 0; at < 3; at++) breaker.leave(breaker.enter()!, 'failed');
    expect(moves).toEqual([]);
    breaker.leave(breaker.enter()!, 'failed');
    expect(moves).toEqual(['closed open']);
    stop();
  });

  test('a row that took longer than the window is none', async () => {
    const { clock, breaker, stop } = world();
    for (let at = 0; at < 100; at++) {
      breaker.leave(breaker.enter()!, 'failed');
      await clock.advance(settings.windowMs / 2 + 1);
    }
    expect(breaker.state).toBe('closed');
    stop();
  });

  test('a success of the probe that is still on its way lets no second probe in', async () => {
    const { clock, breaker, moves, stop } = world();
    for (let at = 0; at < 4; at++) breaker.leave(breaker.enter()!, 'failed');
    await clock.advance(3_000);
    breaker.leave(breaker.enter()!, 'ok');
    expect(breaker.enter()).toBeUndefined();
    await settle();
    expect(moves).toEqual(['closed open', 'open half-open', 'half-open closed']);
    expect(breaker.enter()).toBeDefined();
    stop();
  });

  test('a stopped one stays as it is and holds no timer', async () => {
    const { clock, breaker, stop } = world();
    for (let at = 0; at < 4; at++) breaker.leave(breaker.enter()!, 'failed');
    stop();
    stop();
    expect(clock.pending).toBe(0);
    expect(breaker.state).toBe('open');
  });
});
