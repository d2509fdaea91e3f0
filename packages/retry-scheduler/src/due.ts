/**
 * When a retry record is due. The header says, but a header can be missing or made up: a record never waits longer than
 * its topic's delay, counted from when the topic got it. Otherwise one forged `weir-due-at` in the year 9999 would stay
 * in memory for ever and hold its partition's commit.
 */

/**
 * @param header       `weir-due-at`
 * @param timestampMs  of the record in the retry topic; a producer sets it, so one from the far future counts as now
 * @returns ms since the epoch; in the past when it is due already
 */
export function dueAt(header: string | undefined, timestampMs: number, delayMs: number, now: number): number {
  if (timestampMs > now + delayMs) return now;
  const latest = timestampMs + delayMs;
  return header !== undefined && /^\d{1,15}$/.test(header) ? Math.min(Number(header), latest) : latest;
}
