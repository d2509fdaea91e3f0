/**
 * The producer of the port: records wait in a queue per topic, leave in shared batches a few ms later, and stay ours
 * until their fate is known.
 *
 * A record is given to kafkajs in a fixed *parcel*: records of one partition, in order. Idempotence lives on that: after
 * a failure kafkajs takes its sequence numbers back, so sending the same parcel again is recognised by the broker as a
 * repeat if the first one did arrive, while a different grouping would not be. One parcel of a partition is under way at
 * a time; the parcels of a topic and a leader travel together (not those of several leaders: kafkajs would forget which
 * of them had answered); topics do not wait for each other.
 *
 *   queued -> under way -> acknowledged
 *                       -> failed for good: too large, invalid (alone: a parcel is split until the bad record is found)
 *                       -> under way again, for ever: everything else (no broker, no leader, no permission yet)
 */
import { describeError, inTime, type Logger, within } from '@weir/core';
import type {
  Producer as KafkaProducer,
  ProducerRecord as KafkaRecord,
  PartitionMetadata,
  RecordMetadata,
} from 'kafkajs';
import { ProduceFailedError } from '../errors.ts';
import type { PortContext } from './kafkajs.ts';
import { describeAccess } from './kafkajs-access.ts';
import { type Client, createClient, errorType } from './kafkajs-client.ts';
import { PRODUCER_RETRIES } from './kafkajs-retry.ts';
import { partitionOf } from './partitioner.ts';
import type { Acknowledge, Producer, ProducerRecord } from './port.ts';

/**
 * What a batch waits for company, also while the topic is busy: a request of two records costs as much as a full one. A
 * busy topic waits as long as its last request took, within bounds: the slower the broker, the fuller the requests.
 */
const LINGER_MS = 5;
const LONGEST_LINGER_MS = 20;
/** With so many waiting a request is worth its price at once. */
const LINGER_BELOW_RECORDS = 100;
/** Of one batch. All of it may go to one partition, where brokers take 1 MiB by default. */
const MAX_BATCH_RECORDS = 1_000;
const MAX_BATCH_BYTES = 768 * 1024;
/** Bounds of what is accepted and not yet settled. */
const MAX_QUEUED_RECORDS = 20_000;
const MAX_QUEUED_BYTES = 32 * 1024 * 1024;
const RECORD_OVERHEAD_BYTES = 64;
const FIRST_WAIT_MS = 100;
/** Short: whoever drains waits for it, and a broker that has come back should not be kept waiting. */
const LONGEST_WAIT_MS = 1_000;
const CONNECT_TIMEOUT_MS = 10_000;
const CLOSE_TIMEOUT_MS = 2_000;
const REPEAT_LOG_MS = 30_000;

const TOO_LARGE = new Set(['MESSAGE_TOO_LARGE', 'RECORD_LIST_TOO_LARGE']);
const INVALID = new Set([
  'INVALID_RECORD',
  'INVALID_TIMESTAMP',
  'INVALID_TOPIC_EXCEPTION',
  'UNSUPPORTED_FOR_MESSAGE_FORMAT',
  'UNSUPPORTED_COMPRESSION_TYPE',
  'INVALID_REQUEST',
]);
/** The broker has lost, or disagrees about, this producer's sequence: only a new producer id helps. */
const SEQUENCE_LOST = new Set([
  'OUT_OF_ORDER_SEQUENCE_NUMBER',
  'UNKNOWN_PRODUCER_ID',
  'INVALID_PRODUCER_EPOCH',
  'INVALID_PRODUCER_ID_MAPPING',
]);

/** One record, shaped so that kafkajs can take it as a message as it is. */
class Queued {
  readonly key: Buffer | string | null;
  readonly value: Buffer | null;
  readonly headers: Record<string, string | Buffer>;
  readonly timestamp: number;
  partition: number | undefined;
  /** Chosen by the sender: no other will do. */
  readonly fixed: boolean;
  readonly acknowledge: Acknowledge;
  readonly bytes: number;
  constructor(record: ProducerRecord, timestamp: number, bytes: number, acknowledge: Acknowledge) {
    this.key = record.key;
    this.value = record.value;
    this.headers = (record.headers ?? {}) as Record<string, string | Buffer>;
    this.timestamp = timestamp;
    this.partition = record.partition;
    this.fixed = record.partition !== undefined;
    this.acknowledge = acknowledge;
    this.bytes = bytes;
  }
}

interface TopicQueue {
  readonly topic: string;
  waiting: Queued[];
  accepted: number;
  settled: number;
  busy: boolean;
}

interface Waiter {
  readonly record: Queued;
  readonly topic: string;
  readonly admit: () => void;
}

export class KafkajsProducer implements Producer {
  readonly #context: PortContext;
  readonly #log: Logger;
  readonly #queues = new Map<string, TopicQueue>();
  readonly #waiters = new Set<Waiter>();
  readonly #flushes = new Set<{ readonly left: Map<TopicQueue, number>; readonly resolve: () => void }>();
  readonly #closing = new AbortController();
  /** By topic, as kafkajs knew them at the last send. */
  readonly #metadata = new Map<string, PartitionMetadata[]>();
  readonly #turns = new Map<string, number>();
  #records = 0;
  #bytes = 0;
  #stopping = false;
  #made: { client: Client; producer: KafkaProducer; connecting: Promise<void> } | undefined;
  #loggedMs = Number.NEGATIVE_INFINITY;

  constructor(context: PortContext) {
    this.#context = context;
    this.#log = context.log;
  }

  /** Begins to connect, and waits for nothing: records are queued meanwhile. */
  async start(): Promise<void> {
    this.#connected().catch((error: unknown) => {
      this.#complain(describeAccess(this.#context.settings, error).message);
    });
  }

  async stop(signal?: AbortSignal): Promise<void> {
    this.#stopping = true;
    if (!this.#closing.signal.aborted) {
      const cut = Promise.withResolvers<void>();
      const aborted = () => cut.resolve();
      if (signal?.aborted) cut.resolve();
      signal?.addEventListener('abort', aborted, { once: true });
      await Promise.race([this.flush(), cut.promise]);
      signal?.removeEventListener('abort', aborted);
      this.#closing.abort(new Error('the producer is stopped'));
    }
    for (const queue of this.#queues.values()) {
      const left = queue.waiting;
      queue.waiting = [];
      for (const record of left) this.#settle(queue, record, stopped(queue.topic));
    }
    const made = this.#made;
    this.#made = undefined;
    if (made) {
      await within(this.#context.clock, CLOSE_TIMEOUT_MS, made.producer.disconnect());
      made.client.sockets.destroy('the producer is stopped');
    }
  }

  send(record: ProducerRecord, acknowledge: Acknowledge, signal?: AbortSignal): Promise<void> | undefined {
    if (this.#stopping) {
      acknowledge(stopped(record.topic));
      return undefined;
    }
    const wrong = whatIsWrong(record);
    if (wrong !== undefined) {
      acknowledge(new ProduceFailedError(record.topic, wrong));
      return undefined;
    }
    const queued = new Queued(record, record.timestamp ?? this.#context.clock.now(), sizeOf(record), acknowledge);
    if (this.#waiters.size === 0 && this.#hasRoom()) {
      this.#admit(record.topic, queued);
      return undefined;
    }
    if (signal?.aborted) return Promise.reject(signal.reason);
    return new Promise((resolve, reject) => {
      const aborted = () => {
        this.#waiters.delete(waiter);
        reject(signal?.reason);
      };
      const waiter: Waiter = {
        record: queued,
        topic: record.topic,
        admit: () => {
          signal?.removeEventListener('abort', aborted);
          resolve();
        },
      };
      signal?.addEventListener('abort', aborted, { once: true });
      this.#waiters.add(waiter);
    });
  }

  flush(): Promise<void> {
    const left = new Map<TopicQueue, number>();
    for (const queue of this.#queues.values()) if (queue.settled < queue.accepted) left.set(queue, queue.accepted);
    if (left.size === 0) return Promise.resolve();
    return new Promise((resolve) => this.#flushes.add({ left, resolve }));
  }

  #hasRoom(): boolean {
    return this.#records < MAX_QUEUED_RECORDS && this.#bytes < MAX_QUEUED_BYTES;
  }

  #admit(topic: string, record: Queued): void {
    let queue = this.#queues.get(topic);
    if (!queue) {
      queue = { topic, waiting: [], accepted: 0, settled: 0, busy: false };
      this.#queues.set(topic, queue);
    }
    this.#records++;
    this.#bytes += record.bytes;
    queue.accepted++;
    queue.waiting.push(record);
    if (!queue.busy) {
      queue.busy = true;
      const awake = queue;
      this.#context.clock.after(LINGER_MS, () => void this.#work(awake));
    }
  }

  /** Sends until the topic's queue is empty. */
  async #work(queue: TopicQueue): Promise<void> {
    while (queue.waiting.length > 0 && !this.#closing.signal.aborted) {
      const metadata = this.#metadata.get(queue.topic);
      // The first record goes alone: with it kafkajs tells the partitions and their leaders.
      const batch = metadata ? takeBatch(queue) : queue.waiting.splice(0, 1);
      if (!metadata) {
        await this.#sendParcel(queue, batch);
        continue;
      }
      const leaderOf = new Map(metadata.map(({ partitionId, leader }) => [partitionId, leader]));
      const since = this.#context.clock.monotonic();
      const byLeader = Map.groupBy(batch, (record) => leaderOf.get(this.#choose(queue.topic, metadata, record)));
      await Promise.all([...byLeader.values()].map((records) => this.#sendTogether(queue, records)));
      if (queue.waiting.length > 0 && queue.waiting.length < LINGER_BELOW_RECORDS) {
        const tookMs = this.#context.clock.monotonic() - since;
        const lingerMs = Math.min(Math.max(LINGER_MS, tookMs), LONGEST_LINGER_MS);
        await this.#context.clock.sleep(lingerMs, this.#closing.signal).catch(() => undefined);
      }
    }
    queue.busy = false;
  }

  async #sendTogether(queue: TopicQueue, records: Queued[]): Promise<void> {
    let left = records;
    try {
      left = await this.#sendOnce(queue, records);
    } catch (error) {
      this.#failed(queue.topic, error);
    }
    if (left.length === 0) return;
    // Together it failed, for one reason or several: partition by partition from here, each in its own order.
    const parcels = Map.groupBy(left, ({ partition }) => partition);
    await Promise.all([...parcels.values()].map((parcel) => this.#sendParcel(queue, parcel)));
  }

  /** The same records, again and again, until the broker has them or has refused them for good. */
  async #sendParcel(queue: TopicQueue, records: Queued[]): Promise<void> {
    const { clock, random } = this.#context;
    let parcel = records;
    for (let waitMs = FIRST_WAIT_MS; ; waitMs = Math.min(waitMs * 2, LONGEST_WAIT_MS)) {
      if (this.#closing.signal.aborted) return this.#settleAll(queue, parcel, stopped(queue.topic));
      let error: unknown;
      try {
        parcel = await this.#sendOnce(queue, parcel);
        if (parcel.length === 0) return;
        error = new NoSuchPartitionError(queue.topic, parcel[0]?.partition);
      } catch (thrown) {
        error = thrown;
      }
      const type = errorType(error);
      // The broker has had it, longer ago than it remembers the offset.
      if (type === 'DUPLICATE_SEQUENCE_NUMBER') return this.#settleAll(queue, parcel, null);
      if (error instanceof NoSuchPartitionError && parcel.every(({ fixed }) => !fixed)) {
        // The topic was made anew, smaller. Nothing was sent: choose again, among what is there now.
        this.#metadata.delete(queue.topic);
        for (const record of parcel) record.partition = undefined;
      } else if (isForGood(error, type)) {
        if (parcel.length === 1) {
          const tooLarge = type !== undefined && TOO_LARGE.has(type);
          const failure = new ProduceFailedError(queue.topic, describeError(error), { tooLarge, cause: error });
          return this.#settleAll(queue, parcel, failure);
        }
        const half = parcel.length >> 1;
        await this.#sendParcel(queue, parcel.slice(0, half));
        await this.#sendParcel(queue, parcel.slice(half));
        return;
      }
      this.#failed(queue.topic, error);
      await clock.sleep(waitMs * (0.5 + random.next()), this.#closing.signal).catch(() => undefined);
    }
  }

  /** @returns what was not sent: kafkajs leaves records of a partition that it does not know out, and says nothing */
  async #sendOnce(queue: TopicQueue, records: Queued[]): Promise<Queued[]> {
    const { topic } = queue;
    const producer = await this.#connected();
    const answer = await producer.send({ topic, acks: -1, messages: records as unknown as KafkaRecord['messages'] });
    const answered = new Set(answer.map(({ partition }: RecordMetadata) => partition));
    const isAnswered = ({ partition }: Queued) => partition !== undefined && answered.has(partition);
    if (records.every(isAnswered)) {
      this.#settleAll(queue, records, null);
      return [];
    }
    this.#settleAll(queue, records.filter(isAnswered), null);
    return records.filter((record) => !isAnswered(record));
  }

  #settleAll(queue: TopicQueue, records: readonly Queued[], error: Error | null): void {
    for (const record of records) this.#settle(queue, record, error);
  }

  #failed(topic: string, error: unknown): void {
    const type = errorType(error);
    if (type !== undefined && SEQUENCE_LOST.has(type)) this.#renew();
    if (this.#closing.signal.aborted || (type !== undefined && isForGood(error, type))) return;
    this.#complain(`records for "${topic}" cannot be sent yet: ${describeError(error)}; they are kept and tried again`);
  }

  /** A new producer id. What was under way may be written twice. */
  #renew(): void {
    const made = this.#made;
    this.#made = undefined;
    void made?.producer.disconnect().catch(() => undefined);
  }

  #settle(queue: TopicQueue, record: Queued, error: Error | null): void {
    this.#records--;
    this.#bytes -= record.bytes;
    queue.settled++;
    for (const flush of this.#flushes) {
      const until = flush.left.get(queue);
      if (until === undefined || queue.settled < until) continue;
      flush.left.delete(queue);
      if (flush.left.size > 0) continue;
      this.#flushes.delete(flush);
      flush.resolve();
    }
    try {
      record.acknowledge(error);
    } catch (thrown) {
      this.#log.error({ error: thrown, topic: queue.topic }, 'an acknowledge callback threw');
    }
    for (const waiter of this.#waiters) {
      if (!this.#hasRoom()) break;
      this.#waiters.delete(waiter);
      this.#admit(waiter.topic, waiter.record);
      waiter.admit();
    }
  }

  async #connected(): Promise<KafkaProducer> {
    if (!this.#made) {
      const client = createClient({ ...this.#context, retries: PRODUCER_RETRIES });
      const producer = client.kafka.producer({
        idempotent: true,
        allowAutoTopicCreation: false,
        metadataMaxAge: 60_000,
        createPartitioner: () => (choice) => this.#partition(choice),
        retry: { retries: PRODUCER_RETRIES },
      });
      // What kafkajs repeats inside `connect` is not all bounded by its settings: past this, another client tries.
      const connecting = inTime(
        this.#context.clock,
        CONNECT_TIMEOUT_MS,
        producer.connect(),
        `no connection within ${CONNECT_TIMEOUT_MS} ms`,
      );
      this.#made = { client, producer, connecting };
    }
    const made = this.#made;
    try {
      await made.connecting;
    } catch (error) {
      if (this.#made === made) this.#made = undefined;
      made.client.sockets.destroy('the producer could not connect');
      throw error;
    }
    return made.producer;
  }

  /** kafkajs asks for every record of every try: a moment to learn the topic's partitions. */
  #partition(choice: { topic: string; partitionMetadata: PartitionMetadata[]; message: unknown }): number {
    this.#metadata.set(choice.topic, choice.partitionMetadata);
    return this.#choose(choice.topic, choice.partitionMetadata, choice.message as Queued);
  }

  /** Chosen once: a repeat must go where the first one went. */
  #choose(topic: string, metadata: readonly PartitionMetadata[], record: Queued): number {
    record.partition ??=
      record.key === null ? this.#nextInTurn(topic, metadata) : partitionOf(record.key, metadata.length);
    return record.partition;
  }

  #nextInTurn(topic: string, metadata: readonly PartitionMetadata[]): number {
    const turn = (this.#turns.get(topic) ?? this.#context.random.below(metadata.length)) + 1;
    this.#turns.set(topic, turn);
    for (let step = 0; step < metadata.length; step++) {
      const candidate = metadata[(turn + step) % metadata.length];
      if (candidate && candidate.leader >= 0) return candidate.partitionId;
    }
    return metadata[turn % metadata.length]?.partitionId ?? 0;
  }

  #complain(message: string): void {
    const now = this.#context.clock.monotonic();
    if (now - this.#loggedMs < REPEAT_LOG_MS) return;
    this.#loggedMs = now;
    this.#log.warn({ queued: this.#records }, message);
  }
}

class NoSuchPartitionError extends Error {
  constructor(topic: string, partition: number | undefined) {
    super(`partition ${partition} of topic "${topic}" does not exist`);
  }
}

/** Sending the same again cannot succeed. */
function isForGood(error: unknown, type: string | undefined): boolean {
  return type === undefined ? error instanceof NoSuchPartitionError : TOO_LARGE.has(type) || INVALID.has(type);
}

/** What kafkajs could not encode would fail its whole batch, again and again. */
function whatIsWrong({ key, value, headers, timestamp, partition }: ProducerRecord): string | undefined {
  if (value !== null && !Buffer.isBuffer(value)) return 'its value is neither a Buffer nor null';
  if (key !== null && typeof key !== 'string' && !Buffer.isBuffer(key)) return 'its key is no string, Buffer or null';
  if (timestamp !== undefined && !(timestamp >= 0)) return `its timestamp is ${timestamp}`;
  if (partition !== undefined && !(Number.isInteger(partition) && partition >= 0))
    return `its partition is ${partition}`;
  for (const name in headers) {
    const header = headers[name];
    if (typeof header !== 'string' && !Buffer.isBuffer(header)) return `its header "${name}" is no string or Buffer`;
  }
  return undefined;
}

function stopped(topic: string): ProduceFailedError {
  return new ProduceFailedError(topic, 'the producer was stopped before the broker acknowledged it');
}

function sizeOf({ key, value, headers }: ProducerRecord): number {
  let bytes = RECORD_OVERHEAD_BYTES + (key?.length ?? 0) + (value?.length ?? 0);
  for (const name in headers) bytes += name.length + (headers[name]?.length ?? 0);
  return bytes;
}

/** The next records of a topic, within what one request may carry. */
function takeBatch(queue: TopicQueue): Queued[] {
  const { waiting } = queue;
  let bytes = 0;
  let count = 0;
  while (count < waiting.length && count < MAX_BATCH_RECORDS) {
    bytes += waiting[count]?.bytes ?? 0;
    if (count > 0 && bytes > MAX_BATCH_BYTES) break;
    count++;
  }
  return waiting.splice(0, count);
}
