/** Durations as people write them: `'250ms'`, `'5s'`, `'5m'`, `'2h'`, `'7d'`. */
import { WeirError } from './errors.ts';

export type Duration = `${number}${'ms' | 's' | 'm' | 'h' | 'd'}`;

const UNITS = { ms: 1, s: 1_000, m: 60_000, h: 3_600_000, d: 86_400_000 } as const;

export class InvalidDurationError extends WeirError {
  readonly given: string;
  constructor(given: string) {
    super('WEIR_DURATION_INVALID', `"${given}" is not a duration`);
    this.given = given;
  }
}

/**
 * Milliseconds of a duration.
 * @throws InvalidDurationError when the text has no number, no unit, or is negative
 */
export function parseDuration(text: Duration | (string & {})): number {
  const match = /^(\d+(?:\.\d+)?)(ms|s|m|h|d)$/.exec(text.trim());
  if (!match) throw new InvalidDurationError(text);
  return Number(match[1]) * UNITS[match[2] as keyof typeof UNITS];
}

export function isDuration(text: string): text is Duration {
  return /^\s*\d+(?:\.\d+)?(ms|s|m|h|d)\s*$/.test(text);
}

/** The shortest exact way to write `ms` with one unit: 300000 -> `5m`, 90000 -> `90s`, 1500 -> `1500ms`. */
export function formatDuration(ms: number): Duration {
  for (const unit of ['d', 'h', 'm', 's'] as const) {
    const size = UNITS[unit];
    if (ms >= size && ms % size === 0) return `${ms / size}${unit}`;
  }
  return `${ms}ms`;
}
