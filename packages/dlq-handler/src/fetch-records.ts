/**
 * Reads single records by their place: a Kafka client for people, not for pipelines. A group of its own, made for this
 * one reading and never committed to, so that nobody's position moves: the replaced system's command line committed
 * every dead letter away when one replay failed.
 */
import type { Clock } from '@weir/core';
import type { ConsumerListener, Fetched, FetchedBatch, KafkaPort, StartPosition } from '@weir/sdk';
import type { Place } from './letter.ts';

export interface FetchRecordsOptions {
  readonly kafka: KafkaPort;
  /** Name of the group to read with; one nobody else has. */
  readonly group: string;
  readonly clock: Clock;
  /** Longest wait for all of them. */
  readonly timeoutMs: number;
  readonly signal?: AbortSignal;
}

export const placeText = ({ topic, partition, offset }: Place): string => `${topic}/${partition}/${offset}`;

/** By `topic/partition/offset`; what is no longer there (retention, a topic made anew) is missing from the map. */
export async function fetchRecords(
  places: readonly Place[],
  options: FetchRecordsOptions,
): Promise<ReadonlyMap<string, Fetched>> {
  if (places.length === 0) return new Map();
  const reading = new Reading(places);
  const consumer = options.kafka.consumer({
    group: options.group,
    topics: [...new Set(places.map((place) => place.topic))],
    listener: reading,
    revokeWaitMs: 1_000,
  });
  const cancel = options.clock.after(options.timeoutMs, () =>
    reading.fail(new Error(`no answer from Kafka within ${options.timeoutMs} ms (${consumer.status.detail})`)),
  );
  const aborted = () => reading.fail(options.signal?.reason);
  options.signal?.addEventListener('abort', aborted, { once: true });
  if (options.signal?.aborted) aborted();
  try {
    await consumer.start();
    return await reading.done;
  } finally {
    cancel();
    options.signal?.removeEventListener('abort', aborted);
    await consumer.stop();
  }
}

type Assignment = Parameters<ConsumerListener['assigned']>[0];

class Reading implements ConsumerListener {
  readonly done: Promise<ReadonlyMap<string, Fetched>>;
  readonly #found = new Map<string, Fetched>();
  /** By `topic/partition`: offsets still wanted, in rising order. */
  readonly #wanted = new Map<string, number[]>();
  #resolve!: (found: ReadonlyMap<string, Fetched>) => void;
  fail!: (error: unknown) => void;

  constructor(places: readonly Place[]) {
    for (const { topic, partition, offset } of places) {
      const id = `${topic}/${partition}`;
      this.#wanted.set(id, [...(this.#wanted.get(id) ?? []), offset]);
    }
    for (const [id, offsets] of this.#wanted)
      this.#wanted.set(
        id,
        [...new Set(offsets)].sort((a, b) => a - b),
      );
    this.done = new Promise((resolve, reject) => {
      this.#resolve = resolve;
      this.fail = reject;
    });
    // Rejected before anybody waits, when the signal was aborted from the start.
    this.done.catch(() => undefined);
  }

  async assigned(assignment: Assignment): Promise<readonly StartPosition[]> {
    const here = new Set<string>();
    const starts = assignment.partitions.map(({ topic, partition, logStart, logEnd }): StartPosition => {
      const id = `${topic}/${partition}`;
      here.add(id);
      this.#keep(id, (offset) => offset >= logStart && offset < logEnd);
      return { topic, partition, offset: this.#wanted.get(id)?.[0] ?? logEnd };
    });
    // A partition that does not exist is never assigned: nothing of it will come. This member is alone in its group.
    for (const id of [...this.#wanted.keys()]) if (!here.has(id)) this.#wanted.delete(id);
    this.#finishIfComplete();
    return starts;
  }

  records(batch: FetchedBatch): void {
    const id = `${batch.topic}/${batch.partition}`;
    const wanted = new Set(this.#wanted.get(id));
    for (const record of batch.records) {
      if (wanted.has(record.offset)) this.#found.set(placeText(record), record);
    }
    this.#keep(id, (offset) => offset > batch.lastOffset);
    this.#finishIfComplete();
  }

  async unreadable(batch: { topic: string; partition: number; lastOffset: number }): Promise<void> {
    this.#keep(`${batch.topic}/${batch.partition}`, (offset) => offset > batch.lastOffset);
    this.#finishIfComplete();
  }

  async revoking(): Promise<void> {}
  lost(): void {}
  outOfRange(): void {}
  status(): void {}

  #keep(id: string, still: (offset: number) => boolean): void {
    const left = this.#wanted.get(id)?.filter(still) ?? [];
    if (left.length > 0) this.#wanted.set(id, left);
    else this.#wanted.delete(id);
  }

  #finishIfComplete(): void {
    if (this.#wanted.size === 0) this.#resolve(this.#found);
  }
}
