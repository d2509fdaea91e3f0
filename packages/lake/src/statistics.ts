/**
 * Statistics of a file: how many rows, and for each column the number of nulls and bounds of its values. Readers skip
 * files by them, so a bound may be too wide, never too narrow. Every column but lists has bounds: some readers (the
 * PyArrow data set of delta-rs) take a missing one for "no row matches" and return nothing.
 */
import { dateText, type EncodedRow, type Stored } from './row.ts';
import type { ColumnSpec } from './spec.ts';

/** Code points of a text bound; the rest is cut and the upper bound rounded up. */
const LONGEST_BOUND = 32;
const LAST_CODE_POINT = '\u{10ffff}';

export interface FileColumn {
  readonly column: ColumnSpec;
  /** Of its values in a row. */
  readonly index: number;
}

/** JSON as Delta wants it in an `add`. */
export function statisticsOf(columns: readonly FileColumn[], rows: readonly EncodedRow[]): string {
  const minValues: Record<string, unknown> = {};
  const maxValues: Record<string, unknown> = {};
  const nullCount: Record<string, number> = {};
  for (const { column, index } of columns) {
    if (column.type === 'list<string>') continue;
    let nulls = 0;
    let min: Stored = null;
    let max: Stored = null;
    for (const row of rows) {
      const value = row.values[index] ?? null;
      if (value === null) nulls++;
      else if (Number.isNaN(value)) {
        // NaN is above everything for Spark and nowhere for others.
        min = Number.NEGATIVE_INFINITY;
        max = Number.POSITIVE_INFINITY;
      } else {
        if (min === null || isBelow(value, min)) min = value;
        if (max === null || isBelow(max, value)) max = value;
      }
    }
    nullCount[column.name] = nulls;
    if (min !== null && max !== null) {
      minValues[column.name] = shown(column, min, lowerText);
      maxValues[column.name] = shown(column, max, upperText);
    }
  }
  return JSON.stringify({ numRecords: rows.length, minValues, maxValues, nullCount });
}

function isBelow(a: Stored, b: Stored): boolean {
  if (typeof a === 'string' && typeof b === 'string') return isTextBelow(a, b);
  return (a as number) < (b as number);
}

/** In the order of UTF-8 bytes, which is that of code points; JavaScript's own puts 😀 before U+E000. */
export function isTextBelow(a: string, b: string): boolean {
  const length = Math.min(a.length, b.length);
  for (let at = 0; at < length; at++) {
    const x = a.charCodeAt(at);
    const y = b.charCodeAt(at);
    if (x !== y) return x >= 0xd800 && y >= 0xd800 ? afterSurrogates(x) < afterSurrogates(y) : x < y;
  }
  return a.length < b.length;
}

const afterSurrogates = (unit: number) => (unit >= 0xe000 ? unit - 0x800 : unit + 0x2000);

function lowerText(text: string): string {
  return text.length <= LONGEST_BOUND ? text : [...text.slice(0, 2 * LONGEST_BOUND)].slice(0, LONGEST_BOUND).join('');
}

/** At or above every text that begins like this one; whole, when nothing can be put above its beginning. */
function upperText(text: string): string {
  const lower = lowerText(text);
  if (lower === text) return text;
  return text.startsWith(LAST_CODE_POINT, lower.length) ? text : lower + LAST_CODE_POINT;
}

/** JSON.rawJSON is in every Node this runs on, and not yet in the compiler's library. */
const rawJson = (JSON as unknown as { rawJSON(digits: string): unknown }).rawJSON;

function shown({ type }: ColumnSpec, value: Stored, cut: (text: string) => string): unknown {
  if (typeof value === 'string') return cut(value);
  if (type === 'timestamp') return new Date(Number((value as bigint) / 1_000n)).toISOString();
  if (type === 'date') return dateText(value as number);
  // Past 2^53 a JavaScript number would round.
  if (typeof value === 'bigint') return rawJson(value.toString());
  if (type === 'double') return Math.min(Number.MAX_VALUE, Math.max(-Number.MAX_VALUE, value as number));
  return value;
}
