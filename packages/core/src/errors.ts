/**
 * The base of every error that Weir throws on purpose. A package keeps one table, `ERRORS`: code -> what to do;
 * `docs/errors.md` is checked against those tables. One named class per code, with typed fields, so that nobody
 * parses a message; the original stays as `cause`.
 */
export class WeirError extends Error {
  /** Stable and searchable: `WEIR_…`. */
  readonly code: string;
  constructor(code: string, message: string, options?: { cause?: unknown }) {
    super(message, options);
    this.code = code;
    this.name = new.target.name;
  }
}

/** One row of an error table. */
export interface ErrorEntry {
  /** What to do, addressed to the person who reads it. */
  readonly fix: string;
}

export const ERRORS = {
  WEIR_DURATION_INVALID: { fix: 'Write a number and a unit: 250ms, 5s, 5m, 2h or 7d.' },
} as const satisfies Record<string, ErrorEntry>;

/** The message of anything that was thrown, with its causes, on one line. */
export function describeError(error: unknown): string {
  const parts: string[] = [];
  let current: unknown = error;
  for (let depth = 0; depth < 4 && current !== undefined && current !== null; depth++) {
    if (current instanceof AggregateError && current.message === '' && current.errors.length > 0) {
      current = current.errors[0];
      continue;
    }
    const text = current instanceof Error ? current.message || current.name : String(current);
    if (text && !parts.some((part) => part.includes(text))) parts.push(text);
    current = current instanceof Error ? current.cause : undefined;
  }
  return parts.join(': ').replace(/\s+/g, ' ');
}
