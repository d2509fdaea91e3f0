/**
 * What the member says beside its commits (its signal and the skip map), and what it reads there from a former owner.
 */
import type { Resolved } from '../config.ts';
import type { AssignedPosition } from '../define.ts';
import type { Intake } from '../delivery/intake.ts';
import type { Owned } from '../delivery/owned.ts';
import { type DoneRange, decodeSkipMap, encodeSkipMap } from '../delivery/skip-map.ts';
import { decodeSuspicion, encodeSuspicion, type Suspicion } from '../delivery/suspicion.ts';
import type { Limiter } from '../flow/limiter.ts';
import type { Tuner } from '../flow/tuner.ts';
import {
  decodeMetadata,
  encodeMetadata,
  type OwnerState,
  type PauseReason,
  type Signal,
  skipMapRoom,
} from '../metadata.ts';
import type { LoadMeter } from '../scaling/meter.ts';
import { MetadataBudget, type MetadataBudgetOptions } from './metadata-budget.ts';

export interface SignalsOptions {
  readonly resolved: Resolved;
  /** Names this start of the process. */
  readonly writer: string;
  readonly meter: LoadMeter;
  readonly limiter: Limiter;
  readonly tuner: Tuner;
  readonly intake: Intake;
  readonly paused: () => PauseReason | undefined;
  readonly log: MetadataBudgetOptions['log'];
  readonly metrics: MetadataBudgetOptions['metrics'] & { metadataIgnored(reason: string, count: number): void };
}

export interface LeftBehind {
  readonly signal: Signal;
  /** What it had done above the offset. */
  readonly doneBefore: DoneRange[];
  /** It did not leave: it died, or was cut off. */
  readonly unclean: boolean;
  readonly suspicion: Suspicion | undefined;
}

/** Less room than this for a skip map is none: holding records back for it would cost more than repeating some. */
const LEAST_MAP = 64;

export class Signals {
  readonly #options: SignalsOptions;
  readonly #budget: MetadataBudget;
  #counter = 0;

  constructor(options: SignalsOptions) {
    this.#options = options;
    this.#budget = new MetadataBudget(options);
  }

  of(owned: Owned, offset: number): Signal {
    const { meter, limiter, tuner, resolved, writer, paused } = this.#options;
    this.#counter++;
    return meter.signal(owned, {
      writer,
      counter: this.#counter,
      offset,
      lanes: this.#lanesOf(owned),
      limit: resolved.batch === undefined ? limiter.limit : 1,
      limitProven: tuner.proven,
      paused: paused(),
      doneAhead: owned.ledger.doneAhead,
      deferred: owned.deferred,
      dueAt: owned.deferred > 0 && owned.held === 0 ? owned.firstDueAt : undefined,
      oldestAt: owned.upNext?.timestamp ?? (owned.ledger.next >= owned.end ? Number.POSITIVE_INFINITY : undefined),
    });
  }

  /** The text to commit beside `offset`. */
  metadataOf(owned: Owned, offset: number, how: { owner: OwnerState; bare: boolean }): string {
    const { intake } = this.#options;
    const { characters } = this.#budget;
    if (characters === 0) return '';
    const signal = this.of(owned, offset);
    owned.lanes.widestSaid();
    const legacy = { owner: how.owner, suspects: this.#suspectsOf(owned, offset) };
    if (legacy.suspects !== '' && encodeMetadata(signal, legacy).length > characters) legacy.suspects = '';
    const room = skipMapRoom(signal, legacy, characters);
    if (!owned.ledger.knowsAhead || how.bare || room < LEAST_MAP) {
      intake.skipMapFilled(owned, 0);
      return encodeMetadata(signal, legacy);
    }
    const map = encodeSkipMap(offset, owned.ledger.doneRanges(), room);
    intake.skipMapFilled(owned, map.whole ? map.text.length / room : 1);
    return encodeMetadata(signal, { ...legacy, skipMap: map.text });
  }

  /** The broker refused a commit for the size of its metadata. */
  refused(longest: number, bare: boolean): void {
    this.#budget.refused(longest, bare);
  }

  /** What the former owner of a partition wrote beside its committed offset. */
  leftBehind(each: AssignedPosition & { metadata: string }): LeftBehind | undefined {
    if (each.committed < 0) return undefined;
    const { metrics } = this.#options;
    const decoded = decodeMetadata(each.metadata, each.committed);
    if (decoded.ignored !== undefined) {
      if (decoded.ignored !== 'empty') metrics.metadataIgnored(decoded.ignored, 1);
      return undefined;
    }
    const doneBefore = decodeSkipMap(each.committed, decoded.skipMap);
    if (doneBefore === undefined) metrics.metadataIgnored('skip-map', 1);
    const suspicion = decoded.suspects === '' ? undefined : decodeSuspicion(decoded.suspects, each.committed);
    if (suspicion === undefined && decoded.suspects !== '') metrics.metadataIgnored('suspects', 1);
    // Its own name means that this process lost its session, or its client, and lives.
    const unclean = decoded.owner === 'at-work' && decoded.signal.writer !== this.#options.writer;
    return { signal: decoded.signal, doneBefore: doneBefore ?? [], unclean, suspicion };
  }

  #suspectsOf({ caution }: Owned, offset: number): string {
    return caution === undefined || caution.ended ? '' : encodeSuspicion(caution.suspicion(), offset);
  }

  /** Records of this partition that could be at work at once. A batch worker has one batch of it in flight. */
  #lanesOf(owned: Owned): number {
    const { resolved, limiter } = this.#options;
    if (resolved.batch !== undefined) return 1;
    switch (resolved.order) {
      case 'none':
        return limiter.limit;
      case 'partition':
        return 1;
      case 'key':
        return Math.max(1, Math.min(limiter.limit, owned.lanes.widest));
      default:
        throw new TypeError(`unknown order ${resolved.order satisfies never}`);
    }
  }
}
