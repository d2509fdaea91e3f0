/**
 * The records of one fetch that wait for their turn, in the order of their offsets. They stay rows of the fetch's columns
 * until they are taken: a queue of a million records is a few hundred of these, and the garbage collector has as many
 * things to visit.
 */
import type { Records } from '../kafka/port.ts';
import { Delivery } from './delivery.ts';
import type { Owned } from './owned.ts';

export class Waiting {
  readonly #records: Records;
  readonly #owned: Owned;
  readonly #queuedAt: number;
  /** Slots of the ledger rise with the rows. */
  readonly #slotOfFirst: number;
  /** Some of the rows were finished by a former owner. */
  readonly #someDone: boolean;
  #at: number;
  #left: number;

  /**
   * @param from.first  the first row; all before it are somebody's already
   * @param from.slot   the ledger's slot of that row; each row behind it has the next one
   * @param from.left   rows that are unfinished, from there to the end
   */
  constructor(records: Records, owned: Owned, from: { first: number; slot: number; left: number; queuedAt: number }) {
    this.#records = records;
    this.#owned = owned;
    this.#at = from.first;
    this.#slotOfFirst = from.slot - from.first;
    this.#left = from.left;
    this.#someDone = from.left < records.length - from.first;
    this.#queuedAt = from.queuedAt;
  }

  /** Records that have not been taken. */
  get left(): number {
    return this.#left;
  }

  /** The next one. Not to be called when none is left. */
  take(): Delivery {
    if (this.#someDone) while (this.#owned.ledger.isFinished(this.#slotOfFirst + this.#at)) this.#at++;
    const index = this.#at++;
    this.#left--;
    const delivery = new Delivery(this.#records, index, this.#owned, this.#slotOfFirst + index);
    delivery.queuedAt = this.#queuedAt;
    return delivery;
  }
}
