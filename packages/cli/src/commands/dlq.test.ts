import { ManualClock } from '@weir/core/testing';
import type { Letter } from '@weir/dlq-handler/worker';
import { describe, expect, test } from 'vitest';
import { UsageError } from '../errors.ts';
import { filterOf, letterLine, visible } from './dlq.ts';

describe('weir dlq', () => {
  test('filters are made of what was given, times of durations', () => {
    const clock = new ManualClock(10_000_000);
    expect(filterOf({}, { clock })).toEqual({});
    expect(filterOf({ worker: 'w', class: 'poison', state: 'dead', since: '1h' }, { clock })).toEqual({
      worker: 'w',
      errorClass: 'poison',
      state: 'dead',
      since: 10_000_000 - 3_600_000,
    });
    expect(() => filterOf({ since: 'yesterday' }, { clock })).toThrow(UsageError);
  });

  test('a letter on a line, with nothing in it that steers the terminal', () => {
    const letter = {
      id: 'event-ingester:xact.events.raw/3/7#0',
      state: 'dead',
      errorClass: 'poison',
      failedAt: 0,
      error: 'not JSON: \u001b[2J',
      key: null,
    } as unknown as Letter;
    expect(letterLine(letter)).toBe(
      'event-ingester:xact.events.raw/3/7#0  dead  poison  1970-01-01T00:00:00.000Z  key -  not JSON: \\x1b[2J',
    );
    expect(visible('line\n\ttab\u0007')).toBe('line\n\ttab\\x07');
  });
});
