/**
 * The life of a process around what it runs:
 *
 *   starting --started--> running --first stop request--> draining --drained--> over (0)
 *   starting --first stop request--> draining                draining --deadline, or second request--> aborting
 *   aborting --it let go, or the grace is over--> over (3)
 *   starting --start failed--> over (the error is thrown)
 *
 * A stop request is SIGTERM or SIGINT (run.ts), or the caller's AbortSignal.
 */
import { type Clock, describeError, type Logger } from '@weir/core';

/** What a process may end with. Documented in docs/configuration.md. */
export const EXIT = {
  /** Everything in hand was finished and committed. */
  clean: 0,
  /** Something broke that the process cannot go on from; the log says what. */
  crash: 1,
  /** The environment, the topology file or the port cannot be used; the message says what to change. */
  configuration: 2,
  /** Told to stop, but what was in hand did not finish in time: it was aborted and will be redelivered. */
  cutShort: 3,
} as const;

export interface Runnable {
  start(): Promise<void>;
  /** Finishes what is in hand, commits, closes. When the signal aborts it lets go of what is left. Safe before `start`. */
  drain(signal: AbortSignal): Promise<void>;
}

/** Counts how often somebody asked for the end. */
export class StopRequests {
  readonly #first = new AbortController();
  readonly #second = new AbortController();

  /** Drain. */
  get first(): AbortSignal {
    return this.#first.signal;
  }

  /** Do not wait for the drain. */
  get second(): AbortSignal {
    return this.#second.signal;
  }

  /** @param reason  for people, e.g. `SIGTERM` */
  request(reason: string): void {
    const controller = this.#first.signal.aborted ? this.#second : this.#first;
    if (!controller.signal.aborted) controller.abort(new Error(reason));
  }
}

/** After an abort: time to commit what is done and to leave the group. */
const GRACE_MS = 5_000;

/**
 * Runs until asked to stop, then drains.
 * @returns EXIT.clean or EXIT.cutShort
 * @throws what `start` or `drain` threw
 */
export async function untilStopped(options: {
  runnable: Runnable;
  requests: StopRequests;
  drainTimeoutMs: number;
  clock: Clock;
  log: Logger;
}): Promise<number> {
  const { runnable, requests, drainTimeoutMs, clock, log } = options;
  const asked = aborted(requests.first);
  const started = runnable.start();
  await Promise.race([started, asked]);
  // Asked before it had started: what the start still throws is no news.
  if (requests.first.aborted) started.catch((error) => log.debug({ error }, 'the start was given up'));
  await asked;

  const since = clock.monotonic();
  log.info({ reason: reasonOf(requests.first), drainTimeoutMs }, 'draining: finishing what is in hand');
  const cut = new AbortController();
  const cancelDeadline = clock.after(drainTimeoutMs, () =>
    cut.abort(new Error(`the drain took longer than DRAIN_TIMEOUT_MS (${drainTimeoutMs})`)),
  );
  const onSecond = () => cut.abort(new Error(`${reasonOf(requests.second)} a second time`));
  if (requests.second.aborted) onSecond();
  else requests.second.addEventListener('abort', onSecond, { once: true });
  const stopGrace = new AbortController();
  const graceOver = aborted(cut.signal).then(() => {
    log.warn({ reason: reasonOf(cut.signal) }, 'aborting what is still in hand; it will be redelivered');
    return clock.sleep(GRACE_MS, stopGrace.signal).then(
      () => 'over' as const,
      () => 'drained' as const,
    );
  });
  const drained = runnable.drain(cut.signal).then(() => 'drained' as const);
  // Left without, it may still fail later: nobody is there to hear it then.
  drained.catch(() => undefined);
  try {
    const first = await Promise.race([drained, graceOver]);
    const seconds = (clock.monotonic() - since) / 1_000;
    if (first === 'over') log.error({ seconds }, 'what is in hand does not let go: leaving without it');
    else log.info({ seconds, complete: !cut.signal.aborted }, 'drained');
    return cut.signal.aborted ? EXIT.cutShort : EXIT.clean;
  } finally {
    cancelDeadline();
    stopGrace.abort();
    requests.second.removeEventListener('abort', onSecond);
  }
}

function reasonOf(signal: AbortSignal): string {
  return describeError(signal.reason);
}

function aborted(signal: AbortSignal): Promise<void> {
  return new Promise((resolve) => {
    if (signal.aborted) resolve();
    else signal.addEventListener('abort', () => resolve(), { once: true });
  });
}
