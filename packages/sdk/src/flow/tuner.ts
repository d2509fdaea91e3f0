/**
 * Who moves the limiter's limit. The worker tells the tuner how each handler call went and sets the limiter to what it
 * says. `proven` goes into the signal: while a limit still rises, the plan holds a scale-up back for a moment, because
 * the workers that run may soon do more.
 */
export interface Tuner {
  /** Handler calls that may be in flight now: from 1 to the declared max. */
  readonly limit: number;
  /** The tuner has settled: more in flight would not bring more. */
  readonly proven: boolean;
  /** After every handler call; must not block or throw. `ok` is false for a retryable failure. */
  observe(seconds: number, ok: boolean): void;
}

/** A limit that stays where it is. */
export function fixedTuner(limit: number): Tuner {
  return { limit, proven: true, observe: () => undefined };
}
