/**
 * The published case of confluent's parallel-consumer: records that each cost 0 to 5 ms of waiting. How long a record
 * waits is written in its value (microseconds, four bytes), drawn once with a seed, so that every contestant waits
 * exactly as long for the same record, and the least time that is possible at all can be told.
 *
 *   by key      the longest lane: the waits of one key, one after the other
 *   unordered   all waits, shared among the calls in flight
 */
import { seededRandom } from '@weir/core';
import { Kafka, logLevel } from 'kafkajs';

export interface WaitingLoad {
  readonly records: number;
  readonly keys: number;
  readonly mostMs: number;
  readonly seed: number;
}

export interface Waits {
  /** Microseconds of each record, in offset order. */
  readonly micros: readonly number[];
  readonly floorByKeySeconds: number;
  floorUnorderedSeconds(concurrency: number): number;
}

export const keyOf = (offset: number, keys: number): string => `key-${offset % keys}`;

export function drawWaits({ records, keys, mostMs, seed }: WaitingLoad): Waits {
  const random = seededRandom(seed);
  const micros = Array.from({ length: records }, () => random.below(mostMs * 1000 + 1));
  const lanes = new Array<number>(keys).fill(0);
  for (const [offset, each] of micros.entries()) lanes[offset % keys]! += each;
  const all = lanes.reduce((sum, each) => sum + each, 0);
  return {
    micros,
    floorByKeySeconds: Math.max(...lanes) / 1e6,
    floorUnorderedSeconds: (concurrency) => all / concurrency / 1e6,
  };
}

export function waitValue(micros: number): Buffer {
  const value = Buffer.alloc(4);
  value.writeUInt32BE(micros);
  return value;
}

/** One partition; offsets are the indexes of `waits.micros`. */
export async function fillWaits(options: {
  brokers: readonly string[];
  topic: string;
  load: WaitingLoad;
  waits: Waits;
}): Promise<void> {
  const { topic, load, waits } = options;
  const kafka = new Kafka({ clientId: 'bench', brokers: [...options.brokers], logLevel: logLevel.NOTHING });
  const admin = kafka.admin();
  await admin.connect();
  await admin.createTopics({ topics: [{ topic, numPartitions: 1 }], waitForLeaders: true });
  await admin.disconnect();
  const producer = kafka.producer({ allowAutoTopicCreation: false });
  await producer.connect();
  const batch = 500;
  for (let begin = 0; begin < load.records; begin += batch) {
    const messages = waits.micros
      .slice(begin, begin + batch)
      .map((each, index) => ({ key: keyOf(begin + index, load.keys), value: waitValue(each), partition: 0 }));
    await producer.send({ topic, messages, acks: 1 });
  }
  await producer.disconnect();
}
