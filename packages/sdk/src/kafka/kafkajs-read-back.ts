/**
 * What the broker has of partitions that were just assigned: where they are committed to and what stands beside it, where
 * their logs begin and end. Asked until it is answered, or until another join has begun.
 */
import type { Clock, Logger } from '@weir/core';
import { keyOf } from './kafkajs-intake.ts';
import type { Observer } from './kafkajs-observer.ts';
import type { AssignedPartition, TopicPartition } from './port.ts';

export interface ReadBackOptions {
  readonly observer: Observer;
  readonly group: string;
  readonly clock: Clock;
  readonly log: Logger;
  /** False when nobody wants the answer any more. */
  readonly isCurrent: () => boolean;
  readonly closing: AbortSignal;
  /** Told what is committed. @returns whether it is what this member wrote itself */
  readonly found: (key: string, offset: number, metadata: string) => boolean;
}

const FIRST_WAIT_MS = 100;
const LONGEST_WAIT_MS = 2_000;

/** @returns undefined when it is not current any more */
export async function readBack(
  only: readonly TopicPartition[],
  { observer, group, clock, log, isCurrent, closing, found }: ReadBackOptions,
): Promise<AssignedPartition[] | undefined> {
  const topics = [...new Set(only.map(({ topic }) => topic))];
  for (let waitMs = FIRST_WAIT_MS; isCurrent(); waitMs = Math.min(waitMs * 2, LONGEST_WAIT_MS)) {
    try {
      // Committed first: the ends, read later, then cannot lie below it.
      const committed = await observer.committed(group, topics, only);
      if (!isCurrent()) return undefined;
      const offsets = await observer.offsets(topics, only);
      const committedOf = new Map(committed.map((row) => [keyOf(row.topic, row.partition), row]));
      const offsetsOf = new Map(offsets.map((row) => [keyOf(row.topic, row.partition), row]));
      return only.map(({ topic, partition }) => {
        const key = keyOf(topic, partition);
        const { offset, metadata } = committedOf.get(key) ?? { offset: -1, metadata: '' };
        const ends = offsetsOf.get(key);
        if (!ends) throw new Error(`the broker does not know ${key}`);
        const retained = found(key, offset, metadata);
        return { topic, partition, committed: offset, metadata, retained, logStart: ends.start, logEnd: ends.end };
      });
    } catch (error) {
      if (!isCurrent()) return undefined;
      log.warn({ error, group }, 'cannot read the committed offsets back; trying again');
      await clock.sleep(waitMs, closing).catch(() => undefined);
    }
  }
  return undefined;
}
