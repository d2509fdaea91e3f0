/**
 * A partition whose last owner ended uncleanly: in place of its lanes, until everything that was or may have been in
 * flight then is finished. Records come out of the lanes in their order, but none starts before a commit has written it
 * down:
 *
 *   lanes --sorted--> among others (0 or 1 strikes) --written down--> cleared --runner--> in hand --finished--> forgotten
 *                 \-> alone        (2 or more)     --written down-/                        \--waits--> lanes, again
 *
 * A lane is held from the moment its record leaves the lanes, so the promised order stays. A batch worker's partition goes
 * on strictly by offset, one of these at a time: its sink may store offsets. Who may start when, and with whom, is decided
 * for the whole process in narrowing.ts.
 */
import type { Delivery } from './delivery.ts';
import { Fifo } from './fifo.ts';
import type { Lanes } from './lanes.ts';
import { type End, STRIKES_ALONE, type Suspect, type Suspicion } from './suspicion.ts';
import type { Waiting } from './waiting.ts';

export interface BatchBound {
  readonly maxRecords: number;
  readonly maxBytes: number;
}

export class Caution implements Lanes {
  /** The partition's real lanes. */
  readonly lanes: Lanes;
  /** Below it, what is neither finished nor known better has one strike. */
  #until: number;
  #ends: readonly End[];
  /** Known strikes of what is not finished, by offset. */
  readonly #strikes = new Map<number, number>();
  /** Waited, and may run again. */
  readonly #returned = new Fifo<Delivery>();
  readonly #among = new Fifo<Delivery>();
  readonly #alone = new Fifo<Delivery>();
  readonly #cleared = new Fifo<Delivery>();
  /** Written down, or about to be, and not finished. */
  readonly #written = new Map<number, Delivery>();
  /** A batch worker's partition goes on by offset, a batch at a time. */
  readonly #batch: BatchBound | undefined;
  /** Nothing is under suspicion any more; the lanes open when a commit has said so. */
  ended = false;

  constructor(lanes: Lanes, suspicion: Suspicion, options: { batch: BatchBound | undefined }) {
    this.lanes = lanes;
    this.#until = suspicion.until;
    this.#ends = suspicion.ends;
    this.#batch = options.batch;
    for (const { offset, strikes } of suspicion.suspects) this.#strikes.set(offset, strikes);
  }

  get ends(): readonly End[] {
    return this.#ends;
  }

  strikesOf(offset: number): number {
    return this.#strikes.get(offset) ?? (offset < this.#until ? 1 : 0);
  }

  /** Some of the ended owners live: as many strikes less for everybody, and none at all when nobody has died. */
  forgive(alive: readonly End[]): void {
    if (alive.length === 0) return;
    this.#ends = this.#ends.filter((end) => !alive.includes(end));
    if (this.#ends.length === 0) this.#until = 0;
    for (const [offset, strikes] of this.#strikes) this.#strikes.set(offset, Math.max(0, strikes - alive.length));
    for (let count = this.#alone.size; count > 0; count--) this.#returned.push(this.#alone.shift()!);
  }

  /** What a commit says: everything in hand, and whoever is one strike from running alone or past it. */
  suspicion(): Suspicion {
    const suspects = new Map<number, Suspect>();
    for (const [offset, strikes] of this.#strikes)
      if (strikes >= STRIKES_ALONE) suspects.set(offset, { offset, strikes, inFlight: false });
    for (const [offset, delivery] of this.#written)
      if (delivery.state !== 'waiting' && delivery.state !== 'finished')
        suspects.set(offset, { offset, strikes: this.strikesOf(offset), inFlight: true });
    return {
      until: this.#until,
      ends: this.#ends,
      suspects: [...suspects.values()].sort((a, b) => a.offset - b.offset),
    };
  }

  /** Under suspicion and not finished, as far as they are listed one by one. */
  get size(): number {
    let count = this.#written.size;
    for (const offset of this.#strikes.keys()) if (!this.#written.has(offset)) count++;
    return count;
  }

  /** Sorts what the lanes give, and forgets what is finished, or put back for a time by its own handler. */
  sort(busy: boolean): void {
    for (const [offset, delivery] of this.#written) {
      if (delivery.state !== 'finished' && !(delivery.state === 'waiting' && delivery.dueAt > 0)) continue;
      this.#written.delete(offset);
      this.#strikes.delete(offset);
    }
    if (this.#batch !== undefined && (busy || this.#among.size + this.#alone.size + this.#cleared.size > 0)) return;
    for (;;) {
      const next = this.#returned.peek() ?? this.lanes.peek();
      if (next === undefined) return;
      const alone = this.strikesOf(next.offset) >= STRIKES_ALONE;
      if (
        this.#batch !== undefined &&
        (this.#alone.size > 0 || this.#among.size >= (alone ? 1 : this.#batch.maxRecords))
      )
        return;
      (alone ? this.#alone : this.#among).push((this.#returned.shift() ?? this.lanes.next())!);
    }
  }

  /** The next record that has to be alone; left where it is. */
  get nextAlone(): Delivery | undefined {
    return this.#alone.peek();
  }

  /** Records that may start among others once they are written down. */
  get among(): number {
    return this.#among.size;
  }

  /**
   * Takes records that are to be written down, to be cleared or put back by the caller.
   * @param most  records; of a batch worker's partition a share of a batch, more than 0 and at most 1
   */
  write(which: 'among' | 'alone', most: number): Delivery[] {
    const from = which === 'alone' ? this.#alone : this.#among;
    const records = this.#batch === undefined ? most : Math.ceil(this.#batch.maxRecords * most);
    let bytes = this.#batch === undefined ? Number.POSITIVE_INFINITY : this.#batch.maxBytes * most;
    const taken: Delivery[] = [];
    while (taken.length < records && from.size > 0 && (taken.length === 0 || from.peek()!.bytes <= bytes)) {
      const delivery = from.shift()!;
      bytes -= delivery.bytes;
      this.#written.set(delivery.offset, delivery);
      taken.push(delivery);
    }
    return taken;
  }

  /** The commit got through: they may start. */
  clear(deliveries: readonly Delivery[]): void {
    for (const delivery of deliveries) this.#cleared.push(delivery);
  }

  /** It did not: they wait for the next one, before all others. */
  unwrite(which: 'among' | 'alone', deliveries: readonly Delivery[]): void {
    const into = which === 'alone' ? this.#alone : this.#among;
    for (const delivery of deliveries.toReversed()) {
      this.#written.delete(delivery.offset);
      into.unshift(delivery);
    }
  }

  /** Everything that was or may have been in flight is finished, put back, or somebody else's. */
  isOver(fetchedTo: number): boolean {
    if (fetchedTo < this.#until || this.#alone.size > 0) return false;
    const suspect = (delivery: Delivery) => delivery.offset < this.#until;
    const next = this.lanes.peek();
    if (next !== undefined && suspect(next)) return false;
    for (const delivery of this.#written.values()) if (suspect(delivery)) return false;
    for (const queue of [this.#returned, this.#among, this.#cleared])
      for (const delivery of queue) if (suspect(delivery)) return false;
    return true;
  }

  /** What was taken from the lanes and has not started, in its order, when caution ends. */
  *rest(): Generator<Delivery> {
    for (const queue of [this.#cleared, this.#returned, this.#among]) while (queue.size > 0) yield queue.shift()!;
  }

  /** A record that waited and may run again: it is written down again. */
  again(delivery: Delivery): void {
    this.#written.delete(delivery.offset);
    this.#returned.push(delivery);
  }

  // ---- in place of the lanes ----------------------------------------------------------------------------------------

  add(waiting: Waiting): void {
    this.lanes.add(waiting);
  }

  next(): Delivery | undefined {
    return this.#cleared.shift();
  }

  peek(): Delivery | undefined {
    return this.#cleared.peek();
  }

  get upNext(): Delivery | undefined {
    let first = this.lanes.upNext;
    for (const queue of [this.#cleared, this.#returned, this.#among, this.#alone]) {
      const next = queue.peek();
      if (next !== undefined && (first === undefined || next.offset < first.offset)) first = next;
    }
    return first;
  }

  release(delivery: Delivery): void {
    this.lanes.release(delivery);
  }

  get runnable(): boolean {
    return this.#cleared.size > 0;
  }

  /** Those that may start: the others wait for a commit, and a drain does not wait for them. */
  get queued(): number {
    return this.#cleared.size;
  }

  get width(): number {
    return this.lanes.width;
  }

  get widest(): number {
    return this.lanes.widest;
  }

  widestSaid(): void {
    this.lanes.widestSaid();
  }
}
