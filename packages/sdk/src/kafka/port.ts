/**
 * What Weir needs from a Kafka client, and nothing more. The kafkajs adapter implements it, and so does the in-memory
 * port of @weir/sdk/testing; both pass the same conformance suite. Names of topics here are Kafka's own (with prefix).
 *
 * Who calls whom: the worker calls `Consumer`, `Producer`, `Admin`; the adapter calls the worker's `ConsumerListener`.
 */

/** One fetched record, as it was on the wire. */
export class Fetched {
  readonly topic: string;
  readonly partition: number;
  readonly offset: number;
  /** Milliseconds since the epoch, as the broker has it. */
  readonly timestamp: number;
  readonly rawKey: Buffer | null;
  /** The bytes as they were on the wire; null is a tombstone. */
  readonly raw: Buffer | null;
  readonly rawHeaders: RawHeaders | undefined;

  constructor(
    topic: string,
    partition: number,
    offset: number,
    timestamp: number,
    rawKey: Buffer | null,
    raw: Buffer | null,
    rawHeaders: RawHeaders | undefined,
  ) {
    this.topic = topic;
    this.partition = partition;
    this.offset = offset;
    this.timestamp = timestamp;
    this.rawKey = rawKey;
    this.raw = raw;
    this.rawHeaders = rawHeaders;
  }
}

/**
 * Records of one fetch, by their index: an adapter that reads the bytes itself keeps columns (record-columns.ts) and makes
 * no object for a record that only waits. A `Fetched` comes into being when somebody looks at one.
 */
export interface Records extends Iterable<Fetched> {
  readonly length: number;
  /** Rising. */
  offset(index: number): number;
  timestamp(index: number): number;
  key(index: number): Buffer | null;
  value(index: number): Buffer | null;
  headers(index: number): RawHeaders | undefined;
  /** Length of key and value. */
  bytes(index: number): number;
  at(index: number): Fetched;
}

/** Records that are objects already. */
export class ListedRecords implements Records {
  readonly #list: readonly Fetched[];

  constructor(list: readonly Fetched[]) {
    this.#list = list;
  }

  get length(): number {
    return this.#list.length;
  }

  offset(index: number): number {
    return this.at(index).offset;
  }

  timestamp(index: number): number {
    return this.at(index).timestamp;
  }

  key(index: number): Buffer | null {
    return this.at(index).rawKey;
  }

  value(index: number): Buffer | null {
    return this.at(index).raw;
  }

  headers(index: number): RawHeaders | undefined {
    return this.at(index).rawHeaders;
  }

  bytes(index: number): number {
    const { raw, rawKey } = this.at(index);
    return (raw?.length ?? 0) + (rawKey?.length ?? 0);
  }

  at(index: number): Fetched {
    return this.#list[index]!;
  }

  [Symbol.iterator](): Iterator<Fetched> {
    return this.#list[Symbol.iterator]();
  }
}

export type RawHeaders = Readonly<Record<string, Buffer | string | (Buffer | string)[] | undefined>>;

export interface TopicPartition {
  readonly topic: string;
  readonly partition: number;
}

export interface FetchedBatch extends TopicPartition {
  /** In offset order; may be empty (all filtered: markers, aborted transactions, compaction). */
  readonly records: Records;
  /** Everything up to and including this offset is covered by the batch, also where no record exists. */
  readonly lastOffset: number;
  /** The partition's end offset when the batch was fetched. */
  readonly highWatermark: number;
}

/** One partition of a new assignment, with what the broker has committed for it. */
export interface AssignedPartition extends TopicPartition {
  /** -1 when nothing is committed (or the committed offset is negative, which kafkajs writes on out-of-range). */
  readonly committed: number;
  /** Metadata beside the committed offset; '' when there is none. */
  readonly metadata: string;
  /** This member owned it before the join and the broker still has exactly what this member committed last. */
  readonly retained: boolean;
  /** First offset that still exists, and the end (next offset to be written), both read at assignment. */
  readonly logStart: number;
  readonly logEnd: number;
}

export interface Assignment {
  readonly generation: number;
  readonly memberId: string;
  readonly partitions: readonly AssignedPartition[];
  /** Partitions that this member owned before the join and does not own now. */
  readonly lost: readonly TopicPartition[];
  /** This member has made the group's assignment, and is the one whose `rejoin` makes a new one. */
  readonly leader: boolean;
}

export interface StartPosition extends TopicPartition {
  readonly offset: number;
}

/** Called by the consumer. `records` and `lost` must return at once; the others are awaited. */
export interface ConsumerListener {
  /**
   * A join ended. Called once a generation, after `lost`, before any record of it. The adapter delivers nothing until
   * this resolves, then starts each partition at the position given (a partition left out starts at `committed`, or at
   * the log's start when there is none). A rejection makes the adapter leave and join again.
   */
  assigned(assignment: Assignment): Promise<readonly StartPosition[]>;
  /**
   * A JoinGroup is about to be sent (any way into a join). Stop starting handlers, let those in flight finish, commit;
   * the frame is held until this resolves or `revokeWaitMs` is over. Delivery has stopped meanwhile.
   */
  revoking(reason: string): Promise<void>;
  /** These are not ours any more: abort their work, forget it, commit nothing for them. */
  lost(partitions: readonly TopicPartition[], reason: 'rebalance' | 'session' | 'crash' | 'stopped'): void;
  /** Records of a partition of the current assignment. */
  records(batch: FetchedBatch): void;
  /** A batch that the client cannot read (unknown codec, damaged): it will be skipped once this resolves. */
  unreadable(batch: TopicPartition & { firstOffset: number; lastOffset: number; error: unknown }): Promise<void>;
  /** The committed offset of a partition was out of range; the log starts at `logStart` now. Retention lost records. */
  outOfRange(partition: TopicPartition & { committed: number; logStart: number }): void;
  /** Something worth showing to people happened: state, crash, reconnect. */
  status(status: ConsumerStatus): void;
}

export interface ConsumerStatus {
  readonly state: 'connecting' | 'joining' | 'stable' | 'rebalancing' | 'crashed' | 'stopped';
  /** In words, e.g. "no Kafka broker answers at 127.0.0.1:9092: connect ECONNREFUSED". */
  readonly detail: string;
  /** Milliseconds since the epoch. */
  readonly since: number;
}

export interface CommitEntry extends TopicPartition {
  /** Next offset to be read. */
  readonly offset: number;
  /** At most 4,096 characters. */
  readonly metadata: string;
}

export interface Consumer {
  /**
   * Connects and joins; returns at once after the first attempt has begun. A broker that is not there is tried again
   * for ever (status 'connecting' with the reason). A crash of the client builds a new one.
   */
  start(): Promise<void>;
  /** Leaves the group and closes. Safe early and twice. Commits nothing: commit first. */
  stop(): Promise<void>;
  /** Stops fetching these; in effect for what is delivered after the call. Unknown partitions are ignored. */
  pause(partitions: readonly TopicPartition[]): void;
  resume(partitions: readonly TopicPartition[]): void;
  /** Delivers the partition from `offset` on, dropping what is being fetched. Only for owned partitions. */
  seek(position: StartPosition): void;
  /**
   * Joins again, so that the partitions are dealt anew: whatever balances the members is moved. Does nothing unless this
   * member leads the group and no join is under way.
   * @returns whether it will
   */
  rejoin(): boolean;
  /**
   * Sends once, in the current generation, after checking fence and ownership in the same tick.
   * @throws CommitFencedError when a join has begun or a partition is not ours: nothing was sent
   * @throws CommitFailedError when the broker refused or the answer was lost: commit again later, through here
   */
  commit(entries: readonly CommitEntry[]): Promise<void>;
  readonly status: ConsumerStatus;
  /** Milliseconds (monotonic) of the last acknowledged heartbeat or commit; 0 before the first. */
  readonly lastSeenMs: number;
}

export interface ProducerRecord {
  readonly topic: string;
  readonly partition?: number;
  readonly key: Buffer | string | null;
  readonly value: Buffer | null;
  readonly headers?: Readonly<Record<string, string | Buffer>>;
  /** Milliseconds since the epoch; now when absent. */
  readonly timestamp?: number;
}

/** Told once: acknowledged by all in-sync replicas, or failed for good after the producer's own retries. */
export type Acknowledge = (error: Error | null) => void;

export interface Producer {
  start(): Promise<void>;
  /** Flushes what is queued (bounded by `signal`), then closes. */
  stop(signal?: AbortSignal): Promise<void>;
  /**
   * Queues a record for the next shared batch (idempotent, acks all, a few ms of linger).
   * @returns undefined when it was queued at once, else a promise that resolves when there was room and it is queued
   *          (rejects with the signal's reason when aborted first; `acknowledge` is then never called)
   */
  send(record: ProducerRecord, acknowledge: Acknowledge, signal?: AbortSignal): Promise<void> | undefined;
  /** Resolves when everything queued before the call is acknowledged or failed. */
  flush(): Promise<void>;
}

export interface TopicSpec {
  readonly topic: string;
  readonly partitions: number;
  readonly replicationFactor?: number;
  readonly config?: Readonly<Record<string, string>>;
}

export interface GroupDescription {
  /** Kafka's own: Empty, PreparingRebalance, CompletingRebalance, Stable, Dead. */
  readonly state: string;
  readonly members: readonly {
    readonly memberId: string;
    readonly clientId: string;
    readonly partitions: readonly TopicPartition[];
  }[];
}

export interface CommittedOffset extends TopicPartition {
  /** -1 when nothing is committed. */
  readonly offset: number;
  readonly metadata: string;
}

export interface Admin {
  start(): Promise<void>;
  stop(): Promise<void>;
  /** Creates those that do not exist; says which it made. */
  createTopics(topics: readonly TopicSpec[]): Promise<readonly string[]>;
  deleteTopics(topics: readonly string[]): Promise<void>;
  /** Partition count by topic; a topic that does not exist is absent. */
  partitionCounts(topics: readonly string[]): Promise<ReadonlyMap<string, number>>;
  createPartitions(topic: string, total: number): Promise<void>;
  /** Log start and end (next offset to be written) of every partition. */
  offsets(topics: readonly string[]): Promise<readonly (TopicPartition & { start: number; end: number })[]>;
  /** First offset at or after the timestamp; the end when there is none. */
  offsetsAt(topic: string, timestamp: number): Promise<readonly StartPosition[]>;
  committed(group: string, topics: readonly string[]): Promise<readonly CommittedOffset[]>;
  describeGroup(group: string): Promise<GroupDescription>;
  listGroups(): Promise<readonly string[]>;
}

/** Everything of one client, made for one worker. */
export interface KafkaPort {
  consumer(options: ConsumerOptions): Consumer;
  producer(): Producer;
  admin(): Admin;
}

export interface ConsumerOptions {
  readonly group: string;
  readonly topics: readonly string[];
  readonly listener: ConsumerListener;
  /** How long a join waits for the listener's `revoking`. */
  readonly revokeWaitMs: number;
  /** What the group's leader should know of this member; asked for when a join begins. May not throw. */
  readonly standing?: () => Standing;
}

/** What a member tells the group's leader about itself when it joins. */
export interface Standing {
  /** It is draining, and is to be given nothing. */
  readonly leaving: boolean;
  /** Records per second that a partition of its own asks of its owner; undefined when not known. */
  loadOf(partition: TopicPartition): number | undefined;
}
