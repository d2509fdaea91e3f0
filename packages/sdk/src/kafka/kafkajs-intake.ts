/**
 * What one membership delivers: the assigned partitions, each with the one offset that comes next. kafkajs's batches
 * become records only when they continue exactly there; whatever kafkajs does by itself (resetting an offset that is out
 * of range, delivering a fetch that is older than a seek or a join) shows as a step from that line and is put right.
 *
 * A log can also be another one than the one that was read: its topic was deleted and made again (kafkajs knows no topic ids),
 * or a leader without its last records was elected. It shows when the log ends before what was seen of it; offsets of
 * then would hide records of now, so the membership ends and the partition begins anew. What has outgrown the old log
 * before anybody looks cannot be told from it.
 *
 * kafkajs's own pauses outlive a generation, so every partition is paused when a join begins, and flows again when its
 * start is known and the worker has not paused it.
 */
import { within } from '@weir/core';
import type { EachBatchPayload, Consumer as KafkaConsumer } from 'kafkajs';
import type { PortContext } from './kafkajs.ts';
import type { Observer } from './kafkajs-observer.ts';
import { readParts, type UnreadablePart } from './kafkajs-parts.ts';
import {
  type CommitEntry,
  type ConsumerListener,
  ListedRecords,
  type Records,
  type StartPosition,
  type TopicPartition,
} from './port.ts';

const ALIGN_RETRY_MS = 1_000;
const NONE = new ListedRecords([]);

/** One assigned partition, in one generation. */
export interface Owned extends TopicPartition {
  /** The next offset to deliver; undefined until the start position is known. */
  next: number | undefined;
  /** Paused by the worker. */
  paused: boolean;
  /** Its place in the log is being checked; nothing is delivered. */
  aligning: boolean;
  /** Fetches begun before the last seek; what they bring is stale. */
  seekAt: number;
  /** The highest end that a fetch has shown. A log does not shrink. */
  seenEnd: number;
}

export interface IntakeOptions {
  readonly context: PortContext;
  readonly consumer: KafkaConsumer;
  readonly listener: ConsumerListener;
  readonly observer: Observer;
  /** The listener knows the assignment, and no join is under way. */
  readonly isOpen: () => boolean;
  /** The broker has answered within the session timeout. */
  readonly isAlive: () => boolean;
  /** Logs that end before what was seen of them, and where they begin. The membership ends. */
  readonly replaced: (starts: readonly CommitEntry[], error: Error) => void;
  /** Aborted when the membership is over. */
  readonly closing: AbortSignal;
}

/** Of a partition, in maps. */
export const keyOf = (topic: string, partition: number) => `${topic}/${partition}`;

export class Intake {
  readonly #options: IntakeOptions;
  readonly #consumer: KafkaConsumer;
  #owned = new Map<string, Owned>();
  #fetches = 0;

  constructor(options: IntakeOptions) {
    this.#options = options;
    this.#consumer = options.consumer;
  }

  get(topic: string, partition: number): Owned | undefined {
    return this.#owned.get(keyOf(topic, partition));
  }

  get partitions(): Owned[] {
    return [...this.#owned.values()];
  }

  /** A new assignment: nothing flows before `start`. */
  replace(assignment: Readonly<Record<string, readonly number[]>>): void {
    const before = this.#owned;
    this.#owned = new Map();
    for (const [topic, partitions] of Object.entries(assignment)) {
      for (const partition of partitions) {
        const key = keyOf(topic, partition);
        const seenEnd = before.get(key)?.seenEnd ?? 0;
        this.#owned.set(key, {
          topic,
          partition,
          next: undefined,
          paused: false,
          aligning: false,
          seekAt: 0,
          seenEnd,
        });
      }
    }
    this.pauseAll();
  }

  clear(): void {
    this.#owned.clear();
  }

  /** Where the partition begins, unless the worker has sought it elsewhere meanwhile. */
  start(owned: Owned, offset: number): void {
    this.#seekTo(owned, owned.next ?? offset);
    this.#flow(owned);
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

  pauseAll(): void {
    const byTopic = Map.groupBy(this.#owned.values(), ({ topic }) => topic);
    const all = [...byTopic].map(([topic, list]) => ({ topic, partitions: list.map(({ partition }) => partition) }));
    if (all.length > 0) this.#consumer.pause(all);
  }

  fetchBegins(): void {
    this.#fetches++;
  }

  async batch(payload: EachBatchPayload): Promise<void> {
    const { batch } = payload;
    const { topic, partition, messages } = batch;
    const owned = this.#owned.get(keyOf(topic, partition));
    // Not resolved: it comes again when the partition flows again.
    if (!owned || !this.#delivers(owned) || payload.isStale()) return;
    const fetchedAt = Number((batch as { fetchedOffset?: string }).fetchedOffset ?? owned.next);
    const last = messages[messages.length - 1];
    if (last === undefined) return;
    const end = Number(batch.highWatermark);
    if (fetchedAt !== owned.next || end < owned.seenEnd) {
      void this.#realign(owned);
      return;
    }
    owned.seenEnd = end;
    for (const part of readParts(owned, messages)) {
      if (!this.#delivers(owned)) return;
      if (part.records === undefined) {
        if (!(await this.#stepOver(payload, owned, part))) return;
      } else {
        const lastOffset = part.last === last ? Number(batch.lastOffset()) : part.lastOffset;
        this.#deliver(owned, part.records, lastOffset, Number(batch.highWatermark));
        payload.resolveOffset(part.last.offset);
      }
    }
  }

  #deliver(owned: Owned, records: Records, lastOffset: number, highWatermark: number): void {
    const { topic, partition, next } = owned;
    owned.next = lastOffset + 1;
    try {
      this.#options.listener.records({ topic, partition, records, lastOffset, highWatermark });
    } catch (error) {
      owned.next = next;
      throw error;
    }
  }

  /** Reports a batch that cannot be read. @returns false when the partition was lost meanwhile */
  async #stepOver(payload: EachBatchPayload, owned: Owned, part: UnreadablePart): Promise<boolean> {
    const { topic, partition } = owned;
    const { lastOffset } = part;
    const firstOffset = Math.max(part.firstOffset, owned.next ?? 0);
    if (lastOffset < firstOffset) return true; // another stand-in of a batch that is dealt with
    const error = new Error(`the batch ${topic}/${partition}, offsets ${firstOffset} to ${lastOffset}: ${part.reason}`);
    this.#options.context.log.error({ topic, partition, firstOffset, lastOffset }, `${error.message}; it is skipped`);
    const report = this.#options.listener.unreadable({ topic, partition, firstOffset, lastOffset, error });
    await this.#whileBeating(payload, report);
    if (this.#owned.get(keyOf(topic, partition)) !== owned || owned.next === undefined) return false;
    if (owned.next <= lastOffset) owned.next = lastOffset + 1;
    payload.resolveOffset(String(lastOffset));
    return true;
  }

  async #whileBeating(payload: EachBatchPayload, work: Promise<void>): Promise<void> {
    let settled = false;
    const done = work.finally(() => {
      settled = true;
    });
    done.catch(() => undefined);
    while (!settled) {
      await within(this.#options.context.clock, this.#options.context.settings.heartbeatIntervalMs, done);
      if (!settled) await payload.heartbeat();
    }
    await done;
  }

  /** A batch of which nothing is left (markers, aborted transactions, compaction): kafkajs steps over it by itself. */
  filtered(payload: { topic: string; partition: number; lastOffset: string; highWatermark: string }): void {
    const { topic, partition } = payload;
    const owned = this.#owned.get(keyOf(topic, partition));
    if (!owned || !this.#delivers(owned) || this.#fetches <= owned.seekAt) return;
    const lastOffset = Number(payload.lastOffset);
    if (owned.next === undefined || lastOffset < owned.next) return;
    this.#deliver(owned, NONE, lastOffset, Number(payload.highWatermark));
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
    const isCurrent = () => this.#owned.get(keyOf(topic, partition)) === owned && this.#options.isOpen();
    while (isCurrent()) {
      try {
        const siblings = this.partitions.filter((one) => one.topic === topic);
        const logs = await this.#options.observer.offsets([topic], siblings);
        if (!isCurrent()) return;
        const wanted = owned.next ?? 0;
        const ends = logs.find((one) => one.partition === partition);
        if (ends && Math.max(wanted, owned.seenEnd) > ends.end) {
          this.#replaced(logs);
          return;
        }
        if (ends && wanted < ends.start) {
          this.#options.listener.outOfRange({ topic, partition, committed: wanted, logStart: ends.start });
          this.#seekTo(owned, ends.start);
        } else this.#seekTo(owned, wanted);
        owned.aligning = false;
        this.#flow(owned);
        return;
      } catch (error) {
        this.#options.context.log.warn(
          { error, topic, partition },
          'cannot find out where the log begins; trying again',
        );
        await this.#options.context.clock.sleep(ALIGN_RETRY_MS, this.#options.closing).catch(() => undefined);
      }
    }
  }

  /** Whoever went on in it with what is known of the old one would take its records for seen. All of a topic are looked at. */
  #replaced(logs: readonly (TopicPartition & { start: number; end: number })[]): void {
    const starts: CommitEntry[] = [];
    const told: string[] = [];
    for (const { topic, partition, start, end } of logs) {
      const owned = this.#owned.get(keyOf(topic, partition));
      const seen = Math.max(owned?.next ?? 0, owned?.seenEnd ?? 0);
      if (seen <= end) continue;
      starts.push({ topic, partition, offset: start, metadata: '' });
      told.push(`${topic}/${partition} ends at ${end}, and was seen up to ${seen}`);
    }
    const why = 'the topic was deleted and made again, or a leader without its last records was elected';
    this.#options.replaced(starts, new Error(`${told.join('; ')}: ${why}; what there is is read from its start`));
  }

  #delivers(owned: Owned): boolean {
    const { isOpen, isAlive } = this.#options;
    return isOpen() && isAlive() && owned.next !== undefined && !owned.paused && !owned.aligning;
  }

  #seekTo(owned: Owned, offset: number): void {
    owned.next = offset;
    owned.seekAt = this.#fetches;
    this.#consumer.seek({ topic: owned.topic, partition: owned.partition, offset: String(offset) });
  }

  /** Lets kafkajs fetch the partition, if nothing forbids it. */
  #flow(owned: Owned): void {
    if (!this.#options.isOpen() || owned.next === undefined || owned.paused || owned.aligning) return;
    this.#consumer.resume([{ topic: owned.topic, partitions: [owned.partition] }]);
  }
}
