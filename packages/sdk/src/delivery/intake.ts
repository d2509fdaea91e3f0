/**
 * What this member owns and what it holds in memory: takes fetched batches in, pauses a partition whose queue is full and
 * resumes it at half, and gives partitions up when they are lost.
 *
 * Bounds: records per partition (those put back until due have a bound of their own, so that they block nobody), and
 * bytes for the process. Past the process's bytes every partition with something in hand pauses, so that one which has
 * nothing still gets its turn.
 */
import type { Resolved } from '../config.ts';
import type { FetchedBatch, TopicPartition } from '../kafka/port.ts';
import { type Delivery, sizeOf } from './delivery.ts';
import { DONE_BEFORE, REDELIVERED } from './ledger.ts';
import { Owned, partitionId } from './owned.ts';
import type { DoneRange } from './skip-map.ts';
import type { Suspicion } from './suspicion.ts';
import { Waiting } from './waiting.ts';

/** Bytes of the process (flow/backpressure). */
export interface Bytes {
  readonly full: boolean;
  readonly low: boolean;
  add(bytes: number): void;
  remove(bytes: number): void;
}

/** Share of the metadata's room at which a partition stops taking records, and at which it goes on. */
const SKIP_MAP_FULL = 0.75;
const SKIP_MAP_LOW = 0.5;

export interface IntakeOptions {
  readonly resolved: Resolved;
  readonly budget: Bytes;
  /** Monotonic ms. */
  readonly now: () => number;
  readonly pause: (partitions: readonly TopicPartition[]) => void;
  readonly resume: (partitions: readonly TopicPartition[]) => void;
  readonly onRedelivered: (count: number) => void;
}

export class Intake {
  readonly #options: IntakeOptions;
  readonly #owned = new Map<string, Owned>();
  readonly #most: number;
  /** Everything is paused: a breaker is open, memory is short, or the process drains. */
  #held = false;
  #memoryFull = false;

  constructor(options: IntakeOptions) {
    this.#options = options;
    this.#most = options.resolved.queue.recordsPerPartition;
  }

  get size(): number {
    return this.#owned.size;
  }

  get memoryFull(): boolean {
    return this.#memoryFull;
  }

  /** Records in memory, whatever they wait for. */
  get records(): number {
    let records = 0;
    for (const owned of this.#owned.values()) records += owned.held + owned.deferred;
    return records;
  }

  partitions(): IterableIterator<Owned> {
    return this.#owned.values();
  }

  get({ topic, partition }: TopicPartition): Owned | undefined {
    return this.#owned.get(partitionId(topic, partition));
  }

  /** Takes a partition over, in place of what was held for it before. */
  own(
    at: TopicPartition,
    from: {
      start: number;
      committed: number;
      doneBefore: readonly DoneRange[];
      suspicion?: Suspicion | undefined;
    },
  ): Owned {
    this.give(at, new Error('the partition was assigned anew'));
    const { resolved } = this.#options;
    const owned = new Owned(at, {
      ...from,
      order: resolved.batch === undefined ? resolved.order : 'none',
      batch: resolved.batch,
    });
    this.#owned.set(owned.id, owned);
    return owned;
  }

  /** Gives a partition up. @returns what was held, for counting what was handed over; undefined when it was not ours */
  give(at: TopicPartition, reason: Error): Owned | undefined {
    const owned = this.get(at);
    if (owned === undefined) return undefined;
    this.#owned.delete(owned.id);
    owned.lose(reason);
    this.#options.budget.remove(owned.heldBytes + owned.deferredBytes);
    return owned;
  }

  /** Records of a partition, in offset order. @returns the partition, when there is something new to run */
  take(batch: FetchedBatch): Owned | undefined {
    const owned = this.get(batch);
    if (owned === undefined) return undefined;
    const { ledger, lanes } = owned;
    const { records } = batch;
    let first = -1;
    let slot = -1;
    let bytes = 0;
    let taken = 0;
    let redelivered = 0;
    for (let index = 0; index < records.length; index++) {
      const given = ledger.take(records.offset(index));
      if (given === REDELIVERED) {
        redelivered++;
        continue;
      }
      // What was handed out before comes first, so the slots of the others are in a row.
      if (first < 0) {
        first = index;
        slot = given === DONE_BEFORE ? ledger.nextSlot - 1 : given;
      }
      if (given === DONE_BEFORE) continue;
      bytes += sizeOf(records, index);
      taken++;
    }
    if (taken > 0) {
      // Whole ms, so that it is no boxed number in every record.
      const queuedAt = Math.round(this.#options.now());
      lanes.add(new Waiting(records, owned, { first, slot, left: taken, queuedAt }));
    }
    ledger.cover(batch.lastOffset);
    if (batch.highWatermark > owned.end) owned.end = batch.highWatermark;
    if (redelivered > 0) this.#options.onRedelivered(redelivered);
    if (taken === 0) return undefined;
    owned.held += taken;
    owned.heldBytes += bytes;
    this.#options.budget.add(bytes);
    this.#rebalance(owned);
    return owned;
  }

  /** Something of this partition left memory, or was put back. */
  settled(delivery: Delivery): void {
    if (delivery.state === 'finished') this.#options.budget.remove(delivery.bytes);
    this.#rebalance(delivery.owned);
  }

  /**
   * How much of its room the partition's skip map took in the last commit, 0 to 1. Near the limit the partition takes no
   * new records until the watermark moves, or finished work could no longer be told to the next owner.
   */
  skipMapFilled(owned: Owned, share: number): void {
    const paused = owned.pausedFor.has('skip-map');
    if (!paused && share < SKIP_MAP_FULL) return;
    if (share >= SKIP_MAP_FULL) owned.pausedFor.add('skip-map');
    else if (share <= SKIP_MAP_LOW) owned.pausedFor.delete('skip-map');
    if (paused !== owned.pausedFor.has('skip-map')) this.#tell(owned);
  }

  /** Pauses or resumes everything at once. */
  hold(held: boolean): void {
    if (this.#held === held) return;
    this.#held = held;
    this.applyPauses();
  }

  /** Says again what is paused: a new assignment starts with nothing paused. */
  applyPauses(): void {
    const paused = [...this.#owned.values()].filter((owned) => this.#held || owned.pausedFor.size > 0);
    const running = [...this.#owned.values()].filter((owned) => !this.#held && owned.pausedFor.size === 0);
    if (paused.length > 0) this.#options.pause(paused);
    if (running.length > 0) this.#options.resume(running);
  }

  #rebalance(owned: Owned): void {
    const { budget } = this.#options;
    if (!this.#memoryFull && budget.full) {
      this.#memoryFull = true;
      for (const each of this.#owned.values()) this.#weigh(each);
      return;
    }
    if (this.#memoryFull && budget.low) {
      this.#memoryFull = false;
      for (const each of this.#owned.values()) this.#weigh(each);
      return;
    }
    this.#weigh(owned);
  }

  #weigh(owned: Owned): void {
    const wasPaused = owned.pausedFor.size > 0;
    const { pausedFor } = owned;
    if (owned.held >= this.#most) pausedFor.add('queue');
    else if (owned.held <= this.#most >> 1) pausedFor.delete('queue');
    if (owned.deferred >= this.#most) pausedFor.add('deferred');
    else if (owned.deferred <= this.#most >> 1) pausedFor.delete('deferred');
    if (this.#memoryFull && owned.held > 0) pausedFor.add('memory');
    else if (!this.#memoryFull || owned.held === 0) pausedFor.delete('memory');
    if (wasPaused !== pausedFor.size > 0) this.#tell(owned);
  }

  #tell(owned: Owned): void {
    if (this.#held || !owned.alive) return;
    if (owned.pausedFor.size > 0) this.#options.pause([owned]);
    else this.#options.resume([owned]);
  }
}
