/**
 * Sends the planned records at their times and waits until every one is acknowledged by all in-sync replicas: what the
 * ledger lists is then in Kafka, whatever happens to the workers.
 */
import type { Clock } from '@weir/core';
import type { Producer } from '@weir/sdk';
import type { PlannedRecord } from './plan.ts';
import { dueMs } from './schedule.ts';

export interface Publication {
  /** Acknowledged. */
  sent: number;
}

/**
 * @param ratePerSecond  mean; 0 means as fast as they are taken
 * @param progress       counted up as acknowledgements arrive
 * @throws the first error of the producer; the signal's reason when aborted
 */
export async function publish(options: {
  producer: Producer;
  topic: string;
  records: readonly PlannedRecord[];
  ratePerSecond: number;
  clock: Clock;
  signal: AbortSignal;
  progress: Publication;
}): Promise<void> {
  const { producer, topic, records, ratePerSecond, clock, signal, progress } = options;
  const startedAt = clock.monotonic();
  let failure: Error | undefined;
  for (const [index, record] of records.entries()) {
    if (failure) break;
    const wait = dueMs(index, records.length, ratePerSecond) - (clock.monotonic() - startedAt);
    if (wait > 2) await clock.sleep(wait, signal);
    signal.throwIfAborted();
    const room = producer.send(
      { topic, key: record.key, value: record.value, headers: { 'weir-producer': 'weir-source' } },
      (error) => {
        if (error) failure ??= error;
        else progress.sent++;
      },
      signal,
    );
    if (room) await room;
  }
  await producer.flush();
  if (failure) throw failure;
}
