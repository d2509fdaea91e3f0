/**
 * One kafkajs client's life in the group: joins, what is delivered, what may be committed. A crash, a lost session or a
 * refused assignment ends it; the consumer then makes another.
 *
 *   idle -> joining -> reading -> open -> revoking -> joining -> reading -> ...        any -> closed
 *
 *   idle      connected or connecting, never joined
 *   joining   from the assigner's `protocol()`, which runs before every JoinGroup, until `group_join`. Fence closed
 *   reading   assigned; reads back what the broker has committed, and the log's ends. Fence closed, all paused
 *   open      the listener knows the assignment. Commits pass; records flow once `assigned` has resolved
 *   revoking  a JoinGroup frame is held back: handlers finish, commits pass in the old generation, nothing is delivered
 *   closed    over: nothing passes
 *
 * Commits do not go through kafkajs's `commitOffsets`: it sends again by itself, with the *next* generation, and has
 * been seen to move another owner's offset. Here the coordinator is asked once, with the generation and the member id
 * that the fence was checked for, so a late commit is refused by the broker whatever happens in between.
 */
import { type Cancel, describeError, type Logger } from '@weir/core';
import type {
  Cluster,
  ConsumerGroupJoinEvent,
  EachBatchPayload,
  Consumer as KafkaConsumer,
  KafkaMessage,
} from 'kafkajs';
import { CommitFailedError, CommitFencedError } from '../errors.ts';
import { METADATA_LIMIT } from '../metadata.ts';
import type { PortContext } from './kafkajs.ts';
import {
  type Client,
  type Coordinator,
  createClient,
  errorType,
  RETRY,
  watchedAssigner,
  within,
} from './kafkajs-client.ts';
import { unreadableReason } from './kafkajs-codecs.ts';
import type { Observer } from './kafkajs-observer.ts';
import {
  type AssignedPartition,
  type CommitEntry,
  type ConsumerListener,
  type ConsumerOptions,
  Fetched,
  type StartPosition,
  type TopicPartition,
} from './port.ts';

type Phase = 'idle' | 'joining' | 'reading' | 'open' | 'revoking' | 'closed';

export interface End {
  readonly reason: 'crash' | 'session' | 'refused' | 'stopped';
  readonly error: unknown;
}

/** One assigned partition, in one generation. */
interface Owned extends TopicPartition {
  /** The next offset to deliver; undefined until the start position is known. */
  next: number | undefined;
  /** Paused by the worker. */
  paused: boolean;
  /** Its place in the log is being checked; nothing is delivered. */
  aligning: boolean;
  /** Fetches begun before the last seek; what they bring is stale. */
  seekAt: number;
}

interface Written {
  readonly offset: number;
  readonly metadata: string;
}

const MAX_BYTES_PER_PARTITION = 512 * 1024;
const MAX_BYTES = 4 * 1024 * 1024;
/** Kafka takes about 1 MB of metadata in one request. */
const COMMIT_CHUNK_BYTES = 512 * 1024;
const METADATA_MAX_AGE_MS = 10_000;
const CLOSE_TIMEOUT_MS = 8_000;
const FIRST_JOIN_TIMEOUT_MS = 3_000;
/** Refusals that mean: you are not (or no longer) the one who may commit. */
const FENCED = new Set(['ILLEGAL_GENERATION', 'UNKNOWN_MEMBER_ID', 'REBALANCE_IN_PROGRESS', 'FENCED_INSTANCE_ID']);

const keyOf = (topic: string, partition: number) => `${topic}/${partition}`;

export interface MembershipEvents {
  status(state: 'joining' | 'rebalancing' | 'stable', detail: string): void;
}

export class Membership {
  readonly #context: PortContext;
  readonly #options: ConsumerOptions;
  readonly #listener: ConsumerListener;
  readonly #observer: Observer;
  readonly #events: MembershipEvents;
  readonly #log: Logger;
  readonly #client: Client;
  readonly #consumer: KafkaConsumer;
  #cluster: Cluster | undefined;
  #coordinator: Coordinator | undefined;

  #phase: Phase = 'idle';
  /** Grows with every join, so that what was begun for an older one is recognised. */
  #epoch = 0;
  #generation = -1;
  #memberId = '';
  #owned = new Map<string, Owned>();
  /** What the listener believes to own. */
  readonly #announced = new Map<string, TopicPartition>();
  /** By partition: what the broker may hold if nobody but this member has written since. */
  readonly #written = new Map<string, Written[]>();
  #mayHold = false;
  #held: Promise<void> | undefined;
  #rebalanceSeen = false;
  #fetches = 0;
  #commits: Promise<unknown> = Promise.resolve();
  #beatSentMs = 0;
  #lastSeenMs = 0;
  #cancelWatch: Cancel | undefined;
  readonly #closing = new AbortController();
  readonly #joinedOnce = Promise.withResolvers<void>();
  readonly #end = Promise.withResolvers<End>();

  constructor(context: PortContext, options: ConsumerOptions, observer: Observer, events: MembershipEvents) {
    this.#context = context;
    this.#options = options;
    this.#listener = options.listener;
    this.#observer = observer;
    this.#events = events;
    this.#log = context.log;
    this.#client = createClient({
      ...context,
      retries: 4,
      watch: {
        group: options.group,
        joining: (memberId) => this.#hold(memberId),
        syncing: (generation, memberId) => {
          this.#generation = generation;
          this.#memberId = memberId;
        },
        beating: () => {
          this.#beatSentMs = this.#context.clock.monotonic();
        },
      },
    });
    const { settings } = context;
    this.#consumer = this.#client.kafka.consumer({
      groupId: options.group,
      sessionTimeout: settings.sessionTimeoutMs,
      rebalanceTimeout: settings.rebalanceTimeoutMs,
      heartbeatInterval: settings.heartbeatIntervalMs,
      minBytes: settings.fetchMinBytes,
      maxWaitTimeInMs: settings.fetchMaxWaitMs,
      maxBytesPerPartition: MAX_BYTES_PER_PARTITION,
      maxBytes: MAX_BYTES,
      metadataMaxAge: METADATA_MAX_AGE_MS,
      allowAutoTopicCreation: false,
      partitionAssigners: [
        watchedAssigner(
          (cluster) => {
            this.#cluster = cluster;
          },
          () => this.#joinBegins(),
        ),
      ],
      retry: { ...RETRY, retries: 20, restartOnFailure: async () => false },
    });
  }

  /** Settles when this membership is over. */
  get ended(): Promise<End> {
    return this.#end.promise;
  }

  get lastSeenMs(): number {
    return this.#lastSeenMs;
  }

  /** Connects, subscribes and begins to join. @throws what kafkajs throws when it cannot connect or a topic is missing */
  async open(): Promise<void> {
    const consumer = this.#consumer;
    await consumer.connect();
    await consumer.subscribe({ topics: [...this.#options.topics], fromBeginning: true });
    if (this.#phase === 'closed') return;
    consumer.on('consumer.group_join', (event) => this.#joined(event.payload));
    consumer.on('consumer.heartbeat', () => this.#seen(this.#beatSentMs));
    consumer.on('consumer.rebalancing', () => {
      this.#rebalanceSeen = true;
    });
    consumer.on('consumer.fetch_start', () => {
      this.#fetches++;
    });
    consumer.on('consumer.start_batch_process', ({ payload }) => {
      if (payload.batchSize === 0) this.#filtered(payload);
    });
    consumer.on('consumer.crash', ({ payload }) => this.#over('crash', payload.error));
    const { clock, settings } = this.#context;
    this.#cancelWatch = clock.every(Math.max(50, settings.sessionTimeoutMs / 20), () => this.#checkSession());
    consumer
      .run({ autoCommit: false, eachBatchAutoResolve: false, eachBatch: (payload) => this.#batch(payload) })
      .catch((error: unknown) => this.#over('crash', error));
  }

  /** Leaves the group, as politely as the time allows. */
  async close(): Promise<void> {
    const joining = this.#phase === 'joining' && this.#generation === -1;
    this.#over('stopped', undefined);
    this.#cancelWatch?.();
    const { clock } = this.#context;
    // kafkajs can only leave a group that it has joined; a member that vanishes in a join holds the others up.
    if (joining) await within(clock, FIRST_JOIN_TIMEOUT_MS, this.#joinedOnce.promise);
    await within(clock, CLOSE_TIMEOUT_MS, this.#consumer.disconnect());
    this.#client.sockets.destroy('the consumer is stopped');
  }

  pause(partitions: readonly TopicPartition[]): void {
    for (const { topic, partition } of partitions) {
      const owned = this.#owned.get(keyOf(topic, partition));
      if (!owned || owned.paused) continue;
      owned.paused = true;
      this.#consumer.pause([{ topic, partitions: [partition] }]);
    }
  }

  resume(partitions: readonly TopicPartition[]): void {
    for (const { topic, partition } of partitions) {
      const owned = this.#owned.get(keyOf(topic, partition));
      if (!owned?.paused) continue;
      owned.paused = false;
      this.#flow(owned);
    }
  }

  seek({ topic, partition, offset }: StartPosition): void {
    const owned = this.#owned.get(keyOf(topic, partition));
    if (owned) this.#seekTo(owned, offset);
  }

  async commit(entries: readonly CommitEntry[]): Promise<void> {
    if (entries.length === 0) return;
    for (const { topic, partition, offset, metadata } of entries) {
      if (metadata.length > METADATA_LIMIT) {
        throw new CommitFailedError(
          `metadata of ${topic}/${partition} has ${metadata.length} characters, Kafka takes ${METADATA_LIMIT}; nothing was sent`,
        );
      }
      if (!Number.isSafeInteger(offset) || offset < 0) {
        throw new CommitFailedError(`${offset} is no offset (${topic}/${partition}); nothing was sent`);
      }
    }
    this.#checkFence(entries);
    // One after the other: a commit that has to look the coordinator up must not be passed by a later one.
    const sent = this.#commits.then(async () => {
      for (const chunk of chunksOf(entries)) await this.#commitOnce(chunk);
    });
    this.#commits = sent.catch(() => undefined);
    await sent;
  }

  async #commitOnce(entries: readonly CommitEntry[]): Promise<void> {
    this.#checkFence(entries);
    const coordinator = await this.#findCoordinator().catch((error: unknown) => {
      throw new CommitFailedError(`no coordinator: ${describeError(error)}`, { cause: error });
    });
    this.#checkFence(entries);
    const byTopic = Map.groupBy(entries, ({ topic }) => topic);
    for (const entry of entries) this.#remember(entry);
    const epoch = this.#epoch;
    const sentMs = this.#context.clock.monotonic();
    try {
      await coordinator.offsetCommit({
        groupId: this.#options.group,
        groupGenerationId: this.#generation,
        memberId: this.#memberId,
        topics: [...byTopic].map(([topic, list]) => ({
          topic,
          partitions: list.map(({ partition, offset, metadata }) => ({ partition, offset: String(offset), metadata })),
        })),
      });
    } catch (error) {
      const type = errorType(error);
      if (type !== undefined && FENCED.has(type)) {
        throw new CommitFencedError(
          `the broker refused it (${type}): this member is not in the group's current generation`,
        );
      }
      this.#coordinator = undefined;
      throw new CommitFailedError(describeError(error), { cause: error });
    }
    if (this.#phase !== 'closed') this.#seen(sentMs);
    if (epoch === this.#epoch) for (const entry of entries) this.#settle(entry);
  }

  async #findCoordinator(): Promise<Coordinator> {
    if (this.#coordinator?.isConnected()) return this.#coordinator;
    if (!this.#cluster) throw new TypeError('this Kafka class gives its cluster to no partition assigner');
    this.#coordinator = await this.#cluster.findGroupCoordinator({ groupId: this.#options.group });
    return this.#coordinator;
  }

  /** Everything that allows a commit, checked in the tick in which it is sent. */
  #checkFence(entries: readonly TopicPartition[]): void {
    if (this.#phase !== 'open' && this.#phase !== 'revoking') {
      throw new CommitFencedError(
        this.#phase === 'closed' ? 'the consumer is not in the group' : 'the group is rebalancing',
      );
    }
    if (this.#isZombie()) throw new CommitFencedError('no heartbeat was answered for the session timeout');
    for (const { topic, partition } of entries) {
      if (!this.#owned.has(keyOf(topic, partition))) {
        throw new CommitFencedError(`${topic}/${partition} is not assigned to this member`);
      }
    }
  }

  #remember({ topic, partition, offset, metadata }: CommitEntry): void {
    const key = keyOf(topic, partition);
    const written = this.#written.get(key);
    if (written) written.push({ offset, metadata });
    else this.#written.set(key, [{ offset, metadata }]);
  }

  /** Acknowledged: what was written before it is gone. */
  #settle({ topic, partition, offset, metadata }: CommitEntry): void {
    const written = this.#written.get(keyOf(topic, partition));
    const at = written?.findIndex((one) => one.offset === offset && one.metadata === metadata) ?? -1;
    if (at > 0) written?.splice(0, at);
  }

  /** `protocol()` of the assigner: kafkajs is about to join, by whatever way it came there. */
  #joinBegins(): void {
    if (this.#phase === 'closed') return;
    // The connection broke while the frame was held: kafkajs tries again, and the hold goes on.
    if (this.#phase === 'revoking') return;
    this.#mayHold = this.#phase === 'open';
    if (this.#phase !== 'joining') {
      this.#pauseAll();
      this.#events.status(this.#phase === 'idle' ? 'joining' : 'rebalancing', `joining group ${this.#options.group}`);
    }
    this.#phase = 'joining';
    this.#epoch++;
  }

  #hold(memberId: string): Promise<void> | undefined {
    if (this.#phase === 'revoking') return this.#held;
    if (this.#phase !== 'joining') return undefined;
    const mayHold = this.#mayHold;
    this.#mayHold = false;
    if (memberId === '' && this.#announced.size > 0) {
      this.#lose([...this.#announced.values()], 'session');
      return undefined;
    }
    if (!mayHold || memberId !== this.#memberId) return undefined;
    this.#held = this.#revoke();
    return this.#held;
  }

  async #revoke(): Promise<void> {
    const reason = this.#rebalanceSeen ? 'the group is rebalancing' : 'topics or leaders have changed';
    this.#rebalanceSeen = false;
    this.#phase = 'revoking';
    const { clock, settings } = this.#context;
    const over = new AbortController();
    const cancelBeat = clock.every(settings.sessionTimeoutMs / 3, () => void this.#beat());
    const limit = clock
      .sleep(this.#options.revokeWaitMs, AbortSignal.any([over.signal, this.#closing.signal]))
      .catch(() => undefined);
    try {
      await Promise.race([this.#listener.revoking(reason), limit]);
    } catch (error) {
      this.#log.warn({ error }, 'finishing work before a rebalance failed; what is not committed will be repeated');
    } finally {
      over.abort();
      cancelBeat();
      if (this.#phase === 'revoking') this.#phase = 'joining';
    }
  }

  /** Keeps the session alive while a JoinGroup is held; kafkajs sends no heartbeat then. */
  async #beat(): Promise<void> {
    const sentMs = this.#context.clock.monotonic();
    try {
      const coordinator = await this.#findCoordinator();
      await coordinator.heartbeat?.({
        groupId: this.#options.group,
        groupGenerationId: this.#generation,
        memberId: this.#memberId,
      });
    } catch (error) {
      // The normal answer during a rebalance; it counts as a sign of life.
      if (errorType(error) !== 'REBALANCE_IN_PROGRESS') return;
    }
    this.#seen(sentMs);
  }

  #joined(payload: ConsumerGroupJoinEvent['payload']): void {
    this.#joinedOnce.resolve();
    if (this.#phase === 'closed') return;
    this.#phase = 'reading';
    const epoch = ++this.#epoch;
    this.#memberId = payload.memberId;
    this.#seen(this.#context.clock.monotonic());
    this.#owned = new Map();
    for (const [topic, partitions] of Object.entries(payload.memberAssignment)) {
      for (const partition of partitions) {
        const owned: Owned = { topic, partition, next: undefined, paused: false, aligning: false, seekAt: 0 };
        this.#owned.set(keyOf(topic, partition), owned);
      }
    }
    this.#pauseAll();
    const lost = [...this.#announced].filter(([key]) => !this.#owned.has(key)).map(([, partition]) => partition);
    if (lost.length > 0) this.#lose(lost, 'rebalance');
    for (const key of this.#written.keys()) if (!this.#announced.has(key)) this.#written.delete(key);
    void this.#take(epoch, lost);
  }

  /** From a finished join to flowing records. */
  async #take(epoch: number, lost: readonly TopicPartition[]): Promise<void> {
    const isCurrent = () => this.#epoch === epoch && (this.#phase === 'reading' || this.#phase === 'open');
    const partitions = await this.#readBack(isCurrent);
    if (!partitions || !isCurrent()) return;
    this.#phase = 'open';
    this.#announced.clear();
    for (const { topic, partition } of this.#owned.values())
      this.#announced.set(keyOf(topic, partition), { topic, partition });
    let positions: readonly StartPosition[];
    try {
      positions = await this.#listener.assigned({
        generation: this.#generation,
        memberId: this.#memberId,
        partitions,
        lost,
      });
    } catch (error) {
      if (isCurrent()) this.#over('refused', error);
      return;
    }
    if (!isCurrent()) return;
    const startOf = new Map(positions.map(({ topic, partition, offset }) => [keyOf(topic, partition), offset]));
    for (const { topic, partition, committed, logStart, logEnd } of partitions) {
      const key = keyOf(topic, partition);
      const owned = this.#owned.get(key);
      if (!owned) continue;
      let start = startOf.get(key) ?? (committed >= 0 ? committed : logStart);
      if (start < logStart || start > logEnd) {
        this.#listener.outOfRange({ topic, partition, committed: start, logStart });
        start = logStart;
      }
      this.#seekTo(owned, owned.next ?? start);
      this.#flow(owned);
    }
    this.#events.status('stable', `${partitions.length} partition(s), generation ${this.#generation}`);
  }

  /** What the broker has for the new assignment. Committed first: the ends, read later, then cannot lie below it. */
  async #readBack(isCurrent: () => boolean): Promise<AssignedPartition[] | undefined> {
    const only = [...this.#owned.values()];
    const topics = [...new Set(only.map(({ topic }) => topic))];
    for (let waitMs = 100; isCurrent(); waitMs = Math.min(waitMs * 2, 2_000)) {
      try {
        const committed = await this.#observer.committed(this.#options.group, topics, only);
        if (!isCurrent()) return undefined;
        const offsets = await this.#observer.offsets(topics, only);
        const committedOf = new Map(committed.map((row) => [keyOf(row.topic, row.partition), row]));
        const offsetsOf = new Map(offsets.map((row) => [keyOf(row.topic, row.partition), row]));
        return only.map(({ topic, partition }) => {
          const key = keyOf(topic, partition);
          const { offset, metadata } = committedOf.get(key) ?? { offset: -1, metadata: '' };
          const ends = offsetsOf.get(key);
          if (!ends) throw new Error(`the broker does not know ${key}`);
          const written = this.#written.get(key);
          const retained =
            this.#announced.has(key) &&
            (written?.some((one) => one.offset === offset && one.metadata === metadata) ?? false);
          this.#written.set(key, [{ offset, metadata }]);
          return { topic, partition, committed: offset, metadata, retained, logStart: ends.start, logEnd: ends.end };
        });
      } catch (error) {
        if (!isCurrent()) return undefined;
        this.#log.warn({ error, group: this.#options.group }, 'cannot read the committed offsets back; trying again');
        await this.#context.clock.sleep(waitMs, this.#closing.signal).catch(() => undefined);
      }
    }
    return undefined;
  }

  async #batch(payload: EachBatchPayload): Promise<void> {
    const { batch } = payload;
    const { topic, partition, messages } = batch;
    const owned = this.#owned.get(keyOf(topic, partition));
    // Not resolved: it comes again when the partition flows again.
    if (!owned || !this.#delivers(owned) || payload.isStale()) return;
    const fetchedAt = Number((batch as { fetchedOffset?: string }).fetchedOffset ?? owned.next);
    const last = messages[messages.length - 1];
    if (last === undefined) return;
    if (fetchedAt !== owned.next) {
      void this.#realign(owned);
      return;
    }
    const records = new Array<Fetched>(messages.length);
    for (let index = 0; index < messages.length; index++) {
      const message = messages[index]!;
      if (unreadableReason(message.value) !== undefined) return this.#batchWithGaps(payload, owned);
      records[index] = toRecord(topic, partition, message);
    }
    const lastOffset = Number(batch.lastOffset());
    this.#deliver(owned, records, lastOffset, Number(batch.highWatermark));
    payload.resolveOffset(last.offset);
  }

  #deliver(owned: Owned, records: Fetched[], lastOffset: number, highWatermark: number): void {
    const { topic, partition, next } = owned;
    owned.next = lastOffset + 1;
    try {
      this.#listener.records({ topic, partition, records, lastOffset, highWatermark });
    } catch (error) {
      owned.next = next;
      throw error;
    }
  }

  /** Some of it cannot be read: what can be goes its way in order, the rest is reported and then skipped. */
  async #batchWithGaps(payload: EachBatchPayload, owned: Owned): Promise<void> {
    const { topic, partition, messages, highWatermark } = payload.batch;
    let readable: Fetched[] = [];
    const flush = () => {
      const last = readable[readable.length - 1];
      if (last === undefined) return;
      this.#deliver(owned, readable, last.offset, Number(highWatermark));
      payload.resolveOffset(String(last.offset));
      readable = [];
    };
    for (let index = 0; index < messages.length; index++) {
      const message = messages[index]!;
      const reason = unreadableReason(message.value);
      if (reason === undefined) {
        readable.push(toRecord(topic, partition, message));
        continue;
      }
      flush();
      const { firstOffset: first, lastOffsetDelta } = contextOf(message);
      const firstOffset = Math.max(Number(first), owned.next ?? 0);
      const lastOffset = Number(first) + lastOffsetDelta;
      if (lastOffset < firstOffset) continue; // another stand-in of a batch that is dealt with
      if (!this.#delivers(owned)) return;
      const error = new Error(`the batch ${topic}/${partition}, offsets ${firstOffset} to ${lastOffset}: ${reason}`);
      this.#log.error({ topic, partition, firstOffset, lastOffset }, `${error.message}; it is skipped`);
      await this.#whileBeating(
        payload,
        this.#listener.unreadable({ topic, partition, firstOffset, lastOffset, error }),
      );
      if (this.#owned.get(keyOf(topic, partition)) !== owned || owned.next === undefined) return;
      if (owned.next <= lastOffset) owned.next = lastOffset + 1;
      payload.resolveOffset(String(lastOffset));
      if (!this.#delivers(owned)) return;
    }
    flush();
  }

  async #whileBeating(payload: EachBatchPayload, work: Promise<void>): Promise<void> {
    let settled = false;
    const done = work.finally(() => {
      settled = true;
    });
    done.catch(() => undefined);
    while (!settled) {
      await within(this.#context.clock, this.#context.settings.heartbeatIntervalMs, done);
      if (!settled) await payload.heartbeat();
    }
    await done;
  }

  /** A batch of which nothing is left (markers, aborted transactions, compaction): kafkajs steps over it by itself. */
  #filtered(payload: { topic: string; partition: number; lastOffset: string; highWatermark: string }): void {
    const { topic, partition } = payload;
    const owned = this.#owned.get(keyOf(topic, partition));
    if (!owned || !this.#delivers(owned) || this.#fetches <= owned.seekAt) return;
    const lastOffset = Number(payload.lastOffset);
    if (owned.next === undefined || lastOffset < owned.next) return;
    this.#deliver(owned, [], lastOffset, Number(payload.highWatermark));
  }

  /**
   * kafkajs fetched from another place than the one that comes next: it has reset the offset by itself (out of range),
   * or a fetch was older than a seek. Nothing of it is delivered; the log's ends say which it was.
   */
  async #realign(owned: Owned): Promise<void> {
    if (owned.aligning) return;
    owned.aligning = true;
    const { topic, partition } = owned;
    this.#consumer.pause([{ topic, partitions: [partition] }]);
    const isCurrent = () => this.#owned.get(keyOf(topic, partition)) === owned && this.#phase === 'open';
    while (isCurrent()) {
      try {
        const [ends] = await this.#observer.offsets([topic], [{ topic, partition }]);
        if (!isCurrent()) return;
        const wanted = owned.next ?? 0;
        if (ends && (wanted < ends.start || wanted > ends.end)) {
          this.#listener.outOfRange({ topic, partition, committed: wanted, logStart: ends.start });
          this.#seekTo(owned, ends.start);
        } else this.#seekTo(owned, wanted);
        owned.aligning = false;
        this.#flow(owned);
        return;
      } catch (error) {
        this.#log.warn({ error, topic, partition }, 'cannot find out where the log begins; trying again');
        await this.#context.clock.sleep(1_000, this.#closing.signal).catch(() => undefined);
      }
    }
  }

  #delivers(owned: Owned): boolean {
    return this.#phase === 'open' && owned.next !== undefined && !owned.paused && !owned.aligning && !this.#isZombie();
  }

  #seekTo(owned: Owned, offset: number): void {
    owned.next = offset;
    owned.seekAt = this.#fetches;
    this.#consumer.seek({ topic: owned.topic, partition: owned.partition, offset: String(offset) });
  }

  /** Lets kafkajs fetch the partition, if nothing forbids it. */
  #flow(owned: Owned): void {
    if (this.#phase !== 'open' || owned.next === undefined || owned.paused || owned.aligning) return;
    this.#consumer.resume([{ topic: owned.topic, partitions: [owned.partition] }]);
  }

  #pauseAll(): void {
    const byTopic = Map.groupBy(this.#owned.values(), ({ topic }) => topic);
    const all = [...byTopic].map(([topic, list]) => ({ topic, partitions: list.map(({ partition }) => partition) }));
    if (all.length > 0) this.#consumer.pause(all);
  }

  #lose(partitions: readonly TopicPartition[], reason: 'rebalance' | 'session' | 'crash' | 'stopped'): void {
    for (const { topic, partition } of partitions) {
      this.#announced.delete(keyOf(topic, partition));
      this.#written.delete(keyOf(topic, partition));
    }
    this.#listener.lost(partitions, reason);
  }

  #seen(atMs: number): void {
    if (atMs > this.#lastSeenMs) this.#lastSeenMs = atMs;
  }

  #isZombie(): boolean {
    return this.#context.clock.monotonic() - this.#lastSeenMs > this.#context.settings.sessionTimeoutMs;
  }

  /** Without a sign of life for the session timeout the broker gives the partitions away: stop before it does. */
  #checkSession(): void {
    if (this.#phase === 'idle' || this.#phase === 'closed' || this.#announced.size === 0 || !this.#isZombie()) return;
    if (this.#phase === 'joining') this.#lose([...this.#announced.values()], 'session');
    else
      this.#over('session', new Error(`no heartbeat was answered for ${this.#context.settings.sessionTimeoutMs} ms`));
  }

  #over(reason: End['reason'], error: unknown): void {
    if (this.#phase === 'closed') return;
    this.#phase = 'closed';
    this.#epoch++;
    this.#closing.abort(new Error('the membership is over'));
    const owned = [...this.#announced.values()];
    this.#owned.clear();
    if (owned.length > 0) this.#lose(owned, reason === 'refused' ? 'rebalance' : reason);
    this.#end.resolve({ reason, error });
  }
}

function toRecord(topic: string, partition: number, message: KafkaMessage): Fetched {
  return new Fetched(
    topic,
    partition,
    Number(message.offset),
    Number(message.timestamp),
    message.key,
    message.value,
    message.headers,
  );
}

/** kafkajs gives every record the head of its batch, which its typings leave out. */
function contextOf(message: KafkaMessage): { firstOffset: string; lastOffsetDelta: number } {
  return (message as unknown as { batchContext: { firstOffset: string; lastOffsetDelta: number } }).batchContext;
}

function* chunksOf(entries: readonly CommitEntry[]): Generator<CommitEntry[]> {
  let chunk: CommitEntry[] = [];
  let bytes = 0;
  for (const entry of entries) {
    const size = Buffer.byteLength(entry.metadata) + 64;
    if (chunk.length > 0 && bytes + size > COMMIT_CHUNK_BYTES) {
      yield chunk;
      chunk = [];
      bytes = 0;
    }
    chunk.push(entry);
    bytes += size;
  }
  if (chunk.length > 0) yield chunk;
}
