/**
 * When a process takes no more work because its memory is nearly used up, and how it goes on afterwards.
 *
 *   roomy --85 % of the limit, also after collecting--> short --70 %, or nothing left in hand--> careful
 *   careful --85 %--> short                                    careful --as many in flight as before--> roomy
 *
 * Short: nothing is fetched, and queued records start one at a time, so that a process whose memory is held by what it has
 * in hand empties itself and one whose memory is held by something else still moves. Careful: going on with as many calls
 * at once as before would only run into the same wall before the next look, so it goes on with half of what was in flight
 * then, and a little more with every look.
 *
 * Only memory that is really held counts. V8 lets garbage lie until its limit is near, so a full heap may be an empty one:
 * before the guard believes it, it has the garbage collected, within a twentieth of the time.
 */
export interface MemoryReading {
  readonly usedBytes: number;
  readonly limitBytes: number;
  /** Which limit is the nearest: V8's for the heap, or the container's for all of the process. */
  readonly of: 'heap' | 'container';
}

/** The process's memory (process-memory.ts); a test has one of its own. */
export interface MemoryProbe {
  /** The limit that is nearest to being reached. Called ten times a second; must not throw. */
  read(): MemoryReading;
  /** Collects all garbage now; blocks for as long as that takes. */
  collect(): void;
}

export interface MemorySettings {
  /** Shares of the limit. */
  readonly pauseAt: number;
  readonly resumeAt: number;
}

export type MemoryState = 'roomy' | 'short' | 'careful';

/** What the worker has to do at the moment of a look. */
export interface InHand {
  /** Handler calls in flight. */
  readonly inflight: number;
  /** Records in memory, those in flight included. */
  readonly records: number;
  /** Calls that may be in flight when memory is no question. */
  readonly limit: number;
}

/** Collecting may take this share of the time. */
const COLLECTING_SHARE = 0.05;
/** While careful, this much more at every look: a tenth of a call, or a tenth of all within a second. */
const GROWTH = 1.01;
const LEAST_GROWTH = 0.1;

export class MemoryGuard {
  readonly #settings: MemorySettings;
  readonly #probe: MemoryProbe;
  readonly #now: () => number;
  #state: MemoryState = 'roomy';
  /** Not whole: it grows by less than one at a look. */
  #ceiling = Number.POSITIVE_INFINITY;
  #mayCollectAt = Number.NEGATIVE_INFINITY;

  /** @param options.now  monotonic ms */
  constructor(options: { settings: MemorySettings; probe: MemoryProbe; now: () => number }) {
    this.#settings = options.settings;
    this.#probe = options.probe;
    this.#now = options.now;
  }

  get state(): MemoryState {
    return this.#state;
  }

  /** Calls that may be in flight at most; infinite while roomy. */
  get ceiling(): number {
    return Math.floor(this.#ceiling);
  }

  /** Ten times a second. @returns what the decision was made from */
  look(hand: InHand): MemoryReading {
    const { pauseAt, resumeAt } = this.#settings;
    const mark = this.#state === 'short' ? resumeAt : pauseAt;
    let reading = this.#probe.read();
    // Short and above the lower mark, or not short and above the upper one: is it garbage?
    if (shareOf(reading) >= mark && this.#collected()) reading = this.#probe.read();
    const share = shareOf(reading);
    switch (this.#state) {
      case 'short':
        // What is held without a record in hand will not be let go by waiting: a fetch later it may be short again, but
        // a worker that stands still for good helps nobody.
        if (share <= resumeAt || hand.records === 0) this.#state = 'careful';
        return reading;
      case 'careful':
      case 'roomy':
        if (share >= pauseAt) {
          this.#state = 'short';
          this.#ceiling = Math.max(1, Math.floor(Math.min(hand.inflight, this.#ceiling) / 2));
        } else if (this.#state === 'careful') {
          this.#ceiling = Math.max(this.#ceiling * GROWTH, this.#ceiling + LEAST_GROWTH);
          if (this.#ceiling < hand.limit) return reading;
          this.#ceiling = Number.POSITIVE_INFINITY;
          this.#state = 'roomy';
        }
        return reading;
      default:
        throw new TypeError(`unknown state ${this.#state satisfies never}`);
    }
  }

  #collected(): boolean {
    const startedAt = this.#now();
    if (startedAt < this.#mayCollectAt) return false;
    this.#probe.collect();
    const endedAt = this.#now();
    this.#mayCollectAt = endedAt + (endedAt - startedAt) / COLLECTING_SHARE;
    return true;
  }
}

export function shareOf({ usedBytes, limitBytes }: MemoryReading): number {
  return usedBytes / limitBytes;
}
