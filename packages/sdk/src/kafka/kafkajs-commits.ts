/**
 * Commits of one membership: each is sent once, in the generation and under the member id that the fence was checked
 * for, in the tick in which it was checked.
 *
 * They do not go through kafkajs's `commitOffsets`: it sends again by itself, with the *next* generation, and has been
 * seen to move another owner's offset. The coordinator is asked directly, so a late commit is refused by the broker
 * whatever happens in between; repeating one is the caller's decision, and passes the fence again.
 *
 * It also remembers what it sent: a partition whose committed offset and metadata are still among that has had no other
 * owner that got anywhere.
 */
import { describeError, inTime } from '@weir/core';
import type { Cluster } from 'kafkajs';
import { CommitFailedError, CommitFencedError } from '../errors.ts';
import { METADATA_LIMIT } from '../metadata.ts';
import type { PortContext } from './kafkajs.ts';
import { type Coordinator, errorType } from './kafkajs-client.ts';
import type { CommitEntry, TopicPartition } from './port.ts';

/** Kafka takes about 1 MB of metadata in one request. */
const CHUNK_BYTES = 512 * 1024;
const ENTRY_OVERHEAD_BYTES = 64;
/** Refusals that mean: you are not (or no longer) the one who may commit. */
const FENCED = new Set(['ILLEGAL_GENERATION', 'UNKNOWN_MEMBER_ID', 'REBALANCE_IN_PROGRESS', 'FENCED_INSTANCE_ID']);
/** What a broker with a lower `offset.metadata.max.bytes` than Kafka's 4,096 says; the other entries were stored. */
const TOO_LARGE = 'OFFSET_METADATA_TOO_LARGE';

interface Written {
  readonly offset: number;
  readonly metadata: string;
}

export interface CommitsOptions {
  readonly context: PortContext;
  readonly group: string;
  readonly cluster: () => Cluster | undefined;
  /** Who commits: the generation and member id of the last join that ended. */
  readonly identity: () => { generation: number; memberId: string };
  /** @throws CommitFencedError when these may not be committed now */
  readonly checkFence: (entries: readonly TopicPartition[]) => void;
  /** The broker has answered a request that was sent at this time. */
  readonly seen: (sentMs: number) => void;
}

export class Commits {
  readonly #options: CommitsOptions;
  readonly #written = new Map<string, Written[]>();
  #coordinator: Coordinator | undefined;
  #tail: Promise<unknown> = Promise.resolve();

  constructor(options: CommitsOptions) {
    this.#options = options;
  }

  async commit(entries: readonly CommitEntry[]): Promise<void> {
    if (entries.length === 0) return;
    for (const entry of entries) checkEntry(entry);
    this.#options.checkFence(entries);
    // One after the other: a commit that has to look the coordinator up must not be passed by a later one.
    const sent = this.#tail.then(async () => {
      for (const chunk of chunksOf(entries)) await this.#send(chunk);
    });
    this.#tail = sent.catch(() => undefined);
    await sent;
  }

  /** A heartbeat while kafkajs sends none. Kafka's usual answer then, "rebalance in progress", is a sign of life too. */
  async beat(): Promise<void> {
    const { context, group, identity, seen } = this.#options;
    const sentMs = context.clock.monotonic();
    const { generation, memberId } = identity();
    try {
      const coordinator = await this.#findCoordinator();
      if (!coordinator.heartbeat) return;
      await coordinator.heartbeat({ groupId: group, groupGenerationId: generation, memberId });
    } catch (error) {
      if (errorType(error) !== 'REBALANCE_IN_PROGRESS') return;
    }
    seen(sentMs);
  }

  /** Whether the broker holds what this member wrote (or found at the last assignment) and nobody has replaced. */
  isOurs(key: string, offset: number, metadata: string): boolean {
    return this.#written.get(key)?.some((one) => one.offset === offset && one.metadata === metadata) ?? false;
  }

  /** What the broker was found to hold at assignment. */
  found(key: string, offset: number, metadata: string): void {
    this.#written.set(key, [{ offset, metadata }]);
  }

  forget(key: string): void {
    this.#written.delete(key);
  }

  async #send(entries: readonly CommitEntry[]): Promise<void> {
    const { context, group, identity, checkFence, seen } = this.#options;
    checkFence(entries);
    const coordinator = await this.#answered(this.#findCoordinator()).catch((error: unknown) => {
      throw new CommitFailedError(`no coordinator: ${describeError(error)}`, { cause: error });
    });
    checkFence(entries);
    const { generation, memberId } = identity();
    for (const entry of entries) this.#remember(entry);
    const sentMs = context.clock.monotonic();
    try {
      await this.#answered(
        coordinator.offsetCommit({
          groupId: group,
          groupGenerationId: generation,
          memberId,
          topics: [...Map.groupBy(entries, ({ topic }) => topic)].map(([topic, list]) => ({
            topic,
            partitions: list.map(({ partition, offset, metadata }) => ({
              partition,
              offset: String(offset),
              metadata,
            })),
          })),
        }),
      );
    } catch (error) {
      const type = errorType(error);
      if (type !== undefined && FENCED.has(type)) {
        throw new CommitFencedError(`the broker refused it (${type}): the group has moved on without this member`);
      }
      if (type === TOO_LARGE) {
        throw new CommitFailedError('the broker takes less metadata beside an offset (offset.metadata.max.bytes)', {
          metadataTooLarge: true,
          cause: error,
        });
      }
      this.#coordinator = undefined;
      throw new CommitFailedError(describeError(error), { cause: error });
    }
    seen(sentMs);
    for (const entry of entries) this.#settle(entry);
  }

  /** kafkajs's own limit is longer than a session, and the next commit waits for this one. */
  #answered<T>(answer: Promise<T>): Promise<T> {
    const { clock, settings } = this.#options.context;
    const limitMs = settings.sessionTimeoutMs;
    return inTime(clock, limitMs, answer, `the broker did not answer within ${limitMs} ms`);
  }

  async #findCoordinator(): Promise<Coordinator> {
    if (this.#coordinator?.isConnected()) return this.#coordinator;
    const cluster = this.#options.cluster();
    if (!cluster) throw new TypeError('this Kafka class gives its cluster to no partition assigner');
    this.#coordinator = await cluster.findGroupCoordinator({ groupId: this.#options.group });
    return this.#coordinator;
  }

  #remember({ topic, partition, offset, metadata }: CommitEntry): void {
    const key = `${topic}/${partition}`;
    const written = this.#written.get(key);
    if (written) written.push({ offset, metadata });
    else this.#written.set(key, [{ offset, metadata }]);
  }

  /** Acknowledged: what was written before it is gone. */
  #settle({ topic, partition, offset, metadata }: CommitEntry): void {
    const written = this.#written.get(`${topic}/${partition}`);
    const at = written?.findIndex((one) => one.offset === offset && one.metadata === metadata) ?? -1;
    if (at > 0) written?.splice(0, at);
  }
}

function checkEntry({ topic, partition, offset, metadata }: CommitEntry): void {
  if (metadata.length > METADATA_LIMIT) {
    throw new CommitFailedError(
      `metadata of ${topic}/${partition} has ${metadata.length} characters, Kafka takes ${METADATA_LIMIT}; nothing was sent`,
    );
  }
  if (!Number.isSafeInteger(offset) || offset < 0) {
    throw new CommitFailedError(`${offset} is no offset (${topic}/${partition}); nothing was sent`);
  }
}

function* chunksOf(entries: readonly CommitEntry[]): Generator<CommitEntry[]> {
  let chunk: CommitEntry[] = [];
  let bytes = 0;
  for (const entry of entries) {
    const size = Buffer.byteLength(entry.metadata) + ENTRY_OVERHEAD_BYTES;
    if (chunk.length > 0 && bytes + size > CHUNK_BYTES) {
      yield chunk;
      chunk = [];
      bytes = 0;
    }
    chunk.push(entry);
    bytes += size;
  }
  if (chunk.length > 0) yield chunk;
}
