/**
 * A group's load dealt to n workers: does it fit, and how heavy is the heaviest?
 *
 * A partition can be worked on only as fast as its own lanes allow. What goes beyond that no number of replicas can help,
 * so it is cut off before anything is asked of a worker: a partition with 50/s arriving that manages 10/s asks for 10/s,
 * and a backlog that its lanes cannot clear in time counts as much as they can.
 */
import { assignAgain, assignFresh } from '../kafka/assigner.ts';
import type { TopicPartition } from '../kafka/port.ts';
import { type Capacity, workerCapacity } from './capacity.ts';
import { leastWorkers } from './least-workers.ts';

export interface Load extends TopicPartition {
  /** λ, records per second. */
  readonly arrival: number;
  /** B: records that could be worked on now. */
  readonly backlog: number;
  readonly lanes: number;
  /** Its owner has stopped it because a dependency is down. */
  readonly broken: boolean;
}

export type Hands = readonly (readonly Load[])[];

/** For comparing sums of fractions. */
const ROUNDING = 1 + 1e-9;
/** "No heavier" when snapping: rates are estimates, and a worker heavier by this little is not slower. */
const SNAP_TOLERANCE = 1.02;

export class Fleet {
  readonly capacity: Capacity;
  readonly loads: readonly Load[];
  /** Who has what today; undefined when that is not known for every partition. */
  readonly today: Hands | undefined;
  readonly #catchUpSeconds: number;
  readonly #hands = new Map<number, Hands>();

  /** @param today  the real assignment, one list for each member; ignored unless it covers every partition */
  constructor(options: {
    capacity: Capacity;
    loads: readonly Load[];
    catchUpSeconds: number;
    today?: readonly (readonly TopicPartition[])[];
  }) {
    this.capacity = options.capacity;
    this.loads = options.loads;
    this.#catchUpSeconds = options.catchUpSeconds;
    this.today = options.today && realHands(options.today, options.loads);
  }

  /** C_p: what a partition's own lanes manage. */
  partitionCapacity(load: Load): number {
    return workerCapacity(this.capacity, load.lanes);
  }

  /** C_w of a worker that owns these. */
  workerCapacity(hand: readonly Load[]): number {
    return workerCapacity(
      this.capacity,
      sum(hand, (load) => load.lanes),
    );
  }

  /** Today's real assignment when n run today, else what the group's assigner would deal. */
  hands(n: number): Hands {
    return this.today?.length === n ? this.today : this.#dealt(n);
  }

  /** What members who have these would get if they joined only to have the partitions balanced. */
  balanced(hands: Hands): Hands {
    return assignAgain(hands, this.loads, (load) => this.#weight(load), true);
  }

  #dealt(n: number): Hands {
    let hands = this.#hands.get(n);
    if (!hands) {
      hands = assignFresh(n, this.loads, (load) => this.#weight(load));
      this.#hands.set(n, hands);
    }
    return hands;
  }

  /** Every worker keeps up with its arrivals at `share` of its capacity and clears its backlog within catchUp. */
  fits(n: number, share: number): boolean {
    return this.handsFit(this.hands(n), share);
  }

  handsFit(hands: Hands, share: number): boolean {
    return hands.every((hand) => {
      const capacity = this.workerCapacity(hand);
      const arrival = sum(hand, (load) => this.#arrival(load, share));
      if (arrival > share * capacity * ROUNDING) return false;
      const backlog = sum(hand, (load) => this.#backlog(load, share));
      return backlog <= this.#catchUpSeconds * (capacity - arrival) * ROUNDING;
    });
  }

  /** Partitions whose own lanes cannot clear their backlog within catchUp, however many workers there are. */
  get late(): readonly Load[] {
    return this.loads.filter((load) => {
      const spare = this.partitionCapacity(load) - load.arrival;
      return load.backlog > 0 && load.backlog > this.#catchUpSeconds * spare * ROUNDING;
    });
  }

  /** What the heaviest of n workers has to do, as a share of what it can. */
  heaviest(n: number): number {
    return this.heaviestOf(this.hands(n));
  }

  heaviestOf(hands: Hands): number {
    let most = 0;
    for (const hand of hands) {
      const capacity = this.workerCapacity(hand);
      if (capacity > 0) most = Math.max(most, sum(hand, (load) => this.#weight(load)) / capacity);
    }
    return most;
  }

  /** The least number in [low, high] that fits; `high` when none does. Fewer than run need more room. */
  need(low: number, high: number, room: (n: number) => number): { n: number; fits: boolean } {
    // Even dealt perfectly the arrivals need so many: with a thousand partitions the rest is not worth trying.
    const share = Math.max(room(low), room(high));
    const arrivals = this.loads.map((load) => this.#arrival(load, share));
    const first = Math.min(high, Math.max(low, leastWorkers(arrivals, share * this.#mostOfAWorker)));
    for (let n = first; n <= high; n++) if (this.fits(n, room(n))) return { n, fits: true };
    return { n: high, fits: false };
  }

  /**
   * The least number in [low, n] whose heaviest worker is no heavier than with n: the others would be wasted. Both as
   * dealt anew: were today's uneven assignment the measure, fewer workers would look as good and the gap between go and
   * keep would be lost.
   */
  snap(low: number, n: number): number {
    const limit = this.heaviestOf(this.#dealt(n)) * SNAP_TOLERANCE;
    const weights = this.loads.map((load) => this.#weight(load));
    const first = Math.max(low, leastWorkers(weights, limit * this.#mostOfAWorker));
    for (let fewer = first; fewer < n; fewer++) if (this.heaviestOf(this.#dealt(fewer)) <= limit) return fewer;
    return n;
  }

  /** What a worker manages whose partitions have lanes enough, and a hair more: sums are compared with it. */
  get #mostOfAWorker(): number {
    return workerCapacity(this.capacity, Number.POSITIVE_INFINITY) * ROUNDING;
  }

  #arrival(load: Load, share: number): number {
    return Math.min(load.arrival, share * this.partitionCapacity(load));
  }

  #backlog(load: Load, share: number): number {
    const spare = this.partitionCapacity(load) - this.#arrival(load, share);
    return Math.min(load.backlog, this.#catchUpSeconds * spare);
  }

  /** λ + B / catchUp, and no more than its lanes manage. */
  #weight(load: Load): number {
    return Math.min(load.arrival + load.backlog / this.#catchUpSeconds, this.partitionCapacity(load));
  }
}

function realHands(today: readonly (readonly TopicPartition[])[], loads: readonly Load[]): Hands | undefined {
  const left = new Map(loads.map((load) => [`${load.topic}/${load.partition}`, load]));
  const hands = today.map((owned) =>
    owned.flatMap(({ topic, partition }) => {
      const load = left.get(`${topic}/${partition}`);
      left.delete(`${topic}/${partition}`);
      return load ? [load] : [];
    }),
  );
  return left.size === 0 ? hands : undefined;
}

function sum<T>(of: readonly T[], value: (each: T) => number): number {
  let total = 0;
  for (const each of of) total += value(each);
  return total;
}
