/**
 * How kafkajs is to repeat what fails.
 *
 * That includes an idempotent producer that asks for its id. kafkajs 2.2.4 repeats a refused InitProducerId (a coordinator
 * that is loading, after a broker's restart) with `cluster.retry`, a property that its Cluster never sets: so with
 * defaults that no setting reaches, 5 repeats over 9 to 19 seconds, in which `connect()` says nothing. The property is
 * given a value here; after a quarter of a second the producer of the port then knows, says so, and tries again itself.
 *
 * Nothing else in kafkajs reads it: a producer's own settings take precedence. Without it, the producer's limit for
 * connecting remains.
 */
import type { OwnCluster } from './kafkajs-clusters.ts';

/** Short first waits halve the longest join of a group in motion (289 ms against 599 ms). */
export const RETRY = { initialRetryTime: 50, multiplier: 1.3, factor: 0.2, maxRetryTime: 2_000 } as const;
export const PRODUCER_RETRIES = 3;

export function boundProducerIdRetries(cluster: OwnCluster): void {
  cluster.retry ??= { ...RETRY, retries: PRODUCER_RETRIES };
}
