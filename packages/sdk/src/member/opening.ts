/**
 * Opens what the handler works with, however long that takes. A store or a database that is away when a process starts is
 * for others to mend, as a broker is: ending would only have the process started again, to the same end, and by the time
 * the store is back a platform that backs off from crashes would wait for minutes.
 *
 *   opening --opened--> open
 *   opening --failed in a way that passes--> waiting (500 ms to 10 s) --> opening
 *   opening --failed for good (denied, no such bucket, a bug)--> over: the error ends the start
 *   waiting --told to stop--> over, at once
 *
 * Metrics that a failed try has registered are taken back: the next one would find their names taken.
 */
import type { Clock, Logger } from '@weir/core';
import type { Registry } from 'prom-client';
import { errorLine, isTransient } from '../delivery/classify.ts';

const FIRST_PAUSE_MS = 500;
const LONGEST_PAUSE_MS = 10_000;

/**
 * @param options.signal  aborted when the worker is told to stop
 * @param options.waits   told what it waits for, undefined when that is over
 * @throws what `open` threw, unless it passes by itself; the signal's reason
 */
export async function openPatiently(options: {
  readonly open: () => unknown;
  readonly registry: Pick<Registry, 'getMetricsAsArray' | 'removeSingleMetric'>;
  readonly clock: Clock;
  readonly log: Logger;
  readonly signal: AbortSignal;
  readonly waits: (what: string | undefined) => void;
}): Promise<unknown> {
  const { open, registry, clock, log, signal, waits } = options;
  const known = new Set(registry.getMetricsAsArray().map(({ name }) => name));
  let said: string | undefined;
  for (let pauseMs = FIRST_PAUSE_MS; ; pauseMs = Math.min(pauseMs * 1.5, LONGEST_PAUSE_MS)) {
    try {
      const opened = await open();
      waits(undefined);
      return opened;
    } catch (error) {
      if (signal.aborted || !isTransient(error)) throw error;
      for (const { name } of registry.getMetricsAsArray()) if (!known.has(name)) registry.removeSingleMetric(name);
      const what = errorLine(error);
      waits(what);
      if (what !== said) log.warn({ error }, `not started yet: ${what}`);
      said = what;
    }
    await clock.sleep(pauseMs, signal);
  }
}
