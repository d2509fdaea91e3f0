/**
 * One partition that this member owns: its ledger, its lanes, and what it holds in memory. Made at an assignment and
 * given up, once and for all, when the partition is lost; a partition that comes back later gets a new one, so work that
 * was started under the old one can never be mistaken for the new one's.
 */
import type { Order } from '../define.ts';
import type { TopicPartition } from '../kafka/port.ts';
import type { OwnerState } from '../metadata.ts';
import { type BatchBound, Caution } from './caution.ts';
import type { Delivery } from './delivery.ts';
import { Fifo } from './fifo.ts';
import { type Lanes, lanesFor } from './lanes.ts';
import { Ledger } from './ledger.ts';
import type { DoneRange } from './skip-map.ts';
import type { Suspicion } from './suspicion.ts';

export class Owned implements TopicPartition {
  readonly topic: string;
  readonly partition: number;
  readonly ledger: Ledger;
  /** Under caution, the caution in their place. */
  lanes: Lanes;
  /** Its last owner ended uncleanly, and what may have been in flight is not finished yet. */
  caution: Caution | undefined;
  /** A batch worker's. */
  readonly batched: boolean;
  /** Records that waited and may run again; they hold their lanes already. */
  readonly again = new Fifo<Delivery>();
  /** False once lost: nothing of it may be started, sent or committed. */
  alive = true;
  readonly #controller = new AbortController();
  /** In the fair queue. */
  scheduled = false;
  /** One batch in flight per partition: true while it is. */
  batchInFlight = false;
  /** Records and bytes in memory that count against the partition's bound. */
  held = 0;
  heldBytes = 0;
  /** Records put back until they are due: outside the bound, with one of their own. */
  deferred = 0;
  deferredBytes = 0;
  /** When the first of those is due, ms since the epoch, as far as is known; undefined when none waits. */
  firstDueAt: number | undefined;
  parked = 0;
  /** Handlers at work, and records whose outcome is on its way to the broker. */
  running = 0;
  settling = 0;
  /**
   * Why nothing is fetched: its queue is full, enough records wait for their time, the process is short of memory, or
   * the skip map is nearly full.
   */
  readonly pausedFor = new Set<'queue' | 'deferred' | 'memory' | 'skip-map'>();
  committed: number;
  /** Records above it that the commit called done. */
  committedAhead = 0;
  /** Records that were finished when it was made: what has been finished since, the next owner does again. */
  committedFinished = 0;
  committedAtMs = Number.NEGATIVE_INFINITY;
  /** Grows when what a commit has to say beside the watermark has changed; and as it was in the last commit. */
  revision = 0;
  committedRevision = 0;
  /** What the last acknowledged commit said about its owner; undefined when nobody knows. */
  told: OwnerState | undefined;
  /** Next offset to be written, as last heard; -1 before. */
  end = -1;

  constructor(
    { topic, partition }: TopicPartition,
    from: {
      start: number;
      doneBefore?: readonly DoneRange[];
      committed: number;
      order: Order;
      suspicion?: Suspicion | undefined;
      /** Of a batch worker. */
      batch?: BatchBound | undefined;
    },
  ) {
    this.topic = topic;
    this.partition = partition;
    this.ledger = new Ledger(from.start, from.doneBefore);
    this.lanes = lanesFor(from.order);
    this.committed = from.committed;
    this.batched = from.batch !== undefined;
    if (from.suspicion !== undefined) {
      this.caution = new Caution(this.lanes, from.suspicion, { batch: from.batch });
      this.lanes = this.caution;
    }
  }

  get id(): string {
    return partitionId(this.topic, this.partition);
  }

  /** Aborts when the partition is lost. */
  get signal(): AbortSignal {
    return this.#controller.signal;
  }

  /** Gives the partition up: its work is aborted, and what was unfinished is somebody else's. */
  lose(reason: unknown): void {
    this.alive = false;
    this.#controller.abort(reason);
  }

  /** A record that waited may run again. */
  runAgain(delivery: Delivery): void {
    if (this.caution === undefined) this.again.push(delivery);
    else this.caution.again(delivery);
  }

  /** Caution is over: the lanes give their records as they do everywhere. */
  openLanes(): void {
    if (this.caution === undefined) return;
    for (const delivery of this.caution.rest()) this.again.push(delivery);
    this.lanes = this.caution.lanes;
    this.caution = undefined;
  }

  /** Whether a record could be started now. */
  get runnable(): boolean {
    return this.alive && (this.again.size > 0 || this.lanes.runnable);
  }

  next(): Delivery | undefined {
    return this.again.shift() ?? this.lanes.next();
  }

  peek(): Delivery | undefined {
    return this.again.peek() ?? this.lanes.peek();
  }

  /** The record whose turn is next, also while its lane is held or it may not start yet. */
  get upNext(): Delivery | undefined {
    return this.again.peek() ?? this.lanes.upNext;
  }

  /** Records waiting for their turn. */
  get queued(): number {
    return this.lanes.queued + this.again.size;
  }
}

export function partitionId(topic: string, partition: number): string {
  return `${topic}/${partition}`;
}
