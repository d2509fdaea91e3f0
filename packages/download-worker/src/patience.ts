/**
 * What a failing store is to a task: not its fault. Under load ten tasks fail together, which opens the store's breaker,
 * and the SDK lets them all wait. Where few tasks come there are never ten calls in the breaker's window, and each task
 * would burn an attempt on the outage, five of them its life. So a task is tried again in place, file and all (its bytes
 * may have flowed away): that gets over a blip, or is what opens the breaker.
 *
 * A store that fails slowly, by timeouts, opens no breaker this way. After a while of that the attempt counts.
 */
import type { Clock } from '@weir/core';
import { RetryableError } from '@weir/sdk';

/** Ten failures within ten seconds are what opens a breaker; a client's own tries take some tenths of each. */
const PAUSE_MS = 250;
/** From the first failure on. */
const PATIENCE_MS = 30_000;

/**
 * Does the work until it succeeds or fails for another reason than the store (an open breaker is one).
 * @param options.signal  the handler's: ends the trying at its timeout, at a drain, and when the partition is lost
 * @throws what the work threw last
 */
export async function outlastStore<T>(
  work: () => Promise<T>,
  { clock, signal }: { readonly clock: Clock; readonly signal: AbortSignal },
): Promise<T> {
  let failingSince: number | undefined;
  for (;;) {
    try {
      return await work();
    } catch (error) {
      if (signal.aborted || !(error instanceof RetryableError && error.class === 'dependency')) throw error;
      failingSince ??= clock.monotonic();
      if (clock.monotonic() - failingSince >= PATIENCE_MS) throw error;
      await clock.sleep(PAUSE_MS, signal);
    }
  }
}
