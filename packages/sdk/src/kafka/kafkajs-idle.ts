/**
 * Stops kafkajs's idle timers. After its first answer every connection of kafkajs 2.2.4 re-arms a 1 ms timer for ever to
 * look for throttled requests, also when none waits (its issue 1751): about 1,000 timers a second for each connection,
 * 6 % of a core for an idle worker, and a TimeoutNegativeWarning from Node 24. The method that arms it needs one
 * condition more, which is added here: there must be a request that waits.
 *
 * Here and in kafkajs-retry.ts kafkajs itself is touched, nowhere else. If its insides look different (another version, a fork),
 * nothing is changed, and the only loss is that CPU time; the warning is dropped in any case.
 */
import { createRequire } from 'node:module';

interface RequestQueue {
  readonly pending: readonly unknown[];
  scheduleCheckPendingRequests(): void;
}

/** A frame of the package itself; this file's own name must not do. */
const IN_KAFKAJS = /[\\/]kafkajs[\\/]src[\\/]/;

let done = false;

export function stopIdleTimers(): void {
  if (done) return;
  done = true;
  dropTimerWarning();
  const prototype = requestQueue();
  const arm = prototype?.scheduleCheckPendingRequests;
  if (!prototype || typeof arm !== 'function') return;
  prototype.scheduleCheckPendingRequests = function (this: RequestQueue) {
    if (this.pending.length > 0) arm.call(this);
  };
}

function requestQueue(): RequestQueue | undefined {
  try {
    const found: unknown = createRequire(import.meta.url)('kafkajs/src/network/requestQueue');
    return typeof found === 'function' ? (found.prototype as RequestQueue) : undefined;
  } catch {
    return undefined;
  }
}

/** The warning tells users nothing that they could act on, so this one, and no other, is dropped. */
function dropTimerWarning(): void {
  const emit = process.emitWarning.bind(process) as (...args: unknown[]) => void;
  process.emitWarning = ((...args: unknown[]) => {
    const text = args[0] instanceof Error ? args[0].message : String(args[0]);
    if (text.includes('is a negative number') && IN_KAFKAJS.test(new Error().stack ?? '')) return;
    emit(...args);
  }) as typeof process.emitWarning;
}
