/**
 * Who moves the limiter's limit. The worker tells the tuner how each handler call went, and once a second whether the
 * limit was what held work back; then it sets the limiter to what the tuner says. `proven` goes into the signal: while a
 * limit still rises, the workers that run may soon do more, and a scale-up can wait a moment.
 */
export interface Tuner {
  /** Handler calls that may be in flight now: from 1 to the declared max. */
  readonly limit: number;
  /** The tuner has settled: more in flight would not bring more. */
  readonly proven: boolean;
  /** `calls` handler calls of `seconds` each ended; must not block or throw. `ok` is false for a failure. */
  observe(calls: number, seconds: number, ok: boolean): void;
  /** About once a second. `saturated`: every slot was taken and more records waited. */
  tick(saturated: boolean): void;
  /** In place of `tick`, while something else than this limit decides: nothing is learnt, nothing is raised. */
  rest(): void;
}

/** A limit that stays where it is. */
export function fixedTuner(limit: number): Tuner {
  return { limit, proven: true, observe: () => undefined, tick: () => undefined, rest: () => undefined };
}
