/**
 * What an attachment's URL says about the file: its name, its type, and when a presigned URL runs out. Nothing here
 * trusts the URL; what is no URL at all has no name, type `UNKNOWN` and no expiry, and the download refuses it later.
 */
import { parseTimestamp } from './timestamp.ts';

export const UNKNOWN_FILE_TYPE = 'UNKNOWN';

const EXTENSION = /[^/\\]\.([a-z0-9]{1,10})$/i;
const NAME_PARAMETERS = ['filename', 'file', 'name'];

/** The extension of the last path segment, else of `?filename=`, `?file=`, `?name=`, in capitals, else `UNKNOWN`. */
export function fileTypeOf(url: string): string {
  const named = namesOf(url).find((name) => EXTENSION.test(name));
  return named === undefined ? UNKNOWN_FILE_TYPE : EXTENSION.exec(named)![1]!.toUpperCase();
}

/** The file's name as the URL gives it (decoded, not sanitised): one with an extension first, '' when there is none. */
export function fileNameOf(url: string): string {
  const names = namesOf(url);
  return names.find((name) => EXTENSION.test(name)) ?? names[0] ?? '';
}

function namesOf(url: string): string[] {
  const parsed = URL.parse(url);
  if (!parsed) return [];
  const names = [decode(parsed.pathname.split('/').at(-1) ?? '')];
  for (const wanted of NAME_PARAMETERS) {
    for (const [parameter, value] of parsed.searchParams) {
      if (parameter.toLowerCase() === wanted) names.push(value.split(/[/\\]/).at(-1) ?? '');
    }
  }
  return names.map((name) => name.trim()).filter((name) => name !== '');
}

function decode(text: string): string {
  try {
    return decodeURIComponent(text);
  } catch {
    // `%E9` is Latin-1, `%zz` is nothing: the name stays as it was written.
    return text;
  }
}

const AMZ_DATE = /^(\d{4})(\d{2})(\d{2})T(\d{2})(\d{2})(\d{2})Z$/;

/**
 * When a presigned URL stops working, ms since the epoch; undefined when it does not say. Three forms: S3 version 4
 * (`X-Amz-Date` + `X-Amz-Expires` seconds), S3 version 2 (`Expires`, epoch seconds, beside a `Signature`), and
 * `systemDate` + `expires`.
 */
export function expiryOf(url: string): number | undefined {
  const parsed = URL.parse(url);
  if (!parsed) return undefined;
  const query = new Map([...parsed.searchParams].map(([name, value]) => [name.toLowerCase(), value.trim()]));
  const amzDate = AMZ_DATE.exec(query.get('x-amz-date') ?? '');
  const amzExpires = numberIn(query.get('x-amz-expires'));
  if (amzDate && amzExpires !== undefined) {
    const [, year, month, day, hour, minute, second] = amzDate;
    const signed = parseTimestamp(`${year}-${month}-${day}T${hour}:${minute}:${second}Z`);
    return signed === undefined ? undefined : signed + amzExpires * 1000;
  }
  const expires = numberIn(query.get('expires'));
  if (expires === undefined) return undefined;
  const systemDate = query.get('systemdate');
  if (systemDate !== undefined) return systemExpiry(systemDate, expires);
  return query.has('signature') && expires > EPOCH_SECONDS ? expires * 1000 : undefined;
}

/** Numbers above these are points in time, below them they are durations. */
const EPOCH_SECONDS = 1e9;
const EPOCH_MS = 1e11;

/**
 * The two numbers share a unit. One exception is allowed for: a duration under a minute beside a date in milliseconds
 * was meant in seconds (nobody signs a URL for 3.6 s), and calling a good URL expired would lose its file.
 */
function systemExpiry(systemDate: string, expires: number): number | undefined {
  if (expires > EPOCH_MS) return expires;
  if (expires > EPOCH_SECONDS) return expires * 1000;
  const date = numberIn(systemDate);
  const inSeconds = date !== undefined && date < EPOCH_MS;
  const signed = date === undefined ? parseTimestamp(systemDate) : inSeconds ? date * 1000 : date;
  if (signed === undefined) return undefined;
  return signed + (inSeconds || date === undefined || expires < 60_000 ? expires * 1000 : expires);
}

function numberIn(text: string | undefined): number | undefined {
  return text !== undefined && /^\d{1,15}$/.test(text) ? Number(text) : undefined;
}
