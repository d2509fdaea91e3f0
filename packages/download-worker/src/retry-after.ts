/** `Retry-After`: seconds, or a date (RFC 9110, 10.2.3). A server may say anything, so it is believed up to a day. */
const LONGEST_MS = 24 * 60 * 60_000;

/** Milliseconds to wait from `now`; undefined when the header is absent or unreadable. */
export function retryAfterMs(header: string | undefined, now: number): number | undefined {
  const value = header?.trim() ?? '';
  if (/^\d{1,10}$/.test(value)) return Math.min(Number(value) * 1000, LONGEST_MS);
  // An HTTP date names its zone; anything else Date.parse would read in this machine's own.
  if (!/^[A-Z][a-z]{2,8},? .*GMT$/.test(value)) return undefined;
  const at = Date.parse(value);
  return Number.isNaN(at) ? undefined : Math.min(Math.max(0, at - now), LONGEST_MS);
}
