/**
 * A fetch right after a join finds every partition paused, because where to begin is being read; kafkajs then sleeps for
 * the longest time that a fetch may wait, which made up most of the time that a rebalance cost. So the fetch waits for us
 * instead: the first thing it does is to ask its cluster, which is one membership's own, for fresh metadata.
 */
import type { Cluster } from 'kafkajs';

/** @param ready  what fetches are to wait for now; undefined when nothing. Never rejects */
export function fetchAfter(cluster: Cluster, ready: () => Promise<void> | undefined): void {
  const refresh = cluster.refreshMetadataIfNecessary.bind(cluster);
  cluster.refreshMetadataIfNecessary = async () => {
    await ready();
    await refresh();
  };
}
