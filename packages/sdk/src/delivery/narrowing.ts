/**
 * Finding the record that kills its process, among those that may. For the whole process, over all its partitions under
 * caution:
 *
 *   1. A record with two strikes runs alone: everything else waits until it is finished, or has begun to wait itself.
 *      Whoever dies then has its third strike for a good reason; an innocent record comes out of it finished, also when it
 *      was the sum of many that the memory could not hold.
 *   2. A record with three is buried the same way, alone and written down, since decoding it or `onDeadLetter` may be what
 *      kills; with four, it is buried unread. Not before the last owner has had the time to be heard of again: a connection
 *      that broke looks like a death.
 *   3. Only then do those with fewer strikes start, among others, a group on each commit (pace.ts).
 *
 * The process belongs to the lonely for a minute in all. After that (handlers of many seconds, dozens of suspects) the
 * others go on beside them, still one suspect at a time: throughput comes back at the price of a coarser blame.
 *
 * Meanwhile the group's commits are read every second: an owner that commits again was away, not dead, and what was held
 * against records for its sake is taken back.
 *
 * A write-ahead that does not get through starts nothing; it is made again with the next tick, and nothing is lost but time.
 */
import type { Clock, Logger } from '@weir/core';
import { RecordPoisonousError } from '../errors.ts';
import type { Delivery } from './delivery.ts';
import type { FairQueue } from './fair.ts';
import type { Owned } from './owned.ts';
import { isOver, Pace } from './pace.ts';
import { type End, STRIKES_DEAD } from './suspicion.ts';

export interface NarrowingOptions {
  readonly fair: FairQueue;
  readonly clock: Clock;
  readonly log: Logger;
  readonly metrics: { poisoned(): void };
  /** Commits what has changed. False when it did not get through. */
  readonly writeAhead: () => Promise<boolean>;
  /** False during a join, a drain, before the member has said that it is at work. */
  readonly mayStart: () => boolean;
  /** Handlers at work, hooks included. */
  readonly atWork: () => number;
  /** How many more handlers may start. */
  readonly room: () => number;
  readonly pump: () => void;
  /** Sends the record to the dead letters; `read` decodes it first, for `onDeadLetter`. */
  readonly bury: (delivery: Delivery, error: RecordPoisonousError, read: boolean) => void;
  /** Which of these owners have been seen alive since: they were away, not dead. */
  readonly alive: (ends: readonly End[]) => Promise<readonly End[]>;
  /** Nobody is buried sooner than this after a partition was taken over: an owner that was only away may be heard of. */
  readonly returnsWithinMs: number;
}

/** How long the suspects may have the process to themselves, all together. */
const ALONE_FOR_MS = 60_000;
/** How often the group's commits are read while anything is under caution; a question to Kafka each time. */
const LOOK_FOR_THE_LIVING_MS = 1_000;

export class Narrowing {
  readonly #options: NarrowingOptions;
  /** And since when they are this member's, monotonic ms. */
  readonly #careful = new Map<Owned, number>();
  /** The one suspect that has started. */
  #lonely: Delivery | undefined;
  readonly #pace: Pace;
  #aloneSinceMs: number | undefined;
  #lookForTheLivingAtMs = Number.NEGATIVE_INFINITY;
  #stepping = false;
  #again = false;
  #stopped = false;

  constructor(options: NarrowingOptions) {
    this.#options = options;
    this.#pace = new Pace(options.clock, () => this.look());
  }

  /** A step is under way that will start something, or could be. */
  get busy(): boolean {
    return this.#stepping;
  }

  /** Records under suspicion one by one. */
  get suspects(): number {
    let count = 0;
    for (const { caution } of this.#careful.keys()) count += caution?.size ?? 0;
    return count;
  }

  /** A partition was taken over; with caution when its last owner ended uncleanly. */
  watch(owned: Owned): void {
    if (owned.caution !== undefined) this.#careful.set(owned, this.#options.clock.monotonic());
  }

  /** A drain: nothing is narrowed any more, what has been cleared may run. */
  stop(): void {
    this.#stopped = true;
    this.#pace.stop();
    this.#options.fair.only = undefined;
  }

  /** Something has changed: records came, one ended, an assignment did. Harmless at any time. */
  look(): void {
    if (this.#careful.size === 0 || this.#stopped) return;
    this.#again = true;
    if (this.#stepping) return;
    this.#stepping = true;
    void this.#steps().finally(() => {
      this.#stepping = false;
      this.#options.pump();
    });
  }

  async #steps(): Promise<void> {
    while (this.#again && !this.#stopped) {
      this.#again = false;
      try {
        await this.#step();
      } catch (error) {
        this.#options.log.error(
          { error },
          'looking for the record that ends the process failed; it goes on with the next tick',
        );
        return;
      }
    }
  }

  async #step(): Promise<void> {
    const { fair, atWork, clock, mayStart } = this.#options;
    if (await this.#endCaution()) this.#again = true;
    if (this.#lonely !== undefined && isOver(this.#lonely)) this.#lonely = undefined;
    if (this.#careful.size === 0) {
      this.#aloneSinceMs = undefined;
      fair.only = undefined;
      return;
    }
    if (!mayStart()) return;
    if ((await this.#forgiveTheLiving()) || !mayStart()) return;
    const alone = this.#aloneSinceMs === undefined || clock.monotonic() - this.#aloneSinceMs < ALONE_FOR_MS;
    if (this.#lonely !== undefined && alone) return;
    const owned = this.#lonely === undefined ? this.#nextAlone() : undefined;
    if (owned !== undefined) {
      this.#aloneSinceMs ??= clock.monotonic();
      fair.only = alone ? null : undefined;
      if (alone && atWork() > 0) return;
      await this.#startAlone(owned, alone);
      return;
    }
    fair.only = undefined;
    await this.#startAmong();
  }

  /** Partitions where nothing is left to be careful about. @returns whether there were any */
  async #endCaution(): Promise<boolean> {
    const over: Owned[] = [];
    for (const owned of this.#careful.keys()) {
      if (!owned.alive || owned.caution === undefined) {
        this.#careful.delete(owned);
        continue;
      }
      owned.caution.sort(owned.batchInFlight);
      if (owned.caution.isOver(owned.ledger.next)) over.push(owned);
    }
    if (over.length === 0 || !this.#options.mayStart()) return false;
    for (const owned of over) {
      owned.caution!.ended = true;
      owned.revision++;
    }
    // What starts from now on is not written down: the next owner must know that first.
    if (!(await this.#options.writeAhead()))
      this.#options.log.debug({}, 'the end of caution could not be committed; the next commit says it');
    for (const owned of over) {
      this.#careful.delete(owned);
      owned.openLanes();
      this.#options.fair.add(owned);
    }
    return true;
  }

  #nextAlone(): Owned | undefined {
    const { clock, returnsWithinMs } = this.#options;
    for (const [owned, sinceMs] of this.#careful) {
      const next = isFree(owned) ? owned.caution!.nextAlone : undefined;
      if (next === undefined) continue;
      if (owned.caution!.strikesOf(next.offset) < STRIKES_DEAD || clock.monotonic() - sinceMs >= returnsWithinMs)
        return owned;
    }
    return undefined;
  }

  /**
   * Not only before a burial: by the time of the third strike an owner that was back for a while may have left in order,
   * and nobody could tell any more.
   * @returns whether anything was forgiven: records are to be sorted again, by another step
   */
  async #forgiveTheLiving(when: 'now' | 'in turn' = 'in turn'): Promise<boolean> {
    const { alive, clock, log } = this.#options;
    if (when === 'in turn' && clock.monotonic() < this.#lookForTheLivingAtMs) return false;
    this.#lookForTheLivingAtMs = clock.monotonic() + LOOK_FOR_THE_LIVING_MS;
    const ends = [...this.#careful.keys()].flatMap(({ caution }) => caution?.ends ?? []);
    const living = ends.length === 0 ? [] : await alive(ends);
    let forgave = false;
    for (const owned of this.#careful.keys()) {
      const back = owned.caution?.ends.filter((end) => living.includes(end)) ?? [];
      if (back.length === 0) continue;
      const owners = back.map(({ writer }) => writer);
      log.info({ partition: owned.id, owners }, 'an owner that was thought dead is back');
      owned.caution!.forgive(back);
      owned.revision++;
      this.#again = forgave = true;
    }
    return forgave;
  }

  async #startAlone(owned: Owned, alone: boolean): Promise<void> {
    const { fair, log, metrics, bury } = this.#options;
    const caution = owned.caution!;
    const strikes = caution.strikesOf(caution.nextAlone!.offset);
    if (strikes >= STRIKES_DEAD && (await this.#forgiveTheLiving('now'))) return;
    const [delivery] = caution.write('alone', 1);
    if (delivery === undefined) return;
    owned.revision++;
    if (!(await this.#options.writeAhead()) || !this.#options.mayStart()) {
      caution.unwrite('alone', [delivery]);
      return;
    }
    if (!owned.alive) return;
    this.#lonely = delivery;
    if (strikes >= STRIKES_DEAD) {
      metrics.poisoned();
      bury(delivery, new RecordPoisonousError(strikes, caution.ends), strikes === STRIKES_DEAD);
      this.#again = true;
      return;
    }
    log.warn(
      { record: `${owned.id}/${delivery.offset}`, ends: strikes },
      `${strikes} processes ended while this record was in flight: it runs alone${alone ? '' : ' among the suspects'} now`,
    );
    caution.clear([delivery]);
    if (alone) fair.only = owned;
    fair.add(owned);
    this.#options.pump();
  }

  async #startAmong(): Promise<void> {
    const { room, writeAhead, mayStart } = this.#options;
    const waiting = [...this.#careful.keys()].filter((owned) => isFree(owned) && owned.caution!.among > 0);
    if (waiting.length === 0) return;
    const written: { owned: Owned; deliveries: Delivery[] }[] = [];
    let left = this.#pace.next(room());
    for (const [at, owned] of waiting.entries()) {
      // One batch takes them all, so a batch's worth is shared out; one by one each takes its part of the group.
      const most = owned.batched ? 1 / waiting.length : Math.ceil(left / (waiting.length - at));
      if (most <= 0) break;
      const deliveries = owned.caution!.write('among', most);
      left -= deliveries.length;
      owned.revision++;
      written.push({ owned, deliveries });
    }
    if (written.length === 0) return;
    const told = (await writeAhead()) && mayStart();
    for (const { owned, deliveries } of written) {
      if (!owned.alive || owned.caution === undefined) continue;
      if (told) owned.caution.clear(deliveries);
      else owned.caution.unwrite('among', deliveries);
    }
    if (!told) return;
    this.#pace.started(written.flatMap(({ deliveries }) => deliveries));
    for (const { owned } of written) {
      if (!owned.batched) this.#startNow(owned);
      this.#options.fair.add(owned);
    }
    this.#options.pump();
    this.#again = true;
  }

  /** Gives every turn to this partition, for as long as it takes to start what it has cleared. */
  #startNow(owned: Owned): void {
    const { fair, pump } = this.#options;
    fair.only = owned;
    pump();
    fair.only = undefined;
  }
}

/** Something of it may be written down: a batch worker's partition has one batch in flight, and no other on its way. */
function isFree({ caution, batched, batchInFlight }: Owned): boolean {
  return caution !== undefined && !(batched && (batchInFlight || caution.queued > 0));
}
