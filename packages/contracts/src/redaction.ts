/**
 * Events in tables keep what they said, but no URL keeps its query: signatures and tokens live there. Works on the
 * parsed value, not on its text, because `https:\/\/host\/f?X-Amz-Signature=…` and `\u003f` are URLs as well once a
 * reader has parsed them. JSON inside a string (`data` is often that) is opened, redacted and closed again.
 */
import { redactUrl } from '@weir/core';

/** With a scheme, or without one (`//host/file?…` takes the page's). */
const URL_IN_TEXT = /(?:\b[a-z][a-z0-9+.-]*:)?\/\/[^\s"'<>\\^`{|}]+/gi;
const DEEPEST = 64;

/** A query by itself: a URL with a blank in its path ends at the blank for the pattern above, but not for a reader. */
const QUERY_IN_TEXT = /[?&][\w.%~+[\]-]{1,100}=[^\s"'<>\\^`{|}]*/g;

/** Free text with the query of every URL in it removed. */
export const redactUrlsIn = (value: string): string =>
  value.replace(URL_IN_TEXT, redactUrl).replace(QUERY_IN_TEXT, '?[redacted]');

/** A copy of a JSON value in which no string has a URL with its query. Keys too. */
export function redactValue(value: unknown, depth = 0): unknown {
  if (typeof value === 'string') return redactString(value, depth);
  if (typeof value !== 'object' || value === null) return value;
  // Deeper than anything real: dropped, not trusted and not followed until the stack ends.
  if (depth >= DEEPEST) return '[too deep]';
  if (Array.isArray(value)) return value.map((each) => redactValue(each, depth + 1));
  return Object.fromEntries(
    Object.entries(value).map(([key, each]) => [redactUrlsIn(key), redactValue(each, depth + 1)]),
  );
}

function redactString(value: string, depth: number): string {
  const trimmed = value.trimStart();
  if ((trimmed.startsWith('{') || trimmed.startsWith('[')) && depth < DEEPEST) {
    try {
      return JSON.stringify(redactValue(JSON.parse(value), depth + 1));
    } catch {
      // Not JSON after all: free text.
    }
  }
  return redactUrlsIn(value);
}
