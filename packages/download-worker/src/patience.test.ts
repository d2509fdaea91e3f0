import { ManualClock } from '@weir/core/testing';
import { DependencyDownError, PermanentError, RetryableError } from '@weir/sdk';
import { describe, expect, test } from 'vitest';
import { outlastStore } from './patience.ts';

const away = () => new RetryableError('cannot store f', { class: 'dependency' });

function world(fails: (tries: number) => unknown) {
  const clock = new ManualClock();
  const abort = new AbortController();
  const seen = { tries: 0, ended: undefined as unknown };
  const work = async () => {
    const error = fails(++seen.tries);
    if (error !== undefined) throw error;
    return 'stored';
  };
  void outlastStore(work, { clock, signal: abort.signal }).then(
    (result) => {
      seen.ended = result;
    },
    (error: unknown) => {
      seen.ended = error;
    },
  );
  return { clock, abort, seen };
}

describe('a store that fails', () => {
  test('is tried ten times within ten seconds, which is what opens a breaker', async () => {
    const down = new DependencyDownError('blobs', undefined);
    const { clock, seen } = world((tries) => (tries > 10 ? down : away()));
    // A try of the S3 client takes some tenths as well: twice the time must do.
    await clock.advance(5_000);
    expect(seen).toEqual({ tries: 11, ended: down });
  });

  test('for a moment costs nothing', async () => {
    const { clock, seen } = world((tries) => (tries < 4 ? away() : undefined));
    await clock.advance(1_000);
    expect(seen.ended).toBe('stored');
  });

  test('for longer than half a minute without a breaker that opens costs the attempt', async () => {
    const { clock, seen } = world(away);
    await clock.advance(29_000);
    expect(seen.ended).toBeUndefined();
    await clock.advance(2_000);
    expect(seen.ended).toBeInstanceOf(RetryableError);
  });

  test('is left at once when the handler is to end', async () => {
    const { clock, abort, seen } = world(away);
    await clock.advance(600);
    abort.abort(new Error('the partition was lost'));
    await clock.advance(0);
    expect(seen.ended).toEqual(new Error('the partition was lost'));
  });
});

test.each([
  ['of the host', new RetryableError('503', { class: 'transient' })],
  ['for good', new PermanentError('404')],
  ['that is none of ours', new TypeError('undefined is not a function')],
])('a failure %s passes at once', async (_, error) => {
  const { clock, seen } = world(() => error);
  await clock.advance(0);
  expect(seen).toEqual({ tries: 1, ended: error });
});
