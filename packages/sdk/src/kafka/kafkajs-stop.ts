/**
 * Ends the fetching of a kafkajs consumer that is being stopped. kafkajs 2.2.4 makes its fetchers anew when the set of
 * brokers changes, and it does not look whether it has been stopped meanwhile. The new ones are told by nobody to end; each
 * fetch of a stopped consumer returns at once, with nothing, so they go round and round without ever letting the event loop
 * have its turn: timers, sockets and signals of the whole process stand still. A broker that goes away while a session is
 * lost, or during a drain, is enough.
 *
 * Fetchers ask the cluster for its brokers before they are made and before each fetch: from here on it gives none, loudly.
 */
import type { Cluster } from 'kafkajs';

/** Call it when the consumer's `disconnect` has begun: what is under way then has been told to end. */
export function endFetching(cluster: Cluster | undefined): void {
  const inner = cluster as { getNodeIds?: () => unknown } | undefined;
  if (typeof inner?.getNodeIds !== 'function') return;
  inner.getNodeIds = () => {
    throw new Error('the consumer is stopped');
  };
}
