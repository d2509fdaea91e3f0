/**
 * Lets an idempotent producer ask for its id at our pace. kafkajs 2.2.4 repeats a refused InitProducerId (a coordinator
 * that is loading, after a broker's restart) with `cluster.retry`, a property that its Cluster never sets: so with
 * defaults that no setting reaches, 5 repeats over 9 to 19 seconds, in which `connect()` says nothing. The property is
 * given a value here; after a quarter of a second the producer of the port then knows, says so, and tries again itself.
 *
 * Nothing else in kafkajs reads it: a producer's own settings take precedence. If its insides look different (another
 * version, a fork), nothing is changed; the producer's limit for connecting remains.
 */
import { createRequire } from 'node:module';
import { RETRY } from './kafkajs-client.ts';

export const PRODUCER_RETRIES = 3;

let done = false;

export function boundProducerIdRetries(): void {
  if (done) return;
  done = true;
  const prototype = clusterPrototype();
  if (!prototype || 'retry' in prototype) return;
  // Writable: a version that sets it by itself must still be able to.
  Object.defineProperty(prototype, 'retry', {
    value: { ...RETRY, retries: PRODUCER_RETRIES },
    writable: true,
    configurable: true,
  });
}

function clusterPrototype(): object | undefined {
  try {
    const found: unknown = createRequire(import.meta.url)('kafkajs/src/cluster');
    return typeof found === 'function' ? (found.prototype as object) : undefined;
  } catch {
    return undefined;
  }
}
