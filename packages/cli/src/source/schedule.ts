/**
 * When each event is published: a slow start, a burst, and a quiet end, so that scaling has something to answer. The
 * mean over the whole run is the rate that was asked for; the burst is about three times that.
 *
 *   rate     ┌─────┐
 *            │     │
 *        ────┘     └──────────────
 *        15 %  25 %      60 %        of the time
 */
const PHASES = [
  { share: 0.15, pace: 0.3 },
  { share: 0.25, pace: 3 },
  { share: 0.6, pace: 0.35 },
] as const;

const WHOLE = PHASES.reduce((sum, phase) => sum + phase.share * phase.pace, 0);

/** How long publishing takes, ms. */
export function durationMs(events: number, ratePerSecond: number): number {
  return ratePerSecond > 0 ? (events / ratePerSecond) * 1000 : 0;
}

/**
 * Milliseconds after the start at which event `index` of `events` is due.
 * @param ratePerSecond  mean; 0 means all at once
 */
export function dueMs(index: number, events: number, ratePerSecond: number): number {
  const total = durationMs(events, ratePerSecond);
  let left = (index / events) * WHOLE;
  let passed = 0;
  for (const { share, pace } of PHASES) {
    const part = share * pace;
    if (left <= part) return total * (passed + left / pace);
    left -= part;
    passed += share;
  }
  return total;
}
