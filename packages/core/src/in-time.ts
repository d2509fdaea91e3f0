/** Work that is waited for no longer than it may take. */
import type { Clock } from './clock.ts';

export class NoAnswerError extends Error {}

/** @throws NoAnswerError with this message when it takes longer; what becomes of the work then is nobody's concern */
export async function inTime<T>(clock: Clock, ms: number, work: Promise<T>, message: string): Promise<T> {
  const done = new AbortController();
  const limit = clock.sleep(ms, done.signal).then(() => {
    throw new NoAnswerError(message);
  });
  try {
    return await Promise.race([work, limit]);
  } finally {
    limit.catch(() => undefined);
    done.abort();
  }
}

/** Waits for `work`, at most `ms`. Never rejects. */
export async function within(clock: Clock, ms: number, work: Promise<unknown>): Promise<void> {
  await inTime(clock, ms, work, 'late').catch(() => undefined);
}
