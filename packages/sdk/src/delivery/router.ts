/**
 * Where a failed record goes: a pure decision from what the failure means and what the record has been through.
 *
 *   dependency down, plain        hold: the partition stops, the record runs again when the dependency is back
 *   dependency down, keyed        park, while there is room; else the first retry topic, its attempt unchanged
 *   retryable, order none         the retry topic of its attempt (or the first whose delay is long enough for `after`)
 *   retryable, ordered            in place: 1 s, 2 s, 4 s … 30 s, two minutes in all
 *   used up, or permanent         the dead letters
 */
import type { ErrorClass } from '../errors.ts';
import type { Verdict } from './classify.ts';

export type Route =
  | { readonly to: 'retry'; readonly step: number; readonly attempt: number; readonly parked: number }
  | { readonly to: 'in-place'; readonly delayMs: number; readonly attempt: number }
  | { readonly to: 'dead'; readonly class: ErrorClass; readonly attempts: number; readonly exhausted: boolean }
  | { readonly to: 'hold' }
  | { readonly to: 'park' };

export interface RouteFacts {
  /** Failed calls before this one. */
  readonly attempt: number;
  /** Times it overflowed the parking space. */
  readonly parked: number;
  /** Delays of the retry topics in ms, rising; empty when failures are retried in place. */
  readonly ladderMs: readonly number[];
  readonly inPlace: boolean;
  /** Ms since the first failure in place; 0 at the first. */
  readonly failingForMs: number;
  readonly keyed: boolean;
  readonly roomToPark: boolean;
}

const IN_PLACE_FIRST_MS = 1_000;
const IN_PLACE_LONGEST_MS = 30_000;
const IN_PLACE_ALL_MS = 120_000;
/** From this many overflows on, parking costs an attempt: a record must not go round for ever. */
const FREE_OVERFLOWS = 3;

export function route(verdict: Verdict, facts: RouteFacts): Route {
  const attempts = facts.attempt + 1;
  switch (verdict.kind) {
    case 'dependency-down':
      if (!facts.keyed) return { to: 'hold' };
      if (facts.roomToPark || facts.inPlace || facts.ladderMs.length === 0) return { to: 'park' };
      if (facts.parked < FREE_OVERFLOWS)
        return { to: 'retry', step: 0, attempt: facts.attempt, parked: facts.parked + 1 };
      return attempts > facts.ladderMs.length
        ? { to: 'dead', class: 'dependency', attempts, exhausted: true }
        : { to: 'retry', step: 0, attempt: attempts, parked: facts.parked + 1 };
    case 'dead':
      return { to: 'dead', class: verdict.class, attempts, exhausted: false };
    case 'retry-once':
      if (facts.attempt >= 1) return { to: 'dead', class: verdict.class, attempts, exhausted: false };
      return again(verdict.class, undefined, facts, attempts);
    case 'retry':
      return again(verdict.class, verdict.afterMs, facts, attempts);
    default:
      throw new TypeError(`unknown verdict ${verdict satisfies never}`);
  }
}

function again(errorClass: ErrorClass, afterMs: number | undefined, facts: RouteFacts, attempts: number): Route {
  if (facts.inPlace) {
    if (facts.failingForMs >= IN_PLACE_ALL_MS) return { to: 'dead', class: errorClass, attempts, exhausted: true };
    const backOff = Math.min(IN_PLACE_LONGEST_MS, IN_PLACE_FIRST_MS * 2 ** Math.min(facts.attempt, 10));
    const wanted = Math.max(backOff, afterMs ?? 0);
    return { to: 'in-place', delayMs: Math.min(wanted, IN_PLACE_ALL_MS), attempt: attempts };
  }
  const ladder = facts.ladderMs;
  if (facts.attempt >= ladder.length) return { to: 'dead', class: errorClass, attempts, exhausted: true };
  let step = facts.attempt;
  if (afterMs !== undefined) {
    const enough = ladder.findIndex((delay, at) => at >= step && delay >= afterMs);
    step = enough < 0 ? ladder.length - 1 : enough;
  }
  return { to: 'retry', step, attempt: attempts, parked: facts.parked };
}
