/** Waits for what is going to be so: the only kind of waiting that a test of real parts should need. */
import { setTimeout as sleep } from 'node:timers/promises';

/**
 * @param what  what is waited for; a function is asked when it was in vain
 * @throws Error when it is not so within the time
 */
export async function until(
  what: string | (() => string),
  holds: () => boolean | Promise<boolean>,
  withinMs = 30_000,
  everyMs = 10,
): Promise<void> {
  const giveUpAt = performance.now() + withinMs;
  while (!(await holds())) {
    if (performance.now() > giveUpAt)
      throw new Error(`not within ${withinMs} ms: ${typeof what === 'string' ? what : what()}`);
    await sleep(everyMs);
  }
}
