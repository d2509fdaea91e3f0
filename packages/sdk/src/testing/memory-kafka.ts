/**
 * Kafka in memory behind the port: topics are arrays, the one consumer of a test owns every partition, and what is sent
 * is acknowledged in the next turn of the event loop. Lanes, ledger, retries and dead letters on top of it are the real
 * ones. For protocol behaviour (groups, rebalances, fencing) use @weir/dev-broker instead.
 */
import type { Clock } from '@weir/core';
import { CommitFencedError, ProduceFailedError } from '../errors.ts';
import {
  type Acknowledge,
  type Admin,
  type CommitEntry,
  type CommittedOffset,
  type Consumer,
  type ConsumerListener,
  type ConsumerOptions,
  type ConsumerStatus,
  Fetched,
  type GroupDescription,
  type KafkaPort,
  ListedRecords,
  type Producer,
  type ProducerRecord,
  type StartPosition,
  type TopicPartition,
  type TopicSpec,
} from '../kafka/port.ts';

export interface StoredRecord extends TopicPartition {
  readonly offset: number;
  readonly timestamp: number;
  readonly key: Buffer | null;
  readonly value: Buffer | null;
  readonly headers: Readonly<Record<string, string | Buffer>>;
}

/** Most records in one delivered batch: small enough that fairness and bounds show in tests. */
const BATCH = 100;

export class MemoryKafka implements KafkaPort {
  readonly #clock: Clock;
  readonly #topics = new Map<string, StoredRecord[][]>();
  readonly #committed = new Map<string, CommitEntry>();
  readonly #consumers = new Set<MemoryConsumer>();
  /** Set to make every produce fail with this, until it is unset. */
  produceFailure: Error | undefined;

  constructor(clock: Clock) {
    this.#clock = clock;
  }

  #refusals = 0;
  #members = 0;
  /** Grows with every crash: what was made before it is dead. */
  #era = 0;

  /** Which start of a process this is, from 1: each needs a name of its own. */
  nextMember(): number {
    return ++this.#members;
  }

  /**
   * The process that consumes dies, as far as Kafka can see: it commits nothing more, what it sends does not arrive, and
   * it hears nothing. A worker started afterwards on this Kafka is the next owner.
   */
  crash(): void {
    this.#era++;
    for (const consumer of [...this.#consumers]) consumer.die();
  }

  /** The next commits are refused as during a join. */
  refuseCommits(times: number): void {
    this.#refusals = times;
  }

  /** @returns whether this commit is one of those */
  takeRefusal(): boolean {
    if (this.#refusals === 0) return false;
    this.#refusals--;
    return true;
  }

  createTopic(topic: string, partitions: number): void {
    if (!this.#topics.has(topic))
      this.#topics.set(
        topic,
        Array.from({ length: partitions }, () => []),
      );
  }

  topics(): string[] {
    return [...this.#topics.keys()];
  }

  partitions(topic: string): readonly (readonly StoredRecord[])[] {
    return this.#topics.get(topic) ?? [];
  }

  /** Every record of a topic, in the order of partition and offset. */
  records(topic: string): StoredRecord[] {
    return this.partitions(topic).flat();
  }

  append(record: ProducerRecord): StoredRecord {
    const partitions = this.#topics.get(record.topic);
    if (partitions === undefined) throw new ProduceFailedError(record.topic, 'the topic does not exist');
    const key = typeof record.key === 'string' ? Buffer.from(record.key) : record.key;
    const partition = record.partition ?? (key === null ? 0 : hash(key) % partitions.length);
    const log = partitions[partition];
    if (log === undefined) throw new ProduceFailedError(record.topic, `partition ${partition} does not exist`);
    const stored: StoredRecord = {
      topic: record.topic,
      partition,
      offset: log.length,
      timestamp: record.timestamp ?? this.#clock.now(),
      key,
      value: record.value,
      headers: record.headers ?? {},
    };
    log.push(stored);
    for (const consumer of this.#consumers) consumer.wake();
    return stored;
  }

  committed(topic: string, partition: number): number {
    return this.#committed.get(`${topic}/${partition}`)?.offset ?? -1;
  }

  /** Another tool changes what stands beside a committed offset. */
  rewriteMetadata(topic: string, partition: number, rewrite: (metadata: string) => string): void {
    const id = `${topic}/${partition}`;
    const entry = this.#committed.get(id);
    if (entry !== undefined) this.#committed.set(id, { ...entry, metadata: rewrite(entry.metadata) });
  }

  consumer(options: ConsumerOptions): Consumer {
    const consumer = new MemoryConsumer(this, this.#committed, options, this.#clock, () =>
      this.#consumers.delete(consumer),
    );
    this.#consumers.add(consumer);
    return consumer;
  }

  producer(): Producer {
    const pending = new Set<Promise<void>>();
    const era = this.#era;
    return {
      start: async () => {},
      stop: async () => {
        await Promise.all(pending);
      },
      flush: async () => {
        await Promise.all(pending);
      },
      send: (record: ProducerRecord, acknowledge: Acknowledge) => {
        const work = Promise.resolve().then(() => {
          if (era !== this.#era) return;
          try {
            if (this.produceFailure) throw this.produceFailure;
            this.append(record);
            acknowledge(null);
          } catch (error) {
            acknowledge(error as Error);
          }
        });
        pending.add(work);
        void work.finally(() => pending.delete(work));
        return undefined;
      },
    };
  }

  admin(): Admin {
    return {
      start: async () => {},
      stop: async () => {},
      createTopics: async (topics: readonly TopicSpec[]) => {
        const made = topics.filter((each) => !this.#topics.has(each.topic));
        for (const each of made) this.createTopic(each.topic, each.partitions);
        return made.map((each) => each.topic);
      },
      deleteTopics: async (topics) => {
        for (const topic of topics) this.#topics.delete(topic);
      },
      partitionCounts: async (topics) =>
        new Map(topics.flatMap((topic) => (this.#topics.has(topic) ? [[topic, this.partitions(topic).length]] : []))),
      createPartitions: async (topic, total) => {
        const partitions = this.#topics.get(topic);
        while (partitions !== undefined && partitions.length < total) partitions.push([]);
      },
      offsets: async (topics) =>
        topics.flatMap((topic) =>
          this.partitions(topic).map((log, partition) => ({ topic, partition, start: 0, end: log.length })),
        ),
      offsetsAt: async (topic, timestamp): Promise<readonly StartPosition[]> =>
        this.partitions(topic).map((log, partition) => {
          const at = log.findIndex((record) => record.timestamp >= timestamp);
          return { topic, partition, offset: at < 0 ? log.length : at };
        }),
      committed: async (_group, topics): Promise<readonly CommittedOffset[]> =>
        topics.flatMap((topic) =>
          this.partitions(topic).map((_log, partition) => {
            const entry = this.#committed.get(`${topic}/${partition}`);
            return { topic, partition, offset: entry?.offset ?? -1, metadata: entry?.metadata ?? '' };
          }),
        ),
      describeGroup: async (): Promise<GroupDescription> => ({
        state: this.#consumers.size === 0 ? 'Empty' : 'Stable',
        members: [...this.#consumers].map((consumer, at) => ({
          memberId: `member-${at}`,
          clientId: 'memory',
          partitions: consumer.owned(),
        })),
      }),
      listGroups: async () => [],
    };
  }
}

class MemoryConsumer implements Consumer {
  readonly #kafka: MemoryKafka;
  readonly #committed: Map<string, CommitEntry>;
  readonly #listener: ConsumerListener;
  readonly #topics: readonly string[];
  readonly #clock: Clock;
  readonly #closed: () => void;
  readonly #positions = new Map<string, StartPosition>();
  readonly #paused = new Set<string>();
  #open = false;
  #scheduled = false;
  status: ConsumerStatus;

  constructor(
    kafka: MemoryKafka,
    committed: Map<string, CommitEntry>,
    options: ConsumerOptions,
    clock: Clock,
    closed: () => void,
  ) {
    this.#kafka = kafka;
    this.#committed = committed;
    this.#listener = options.listener;
    this.#topics = options.topics;
    this.#clock = clock;
    this.#closed = closed;
    this.status = { state: 'connecting', detail: '', since: clock.now() };
  }

  get lastSeenMs(): number {
    return this.#open ? this.#clock.monotonic() : 0;
  }

  owned(): TopicPartition[] {
    return [...this.#positions.values()].map(({ topic, partition }) => ({ topic, partition }));
  }

  async start(): Promise<void> {
    this.#open = true;
    const partitions = this.#topics.flatMap((topic) =>
      this.#kafka.partitions(topic).map((log, partition) => {
        const entry = this.#committed.get(`${topic}/${partition}`);
        return {
          topic,
          partition,
          committed: entry?.offset ?? -1,
          metadata: entry?.metadata ?? '',
          retained: false,
          logStart: 0,
          logEnd: log.length,
        };
      }),
    );
    const starts = await this.#listener.assigned({
      generation: 1,
      memberId: 'member-0',
      partitions,
      lost: [],
      leader: true,
    });
    for (const each of partitions)
      this.#positions.set(`${each.topic}/${each.partition}`, {
        topic: each.topic,
        partition: each.partition,
        offset: Math.max(0, each.committed),
      });
    for (const start of starts) this.#positions.set(`${start.topic}/${start.partition}`, start);
    this.status = { state: 'stable', detail: '', since: this.#clock.now() };
    this.#listener.status(this.status);
    this.wake();
  }

  async stop(): Promise<void> {
    this.#open = false;
    this.status = { state: 'stopped', detail: '', since: this.#clock.now() };
    this.#closed();
  }

  die(): void {
    this.#open = false;
    this.#closed();
    this.#listener.lost(this.owned(), 'crash');
  }

  pause(partitions: readonly TopicPartition[]): void {
    for (const { topic, partition } of partitions) this.#paused.add(`${topic}/${partition}`);
  }

  resume(partitions: readonly TopicPartition[]): void {
    for (const { topic, partition } of partitions) this.#paused.delete(`${topic}/${partition}`);
    this.wake();
  }

  seek(position: StartPosition): void {
    this.#positions.set(`${position.topic}/${position.partition}`, position);
    this.wake();
  }

  /** The one member of its group has everything: there is nothing to assign anew. */
  rejoin(): boolean {
    return false;
  }

  async commit(entries: readonly CommitEntry[]): Promise<void> {
    if (!this.#open) throw new CommitFencedError('the consumer is stopped');
    if (this.#kafka.takeRefusal()) throw new CommitFencedError('a join is under way');
    for (const entry of entries) this.#committed.set(`${entry.topic}/${entry.partition}`, entry);
  }

  wake(): void {
    if (this.#scheduled || !this.#open) return;
    this.#scheduled = true;
    setImmediate(() => {
      this.#scheduled = false;
      this.#deliver();
    });
  }

  #deliver(): void {
    if (!this.#open) return;
    for (const [id, position] of this.#positions) {
      if (this.#paused.has(id)) continue;
      const log = this.#kafka.partitions(position.topic)[position.partition] ?? [];
      const stored = log.slice(position.offset, position.offset + BATCH);
      const last = stored.at(-1);
      if (last === undefined) continue;
      this.#positions.set(id, { ...position, offset: last.offset + 1 });
      this.#listener.records({
        topic: position.topic,
        partition: position.partition,
        records: new ListedRecords(
          stored.map(
            (each) =>
              new Fetched(each.topic, each.partition, each.offset, each.timestamp, each.key, each.value, each.headers),
          ),
        ),
        lastOffset: last.offset,
        highWatermark: log.length,
      });
      if (log.length > last.offset + 1) this.wake();
    }
  }
}

/** FNV-1a: any spread will do in memory. */
function hash(key: Buffer): number {
  let state = 0x811c9dc5;
  for (const byte of key) state = Math.imul(state ^ byte, 0x01000193) >>> 0;
  return state;
}
