/**
 * Stops kafkajs's idle timers. After its first answer every connection of kafkajs 2.2.4 re-arms a 1 ms timer for ever to
 * look for throttled requests, also when none waits (its issue 1751): about 1,000 timers a second for each connection,
 * 6 % of a core for an idle worker, and a TimeoutNegativeWarning from Node 24. The method that arms it needs one
 * condition more, which is added here: there must be a request that waits.
 *
 * If a connection looks different (another version, a fork), nothing is changed, and the only loss is that CPU time.
 */
import type { OwnConnection } from './kafkajs-clusters.ts';

interface RequestQueue {
  readonly pending: readonly unknown[];
  scheduleCheckPendingRequests(): void;
}

export function stopIdleTimer({ requestQueue }: OwnConnection): void {
  const queue = requestQueue as RequestQueue | undefined;
  const arm = queue?.scheduleCheckPendingRequests;
  if (!queue || typeof arm !== 'function') return;
  queue.scheduleCheckPendingRequests = () => {
    if (queue.pending.length > 0) arm.call(queue);
  };
}
