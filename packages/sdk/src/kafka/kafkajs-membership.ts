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
 */
import { type Cancel, type Logger, within } from '@weir/core';
import type { Cluster, ConsumerGroupJoinEvent, Consumer as KafkaConsumer } from 'kafkajs';
import { CommitFencedError } from '../errors.ts';
import type { Claim } from './claim.ts';
import type { PortContext } from './kafkajs.ts';
import { assigners } from './kafkajs-assigner.ts';
import { type Client, createClient } from './kafkajs-client.ts';
import { Commits } from './kafkajs-commits.ts';
import { readFetchesOf } from './kafkajs-fetch.ts';
import { fetchAfter } from './kafkajs-fetch-wait.ts';
import { Intake, keyOf } from './kafkajs-intake.ts';
import type { Observer } from './kafkajs-observer.ts';
import { readBack } from './kafkajs-read-back.ts';
import { RETRY } from './kafkajs-retry.ts';
import { endFetching } from './kafkajs-stop.ts';
import type { CommitEntry, ConsumerListener, ConsumerOptions, StartPosition, TopicPartition } from './port.ts';

type Phase = 'idle' | 'joining' | 'reading' | 'open' | 'revoking' | 'closed';

export interface End {
  readonly reason: 'crash' | 'session' | 'refused' | 'replaced' | 'stopped';
  readonly error: unknown;
}

const MAX_BYTES_PER_PARTITION = 512 * 1024;
const MAX_BYTES = 4 * 1024 * 1024;
const METADATA_MAX_AGE_MS = 10_000;
const CLOSE_TIMEOUT_MS = 8_000;
const FIRST_JOIN_TIMEOUT_MS = 3_000;
/** Of the session timeout: what is left is for noticing it and stopping before the broker acts. */
const SESSION_SHARE = 0.9;

/** What a member was given by the last join that ended, whatever has become of it since. */
export interface OwnedOnce {
  readonly generation: number;
  readonly partitions: readonly TopicPartition[];
}

export const NEVER_JOINED: OwnedOnce = { generation: -1, partitions: [] };

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
  readonly #intake: Intake;
  readonly #commits: Commits;

  #phase: Phase = 'idle';
  /** Grows with every join, so that what was begun for an older one is recognised. */
  #epoch = 0;
  #generation = -1;
  #memberId = '';
  /** What the listener believes to own. */
  readonly #announced = new Map<string, TopicPartition>();
  #mayHold = false;
  #held: Promise<void> | undefined;
  #assigning: Promise<unknown> = Promise.resolve();
  /** From a join's end until records may flow. */
  #taking: Promise<void> | undefined;
  #rebalanceSeen = false;
  #leader = false;
  /** Logs were replaced: what the worker has done counts no more. */
  #startingOver = false;
  /** Of a join that `rejoin` has asked for. */
  #rejoin: 'no' | 'wanted' | 'under-way' = 'no';
  /**
   * kafkajs has begun to join, failed (the connection broke), and goes on in the generation that it had, which nobody may
   * have ended. The worker has given its work up for the join: the next heartbeat makes kafkajs join after all.
   */
  #joinGivenUp = false;
  #owned: OwnedOnce;
  #beatSentMs = 0;
  #lastSeenMs = 0;
  #cancelWatch: Cancel | undefined;
  readonly #closing = new AbortController();
  readonly #joinedOnce = Promise.withResolvers<void>();
  readonly #end = Promise.withResolvers<End>();

  /** @param before  what the membership before this one had: the leader lets us keep it when nobody has had it since */
  constructor(
    context: PortContext,
    options: ConsumerOptions,
    observer: Observer,
    events: MembershipEvents,
    before: OwnedOnce,
  ) {
    this.#context = context;
    this.#owned = before;
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
          if (this.#joinGivenUp) {
            this.#joinGivenUp = false;
            return true;
          }
          if (this.#rejoin !== 'wanted' || this.#phase !== 'open') return false;
          this.#rejoin = 'under-way';
          return true;
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
      partitionAssigners: assigners(
        (cluster) => {
          this.#cluster = cluster;
          readFetchesOf(cluster);
          fetchAfter(
            cluster,
            () => this.#taking && within(context.clock, context.settings.fetchMaxWaitMs, this.#taking),
          );
        },
        {
          joining: () => this.#joinBegins(),
          claim: () => this.#claim(),
          thorough: () => this.#rejoin === 'under-way',
          unknownTopic: (topic, error) =>
            this.#log.warn(
              { error, topic },
              `the partitions of ${topic} are assigned to nobody: it cannot be looked up`,
            ),
        },
      ),
      retry: { ...RETRY, retries: 20, restartOnFailure: async () => false },
    });
    this.#intake = new Intake({
      context,
      consumer: this.#consumer,
      listener: options.listener,
      observer,
      isOpen: () => this.#phase === 'open',
      isAlive: () => !this.#isZombie(),
      replaced: (starts, error) => void this.#replaced(starts, error),
      closing: this.#closing.signal,
    });
    this.#commits = new Commits({
      context,
      group: options.group,
      cluster: () => this.#cluster,
      identity: () => ({ generation: this.#generation, memberId: this.#memberId }),
      checkFence: (entries) => this.#checkFence(entries),
      seen: (sentMs) => this.#seen(sentMs),
    });
  }

  /** Settles when this membership is over. */
  get ended(): Promise<End> {
    return this.#end.promise;
  }

  get lastSeenMs(): number {
    return this.#lastSeenMs;
  }

  get owned(): OwnedOnce {
    return this.#owned;
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
      // Fetchers are at rest while it joins.
      this.#joinGivenUp = this.#phase === 'joining';
      this.#intake.fetchBegins();
    });
    consumer.on('consumer.start_batch_process', ({ payload }) => {
      if (payload.batchSize === 0) this.#intake.filtered(payload);
    });
    consumer.on('consumer.crash', ({ payload }) => this.#over('crash', payload.error));
    const { clock, settings } = this.#context;
    this.#cancelWatch = clock.every(Math.max(50, settings.sessionTimeoutMs / 20), () => this.#checkSession());
    consumer
      .run({ autoCommit: false, eachBatchAutoResolve: false, eachBatch: (payload) => this.#intake.batch(payload) })
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
    const left = this.#consumer.disconnect();
    endFetching(this.#cluster);
    await within(clock, CLOSE_TIMEOUT_MS, left);
    this.#client.sockets.destroy('the consumer is stopped');
  }

  pause(partitions: readonly TopicPartition[]): void {
    this.#intake.pause(partitions);
  }

  resume(partitions: readonly TopicPartition[]): void {
    this.#intake.resume(partitions);
  }

  seek(position: StartPosition): void {
    this.#intake.seek(position);
  }

  async commit(entries: readonly CommitEntry[]): Promise<void> {
    if (this.#startingOver) throw new CommitFencedError('a log was replaced: the work on the old one is void');
    await this.#commits.commit(entries);
  }

  /** With the next heartbeat; a follower's rejoin would only get it the assignment that there is. */
  rejoin(): boolean {
    if (!this.#leader || this.#phase !== 'open') return false;
    if (this.#rejoin === 'no') this.#rejoin = 'wanted';
    return true;
  }

  /** Everything that allows a commit. */
  #checkFence(entries: readonly TopicPartition[]): void {
    if (this.#phase !== 'open' && this.#phase !== 'revoking') {
      throw new CommitFencedError(
        this.#phase === 'closed' ? 'the consumer is not in the group' : 'the group is rebalancing',
      );
    }
    if (this.#isZombie())
      throw new CommitFencedError('no heartbeat was answered for too long, the session may be over');
    for (const { topic, partition } of entries) {
      if (!this.#intake.get(topic, partition)) {
        throw new CommitFencedError(`${topic}/${partition} is not assigned to this member`);
      }
    }
  }

  /** `protocol()` of the assigner: kafkajs is about to join, by whatever way it came there. */
  #joinBegins(): void {
    if (this.#phase === 'closed') return;
    // The connection broke while the frame was held: kafkajs tries again, and the hold goes on.
    if (this.#phase === 'revoking') return;
    // A JoinGroup that failed before it was written leaves us here twice: the worker has not been told yet.
    if (this.#phase === 'open') this.#mayHold = true;
    if (this.#phase !== 'joining') {
      this.#intake.pauseAll();
      this.#events.status(this.#phase === 'idle' ? 'joining' : 'rebalancing', `joining group ${this.#options.group}`);
    }
    this.#phase = 'joining';
    this.#epoch++;
  }

  #claim(): Claim {
    const { generation, partitions } = this.#owned;
    const standing = this.#options.standing?.();
    return {
      leaving: standing?.leaving ?? false,
      generation,
      partitions: partitions.map(({ topic, partition }) => ({
        topic,
        partition,
        load: standing?.loadOf({ topic, partition }),
      })),
    };
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
    const cancelBeat = clock.every(settings.sessionTimeoutMs / 3, () => void this.#commits.beat());
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

  #joined(payload: ConsumerGroupJoinEvent['payload']): void {
    this.#joinedOnce.resolve();
    if (this.#phase === 'closed') return;
    this.#phase = 'reading';
    this.#mayHold = false;
    const epoch = ++this.#epoch;
    this.#memberId = payload.memberId;
    this.#leader = payload.isLeader;
    this.#rejoin = 'no';
    this.#seen(this.#context.clock.monotonic());
    this.#intake.replace(payload.memberAssignment);
    this.#owned = {
      generation: this.#generation,
      partitions: this.#intake.partitions.map(({ topic, partition }) => ({ topic, partition })),
    };
    const lost = [...this.#announced]
      .filter(([, { topic, partition }]) => !this.#intake.get(topic, partition))
      .map(([, one]) => one);
    if (lost.length > 0) this.#lose(lost, 'rebalance');
    const taking = this.#take(epoch, lost)
      .catch((error: unknown) => this.#over('crash', error))
      .finally(() => {
        if (this.#taking === taking) this.#taking = undefined;
      });
    this.#taking = taking;
  }

  /** From a finished join to flowing records. */
  async #take(epoch: number, lost: readonly TopicPartition[]): Promise<void> {
    const isCurrent = () => this.#epoch === epoch && (this.#phase === 'reading' || this.#phase === 'open');
    const partitions = await readBack(this.#intake.partitions, {
      observer: this.#observer,
      group: this.#options.group,
      clock: this.#context.clock,
      log: this.#log,
      isCurrent,
      closing: this.#closing.signal,
      found: (key, offset, metadata) => {
        const retained = this.#announced.has(key) && this.#commits.isOurs(key, offset, metadata);
        this.#commits.found(key, offset, metadata);
        return retained;
      },
    });
    // The listener may still be busy with the assignment before; it gets one at a time.
    await this.#assigning;
    if (!partitions || !isCurrent()) return;
    this.#phase = 'open';
    this.#announced.clear();
    for (const { topic, partition } of partitions) this.#announced.set(keyOf(topic, partition), { topic, partition });
    let positions: readonly StartPosition[];
    try {
      const assigned = this.#listener.assigned({
        generation: this.#generation,
        memberId: this.#memberId,
        partitions,
        lost,
        leader: this.#leader,
      });
      this.#assigning = assigned.catch(() => undefined);
      positions = await assigned;
    } catch (error) {
      if (isCurrent()) this.#over('refused', error);
      return;
    }
    if (!isCurrent()) return;
    const startOf = new Map(positions.map(({ topic, partition, offset }) => [keyOf(topic, partition), offset]));
    for (const { topic, partition, committed, logStart, logEnd } of partitions) {
      const key = keyOf(topic, partition);
      const owned = this.#intake.get(topic, partition);
      if (!owned) continue;
      let start = startOf.get(key) ?? (committed >= 0 ? committed : logStart);
      if (start < logStart || start > logEnd) {
        this.#listener.outOfRange({ topic, partition, committed: start, logStart });
        start = logStart;
      }
      this.#intake.start(owned, start);
    }
    this.#events.status('stable', `${partitions.length} partition(s), generation ${this.#generation}`);
  }

  #lose(partitions: readonly TopicPartition[], reason: 'rebalance' | 'session' | 'crash' | 'stopped'): void {
    for (const { topic, partition } of partitions) {
      this.#announced.delete(keyOf(topic, partition));
      this.#commits.forget(keyOf(topic, partition));
    }
    try {
      this.#listener.lost(partitions, reason);
    } catch (error) {
      this.#log.error({ error, reason }, 'giving partitions up failed');
    }
  }

  /** What was committed meanwhile is an offset of the old log: whoever gets the partition must find the new one's start. */
  async #replaced(starts: readonly CommitEntry[], error: Error): Promise<void> {
    if (this.#startingOver) return;
    this.#startingOver = true;
    try {
      await within(this.#context.clock, CLOSE_TIMEOUT_MS, this.#commits.commit(starts));
    } catch (cause) {
      this.#log.warn({ error: cause }, 'the start of a log that was replaced could not be committed');
    }
    this.#over('replaced', error);
  }

  #seen(atMs: number): void {
    if (atMs > this.#lastSeenMs) this.#lastSeenMs = atMs;
  }

  #isZombie(): boolean {
    return this.#context.clock.monotonic() - this.#lastSeenMs > this.#context.settings.sessionTimeoutMs * SESSION_SHARE;
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
    this.#intake.clear();
    if (owned.length > 0) this.#lose(owned, reason === 'refused' || reason === 'replaced' ? 'rebalance' : reason);
    this.#end.resolve({ reason, error });
  }
}
