/**
 * Times as messages carry them: ISO 8601. The sources write what their language prints: seven digits of fraction, a
 * space for the `T`, `+0000` without its colon, no zone at all (which means UTC here). All of these are read; anything
 * else is unreadable, because `Date.parse` alone would take `"1"` for a year and a bare local time for this machine's
 * zone.
 */
const ISO =
  /^(\d{4})-(\d{2})-(\d{2})(?:[T ](\d{2}):(\d{2})(?::(\d{2})(?:[.,](\d{1,9}))?)?\s?(Z|[+-]\d{2}(?::?\d{2})?)?)?$/i;

/** Years 1 to 9999 in UTC: what every reader of a table can show. */
const FIRST_MS = -62_135_596_800_000;
const LAST_MS = 253_402_300_799_999;

/** Milliseconds since the epoch; undefined when the text is no ISO 8601 time. */
export function parseTimestamp(value: string): number | undefined {
  const match = ISO.exec(value.trim());
  if (!match) return undefined;
  const [, year, month, day, hour = '00', minute = '00', second = '00', fraction = '', zone = 'Z'] = match;
  const milliseconds = Number(fraction.padEnd(3, '0').slice(0, 3));
  const utc = Date.UTC(
    Number(year),
    Number(month) - 1,
    Number(day),
    Number(hour),
    Number(minute),
    Number(second),
    milliseconds,
  );
  const back = new Date(utc);
  // 31 February rolls over to March in Date.UTC; a time that does not come back as it was written is unreadable.
  if (
    back.getUTCFullYear() !== Number(year) ||
    back.getUTCMonth() !== Number(month) - 1 ||
    back.getUTCDate() !== Number(day) ||
    Number(hour) > 23 ||
    Number(minute) > 59 ||
    Number(second) > 59
  )
    return undefined;
  const offset = offsetMs(zone);
  if (offset === undefined) return undefined;
  return utc - offset >= FIRST_MS && utc - offset <= LAST_MS ? utc - offset : undefined;
}

function offsetMs(zone: string): number | undefined {
  if (zone.toUpperCase() === 'Z') return 0;
  const hours = Number(zone.slice(1, 3));
  const minutes = Number(zone.slice(3).replace(':', '') || '0');
  if (hours > 14 || minutes > 59) return undefined;
  return (zone.startsWith('-') ? -1 : 1) * (hours * 60 + minutes) * 60_000;
}

/** ISO 8601 in UTC with milliseconds: how Weir writes a time. */
export const formatTimestamp = (ms: number): string => new Date(ms).toISOString();
