/**
 * Lanes keep the order that was promised within one partition. Records of one lane run one after the other; different
 * lanes run at the same time.
 *
 *   none        every record is a lane of its own: a plain queue
 *   partition   one lane for all
 *   key         one lane for each key at work; a record without a key has a lane of its own, as it has no order in Kafka
 *
 * `next` takes a record and holds its lane; `release` frees the lane when the record is settled. A record that waits
 * (in-place retry, parked, put back) keeps its lane, so nothing passes it.
 */
import type { Order } from '../define.ts';
import type { Delivery } from './delivery.ts';
import { Fifo } from './fifo.ts';
import type { Waiting } from './waiting.ts';

export interface Lane {
  readonly key: string;
  readonly queue: Fifo<Delivery>;
  held: boolean;
}

export interface Lanes {
  /** Queues the records of a fetch, behind those that are queued. */
  add(waiting: Waiting): void;
  /** The next record whose lane is free; its lane is held from now on. */
  next(): Delivery | undefined;
  /** What `next` would give, held by nobody yet. */
  peek(): Delivery | undefined;
  /** The record whose turn is next: what `next` would give or, while all lanes are held, the first behind them. */
  readonly upNext: Delivery | undefined;
  release(delivery: Delivery): void;
  /** Whether `next` would give one. */
  readonly runnable: boolean;
  readonly queued: number;
  /** Lanes with a record queued or held: how parallel this partition can be right now. Infinity without an order. */
  readonly width: number;
  /** The most that `width` has been since the commit before the last: what a fetch brings may be done before anybody looks. */
  readonly widest: number;
  /** A commit has said `widest`. */
  widestSaid(): void;
}

/** Records in the order they came, each made when it is looked at. */
class Queue {
  readonly #waiting = new Fifo<Waiting>();
  #front: Delivery | undefined;
  size = 0;

  add(waiting: Waiting): void {
    if (waiting.left === 0) return;
    this.size += waiting.left;
    this.#waiting.push(waiting);
  }

  shift(): Delivery | undefined {
    const delivery = this.peek();
    if (delivery === undefined) return undefined;
    this.#front = undefined;
    this.size--;
    return delivery;
  }

  peek(): Delivery | undefined {
    if (this.#front !== undefined) return this.#front;
    const waiting = this.#waiting.peek();
    if (waiting === undefined) return undefined;
    this.#front = waiting.take();
    if (waiting.left === 0) this.#waiting.shift();
    return this.#front;
  }
}

class Unordered implements Lanes {
  readonly #queue = new Queue();
  readonly width = Number.POSITIVE_INFINITY;
  add(waiting: Waiting): void {
    this.#queue.add(waiting);
  }
  next(): Delivery | undefined {
    return this.#queue.shift();
  }
  peek(): Delivery | undefined {
    return this.#queue.peek();
  }
  get upNext(): Delivery | undefined {
    return this.#queue.peek();
  }
  release(): void {}
  get widest(): number {
    return this.width;
  }
  widestSaid(): void {}
  get runnable(): boolean {
    return this.#queue.size > 0;
  }
  get queued(): number {
    return this.#queue.size;
  }
}

class ByPartition implements Lanes {
  readonly #queue = new Queue();
  readonly width = 1;
  #held = false;
  add(waiting: Waiting): void {
    this.#queue.add(waiting);
  }
  next(): Delivery | undefined {
    if (this.#held) return undefined;
    const delivery = this.#queue.shift();
    this.#held = delivery !== undefined;
    return delivery;
  }
  peek(): Delivery | undefined {
    return this.#held ? undefined : this.#queue.peek();
  }
  get upNext(): Delivery | undefined {
    return this.#queue.peek();
  }
  release(): void {
    this.#held = false;
  }
  get widest(): number {
    return this.width;
  }
  widestSaid(): void {}
  get runnable(): boolean {
    return !this.#held && this.#queue.size > 0;
  }
  get queued(): number {
    return this.#queue.size;
  }
}

class ByKey implements Lanes {
  readonly #lanes = new Map<string, Lane>();
  /** Lanes that are free and have something queued, longest free first: fair among keys. */
  readonly #free = new Fifo<Lane>();
  #queued = 0;
  #keyless = 0;
  /** Since the last commit, and from the commit before it to that one. */
  #widest = 0;
  #widestBefore = 0;

  /** All at once: which lane a record belongs to has to be known now. */
  add(waiting: Waiting): void {
    while (waiting.left > 0) this.#push(waiting.take());
  }

  #push(delivery: Delivery): void {
    this.#queued++;
    const { rawKey } = delivery;
    // latin1 keeps every byte apart, which UTF-8 would not for bytes that are no text.
    const key = rawKey === null ? `\u0000${this.#keyless++}` : `k${rawKey.toString('latin1')}`;
    let lane = this.#lanes.get(key);
    if (lane === undefined) {
      lane = { key, queue: new Fifo(), held: false };
      this.#lanes.set(key, lane);
      if (this.#lanes.size > this.#widest) this.#widest = this.#lanes.size;
    }
    delivery.lane = lane;
    lane.queue.push(delivery);
    if (!lane.held && lane.queue.size === 1) this.#free.push(lane);
  }

  next(): Delivery | undefined {
    const lane = this.#free.shift();
    if (lane === undefined) return undefined;
    lane.held = true;
    this.#queued--;
    return lane.queue.shift();
  }

  peek(): Delivery | undefined {
    return this.#free.peek()?.queue.peek();
  }

  /** Looks at every lane only while all are held, and so no more than there are records in hand. */
  get upNext(): Delivery | undefined {
    let first = this.peek();
    if (first !== undefined || this.#queued === 0) return first;
    for (const { queue } of this.#lanes.values()) {
      const next = queue.peek();
      if (next !== undefined && (first === undefined || next.offset < first.offset)) first = next;
    }
    return first;
  }

  release(delivery: Delivery): void {
    const lane = delivery.lane;
    if (lane === undefined) return;
    lane.held = false;
    if (lane.queue.size > 0) this.#free.push(lane);
    else this.#lanes.delete(lane.key);
  }

  get runnable(): boolean {
    return this.#free.size > 0;
  }
  get queued(): number {
    return this.#queued;
  }
  get width(): number {
    return this.#lanes.size;
  }
  get widest(): number {
    return Math.max(this.#widest, this.#widestBefore);
  }
  widestSaid(): void {
    this.#widestBefore = this.#widest;
    this.#widest = this.#lanes.size;
  }
}

export function lanesFor(order: Order): Lanes {
  switch (order) {
    case 'none':
      return new Unordered();
    case 'partition':
      return new ByPartition();
    case 'key':
      return new ByKey();
    default:
      throw new TypeError(`unknown order ${order satisfies never}`);
  }
}
