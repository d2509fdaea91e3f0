/**
 * What one worker process measures of itself, to be written into the signals of its partitions:
 *
 *   λ          arrivals of a partition, from how its end offset grows; no record has to be handled for it to be true
 *   r          what one lane handles per second: 1 / mean seconds of handling. Waiting does not count, so the rate is the
 *              same under little and under full load
 *   best rate  what the whole process sustained while every slot was taken; bounds what r promises when something
 *              hidden (a pool of four connections, one core) is the true limit
 *   p95        of handling, for people
 *   rebalance  how long one stops this process
 *
 * `handled` runs once per record and only adds numbers; everything that decays does so in `sample`, once a second.
 */
import type { Clock } from '@weir/core';
import type { TopicPartition } from '../kafka/port.ts';
import type { Signal } from '../metadata.ts';

/**
 * The parts of a signal that the meter does not measure. `sentAt` is the meter's clock unless given; `oldestAt` is Infinity
 * when nothing waits.
 */
export type SignalFacts = Omit<
  Signal,
  'arrivalPerSecond' | 'laneRate' | 'bestRate' | 'p95Seconds' | 'rebalanceSeconds' | 'sentAt'
> & {
  readonly sentAt?: number;
};

export interface LoadMeterOptions {
  readonly clock: Clock;
  /** Arrival rates are averaged over a tenth of it, 5 to 30 s (half-life). */
  readonly catchUpMs?: number;
  /** Of a batch worker: records in a full batch. Its lane rate is then that of full batches. */
  readonly batchRecords?: number;
}

/** The handling window: what was seen a minute ago weighs half. */
const HANDLING_HALF_LIFE_MS = 60_000;
/** A rate is "sustained" when every slot was taken for this long on end. */
const SUSTAINED_MS = 10_000;
/** The best rate is kept for an hour, in slices, so that it can be forgotten slice by slice. */
const BEST_SLICE_MS = 5 * 60_000;
const BEST_SLICES = 12;
/** Lanes are the most that were seen at once in the last one to two of these. */
const LANES_WINDOW_MS = 30_000;
/** One rebalance that was slow by accident is no measure: the middle of so many is. */
const REBALANCES = 5;
/** A rate from less time than this is not trusted to be that high: it counts as if nothing had come before. */
const FIRST_ARRIVALS_MS = 10_000;

interface Arrivals {
  end: number | undefined;
  seenAtMs: number;
  /** Decayed rate and the weight of the time it was seen for (1 = for ever). */
  rate: number;
  weight: number;
  /** Most lanes in this window and in the one before. */
  lanes: number;
  lanesBefore: number;
  lanesWindow: number;
}

export class LoadMeter {
  readonly #clock: Clock;
  readonly #arrivalHalfLifeMs: number;
  readonly #batchRecords: number;
  readonly #partitions = new Map<string, Map<number, Arrivals>>();
  readonly #durations = new Durations();
  /** Decayed sums over calls: calls, records, seconds, records squared, records x seconds. */
  #calls = 0;
  #records = 0;
  #seconds = 0;
  #squares = 0;
  #products = 0;
  /** What the former owners of our partitions knew, until we know better. */
  #inheritedLaneRate = 0;
  #inheritedP95 = 0;
  #inheritedRebalance = 0;
  readonly #rebalances: number[] = [];
  /** Records handled since the process began, never decayed. */
  #total = 0;
  #sampledAtMs: number | undefined;
  #saturatedSinceMs: number | undefined;
  #totalAtSaturation = 0;
  #limit = 0;
  #slice = 0;
  readonly #best = new Float64Array(BEST_SLICES);

  constructor(options: LoadMeterOptions) {
    this.#clock = options.clock;
    this.#arrivalHalfLifeMs = Math.min(30_000, Math.max(5_000, (options.catchUpMs ?? 300_000) / 10));
    this.#batchRecords = options.batchRecords ?? 1;
  }

  /**
   * A partition is ours now.
   * @param previous  the signal that its former owner left; its rates hold until there are our own, so that a rebalance
   *                  does not make the fleet forget how fast it is
   */
  assigned({ topic, partition }: TopicPartition, previous?: Signal): void {
    let partitions = this.#partitions.get(topic);
    if (!partitions) {
      partitions = new Map();
      this.#partitions.set(topic, partitions);
    }
    if (partitions.has(partition)) return;
    partitions.set(partition, {
      end: undefined,
      seenAtMs: 0,
      // Worth as much as what we would have seen in the shortest time that is trusted: the former owner may have been
      // young himself, and too low a rate that counts as old would take minutes to come right.
      rate: (previous?.arrivalPerSecond ?? 0) * this.#trustedWeight,
      weight: previous ? this.#trustedWeight : 0,
      lanes: 0,
      lanesBefore: previous?.lanes ?? 0,
      lanesWindow: this.#lanesWindow(),
    });
    if (previous && previous.rebalanceSeconds > 0) this.#inheritedRebalance = previous.rebalanceSeconds;
    if (previous && previous.laneRate > 0) {
      this.#inheritedLaneRate = previous.laneRate;
      this.#inheritedP95 = previous.p95Seconds;
    }
  }

  /** A partition left. */
  released({ topic, partition }: TopicPartition): void {
    const partitions = this.#partitions.get(topic);
    partitions?.delete(partition);
    if (partitions?.size === 0) this.#partitions.delete(topic);
  }

  /**
   * The partition's end offset as read just now. How often does not matter: averages go by the time between.
   * @param nowMs  of the clock's `monotonic`
   */
  observeEnd({ topic, partition }: TopicPartition, end: number, nowMs = this.#clock.monotonic()): void {
    const arrivals = this.#partitions.get(topic)?.get(partition);
    if (!arrivals) return;
    const elapsed = nowMs - arrivals.seenAtMs;
    if (arrivals.end !== undefined && elapsed <= 0) return;
    // The first look, or the topic was made anew (its offsets went back): nothing to compare with.
    if (arrivals.end !== undefined && end >= arrivals.end) {
      const keep = 0.5 ** (elapsed / this.#arrivalHalfLifeMs);
      arrivals.rate = arrivals.rate * keep + ((end - arrivals.end) / (elapsed / 1000)) * (1 - keep);
      arrivals.weight = arrivals.weight * keep + (1 - keep);
    }
    arrivals.end = end;
    arrivals.seenAtMs = nowMs;
  }

  /**
   * Handling ended, well or badly (not by abort): of one record, of several records one by one, or of one batch.
   * @param count        records
   * @param busySeconds  how long a lane was busy with them, in all
   */
  handled(_: TopicPartition | undefined, count: number, busySeconds: number): void {
    this.#total += count;
    this.#records += count;
    this.#seconds += busySeconds;
    if (this.#batchRecords > 1) {
      this.#calls += 1;
      this.#squares += count * count;
      this.#products += count * busySeconds;
      this.#durations.add(busySeconds, 1);
    } else {
      this.#calls += count;
      this.#durations.add(busySeconds / count, count);
    }
  }

  /**
   * Call about once a second.
   * @param saturated  since the last call every slot was taken and more records waited
   * @param limit      the concurrency limit in force: a best rate shown under a lower one says nothing and is forgotten
   */
  sample(saturated: boolean, limit: number, nowMs = this.#clock.monotonic()): void {
    const elapsed = this.#sampledAtMs === undefined ? 0 : Math.max(0, nowMs - this.#sampledAtMs);
    this.#sampledAtMs = nowMs;
    if (elapsed > 0) this.#decay(0.5 ** (elapsed / HANDLING_HALF_LIFE_MS));
    this.#turnSlices(nowMs);
    if (limit > this.#limit) {
      if (this.#limit > 0) this.#best.fill(0);
      this.#saturatedSinceMs = undefined;
    }
    this.#limit = limit;
    if (!saturated) {
      this.#saturatedSinceMs = undefined;
      return;
    }
    if (this.#saturatedSinceMs === undefined) {
      this.#saturatedSinceMs = nowMs;
      this.#totalAtSaturation = this.#total;
      return;
    }
    const lasted = nowMs - this.#saturatedSinceMs;
    if (lasted < SUSTAINED_MS) return;
    const rate = (this.#total - this.#totalAtSaturation) / (lasted / 1000);
    const slot = this.#slice % BEST_SLICES;
    this.#best[slot] = Math.max(this.#best[slot]!, rate);
    this.#saturatedSinceMs = nowMs;
    this.#totalAtSaturation = this.#total;
  }

  /** A rebalance is over that stopped this process for so long. */
  rebalanced(seconds: number): void {
    this.#rebalances.push(seconds);
    if (this.#rebalances.length > REBALANCES) this.#rebalances.shift();
  }

  /** What one takes; 0 when there was none. */
  get rebalanceSeconds(): number {
    const sorted = this.#rebalances.toSorted((a, b) => a - b);
    return sorted[Math.floor(sorted.length / 2)] ?? this.#inheritedRebalance;
  }

  /** λ of one partition, records per second; 0 when it is not ours. */
  arrivalPerSecond({ topic, partition }: TopicPartition): number {
    const arrivals = this.#partitions.get(topic)?.get(partition);
    if (!arrivals || arrivals.weight === 0) return 0;
    return arrivals.rate / Math.max(arrivals.weight, this.#trustedWeight);
  }

  /** Whether λ of a partition is more than a beginning: before that it is too low. */
  knowsArrivals({ topic, partition }: TopicPartition): boolean {
    return (this.#partitions.get(topic)?.get(partition)?.weight ?? 0) >= this.#trustedWeight * (1 - 1e-9);
  }

  get #trustedWeight(): number {
    return 1 - 0.5 ** (FIRST_ARRIVALS_MS / this.#arrivalHalfLifeMs);
  }

  /** r; 0 when nothing is known. */
  get laneRate(): number {
    if (this.#calls < 1e-9) return this.#inheritedLaneRate;
    if (this.#seconds <= 0) return this.#records > 0 ? 1e6 : this.#inheritedLaneRate;
    const mean = this.#records / this.#seconds;
    if (this.#batchRecords <= 1) return mean;
    // A batch costs something by itself (a commit, a request). Small batches under little load must not look like a
    // slow worker, or it would be scaled out for being idle: a line through (records, seconds) tells what a full one takes.
    const spread = this.#calls * this.#squares - this.#records * this.#records;
    if (spread <= 1e-6 * this.#records * this.#records) return mean;
    const slope = Math.max(0, (this.#calls * this.#products - this.#records * this.#seconds) / spread);
    const fixed = Math.max(0, (this.#seconds - slope * this.#records) / this.#calls);
    const full = fixed + slope * this.#batchRecords;
    return full > 0 ? Math.max(mean, this.#batchRecords / full) : mean;
  }

  /** Best rate sustained while saturated in the last hour, records per second; 0 when there was none. */
  get bestRate(): number {
    let best = 0;
    for (const rate of this.#best) if (rate > best) best = rate;
    return best;
  }

  get p95Seconds(): number {
    return this.#durations.empty ? this.#inheritedP95 : this.#durations.quantile(0.95);
  }

  /** What to write beside the partition's offset. */
  signal(partition: TopicPartition, facts: SignalFacts): Signal {
    const sentAt = facts.sentAt ?? this.#clock.now();
    return {
      ...facts,
      lanes: this.lanes(partition, facts),
      sentAt,
      oldestAt: facts.oldestAt === undefined ? undefined : Math.min(facts.oldestAt, sentAt),
      arrivalPerSecond: this.arrivalPerSecond(partition),
      laneRate: this.laneRate,
      bestRate: this.bestRate,
      p95Seconds: this.p95Seconds,
      rebalanceSeconds: this.rebalanceSeconds,
    };
  }

  /**
   * Keys seen at work at once say what is possible only at their peak: with three records under way by chance there are
   * three, and taken for a bound they would make every load look like a full one.
   * @param seen  lanes seen just now, and the limit that is in force
   */
  lanes({ topic, partition }: TopicPartition, { lanes, limit }: Pick<SignalFacts, 'lanes' | 'limit'>): number {
    const seen = this.#partitions.get(topic)?.get(partition);
    if (!seen) return lanes;
    const window = this.#lanesWindow();
    if (window !== seen.lanesWindow) {
      seen.lanesBefore = window === seen.lanesWindow + 1 ? seen.lanes : 0;
      seen.lanes = 0;
      seen.lanesWindow = window;
    }
    seen.lanes = Math.max(seen.lanes, lanes);
    return Math.max(lanes, Math.min(limit, Math.max(seen.lanes, seen.lanesBefore)));
  }

  #lanesWindow(): number {
    return Math.floor(this.#clock.monotonic() / LANES_WINDOW_MS);
  }

  #decay(keep: number): void {
    // All sums shrink alike, so an idle hour changes no ratio; a floor keeps them from vanishing.
    if (this.#calls * keep < 1e-6) return;
    this.#calls *= keep;
    this.#records *= keep;
    this.#seconds *= keep;
    this.#squares *= keep;
    this.#products *= keep;
    this.#durations.decay(keep);
  }

  #turnSlices(nowMs: number): void {
    const slice = Math.floor(nowMs / BEST_SLICE_MS);
    for (let next = Math.max(this.#slice + 1, slice - BEST_SLICES + 1); next <= slice; next++)
      this.#best[next % BEST_SLICES] = 0;
    this.#slice = Math.max(this.#slice, slice);
  }
}

/** A histogram with buckets 19 % apart, from 0.1 ms to an hour. */
class Durations {
  static readonly #FIRST = 1e-4;
  static readonly #PER_DOUBLING = 4;
  readonly #buckets = new Float64Array(102);
  #sum = 0;

  get empty(): boolean {
    return this.#sum === 0;
  }

  add(seconds: number, times: number): void {
    const at =
      seconds <= Durations.#FIRST
        ? 0
        : Math.min(
            this.#buckets.length - 1,
            Math.ceil(Math.log2(seconds / Durations.#FIRST) * Durations.#PER_DOUBLING),
          );
    this.#buckets[at]! += times;
    this.#sum += times;
  }

  decay(keep: number): void {
    for (let at = 0; at < this.#buckets.length; at++) this.#buckets[at]! *= keep;
    this.#sum *= keep;
  }

  /** Upper bound of the bucket in which the quantile lies, seconds. */
  quantile(share: number): number {
    let seen = 0;
    for (let at = 0; at < this.#buckets.length; at++) {
      seen += this.#buckets[at]!;
      if (seen >= share * this.#sum) return Durations.#FIRST * 2 ** (at / Durations.#PER_DOUBLING);
    }
    return 0;
  }
}
