/** Every record of some topics, from the log's start to its present end. */
import type { Kafka } from 'kafkajs';
import { ID_HEADER } from './workers/work.ts';

export interface ReadRecord {
  readonly topic: string;
  readonly partition: number;
  readonly offset: number;
  readonly id: string;
  /** Why it is where it is: of a retry or a dead letter. */
  readonly error: string;
}

export async function readLogs(client: Kafka, topics: readonly string[]): Promise<ReadRecord[]> {
  const admin = client.admin();
  await admin.connect();
  const left = new Map<string, number>();
  for (const topic of topics)
    for (const { partition, low, high } of await admin.fetchTopicOffsets(topic))
      if (Number(high) > Number(low)) left.set(`${topic}/${partition}`, Number(high));
  await admin.disconnect();
  const read: ReadRecord[] = [];
  if (left.size === 0) return read;
  const consumer = client.consumer({ groupId: `chaos-reader-${process.hrtime.bigint()}`, maxWaitTimeInMs: 100 });
  await consumer.connect();
  await consumer.subscribe({ topics: [...topics], fromBeginning: true });
  const all = Promise.withResolvers<void>();
  await consumer.run({
    autoCommit: false,
    eachBatch: async ({ batch }) => {
      const place = `${batch.topic}/${batch.partition}`;
      for (const { offset, headers } of batch.messages)
        read.push({
          topic: batch.topic,
          partition: batch.partition,
          offset: Number(offset),
          id: String(headers?.[ID_HEADER] ?? ''),
          error: String(headers?.['weir-error'] ?? ''),
        });
      if (Number(batch.lastOffset()) + 1 >= (left.get(place) ?? 0)) left.delete(place);
      if (left.size === 0) all.resolve();
    },
  });
  await all.promise;
  await consumer.disconnect();
  return read;
}
