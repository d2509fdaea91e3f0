/**
 * What kafkajs delivers as one batch, taken apart in the order of offsets: records that lie in one memory and go on
 * together, and batches that cannot be read. Read step by step, because the report of an unreadable batch takes time in
 * which the partition may move.
 */
import type { KafkaMessage } from 'kafkajs';
import { WholeBatch } from './kafkajs-fetch.ts';
import { unreadableReason } from './kafkajs-unreadable.ts';
import { Fetched, ListedRecords, type Records, type TopicPartition } from './port.ts';
import { DamagedBatchError, mostRecords } from './record-batch.ts';
import { ColumnRecords } from './record-columns.ts';

export interface ReadablePart {
  readonly records: Records;
  readonly lastOffset: number;
  /** The last message that it is made of. */
  readonly last: { readonly offset: string };
}

export interface UnreadablePart {
  readonly records?: undefined;
  readonly firstOffset: number;
  readonly lastOffset: number;
  readonly reason: string;
}

export type Part = ReadablePart | UnreadablePart;

/** Where a partition stands; records before `next` are left out. */
export type Place = TopicPartition & { readonly next: number | undefined };

export function readParts(place: Place, messages: readonly KafkaMessage[]): Iterable<Part> {
  // kafkajs reads a fetch itself, or not at all.
  return (messages[0] as unknown) instanceof WholeBatch
    ? readBatches(place, messages as unknown as readonly WholeBatch[])
    : readMessages(place, messages);
}

function* readBatches(place: Place, batches: readonly WholeBatch[]): Generator<Part> {
  const { topic, partition } = place;
  for (let index = 0; index < batches.length; ) {
    const { bytes } = batches[index]!.batch;
    const begin = index;
    let end = begin;
    let most = 0;
    for (; end < batches.length; end++) {
      const { batch, unreadable } = batches[end]!;
      if (batch.bytes !== bytes || unreadable !== undefined) break;
      most += mostRecords(batch);
    }
    const records = new ColumnRecords({ topic, partition, bytes, most });
    const from = place.next ?? 0;
    while (index < end && isAdded(records, batches[index]!, from)) index++;
    const last = batches[index - 1];
    if (index > begin && last !== undefined) yield { records, lastOffset: last.batch.lastOffset, last };
    const stopped = batches[index];
    if (stopped === undefined || (index === end && stopped.unreadable === undefined)) continue;
    const { firstOffset, lastOffset } = stopped.batch;
    yield { firstOffset, lastOffset, reason: stopped.unreadable ?? 'its records are damaged' };
    index++;
  }
}

function isAdded(records: ColumnRecords, { batch }: WholeBatch, from: number): boolean {
  try {
    records.add(batch, from);
    return true;
  } catch (error) {
    if (error instanceof DamagedBatchError) return false;
    throw error;
  }
}

function* readMessages(place: Place, messages: readonly KafkaMessage[]): Generator<Part> {
  const { topic, partition } = place;
  let readable: Fetched[] = [];
  let last: KafkaMessage | undefined;
  for (const message of messages) {
    const reason = unreadableReason(message.value);
    if (reason === undefined) {
      const { offset, timestamp, key, value, headers } = message;
      readable.push(new Fetched(topic, partition, Number(offset), Number(timestamp), key, value, headers));
      last = message;
      continue;
    }
    if (last !== undefined) {
      yield { records: new ListedRecords(readable), lastOffset: Number(last.offset), last };
      readable = [];
      last = undefined;
    }
    const { firstOffset, lastOffsetDelta } = contextOf(message);
    yield { firstOffset: Number(firstOffset), lastOffset: Number(firstOffset) + lastOffsetDelta, reason };
  }
  if (last !== undefined) yield { records: new ListedRecords(readable), lastOffset: Number(last.offset), last };
}

/** kafkajs gives every record the head of its batch, which its typings leave out. */
function contextOf(message: KafkaMessage): { firstOffset: string; lastOffsetDelta: number } {
  return (message as unknown as { batchContext: { firstOffset: string; lastOffsetDelta: number } }).batchContext;
}
