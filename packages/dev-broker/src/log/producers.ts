/**
 * What a partition remembers of its idempotent producers: epoch and the last five batches of each. A batch that is one
 * of the five is a repeat and is acknowledged with the offset it got the first time; anything else must carry the next
 * sequence number. A producer that is not known may begin anywhere, as in Kafka, whose records may be gone already.
 */
import { CODES } from '../wire/codes.ts';
import type { BatchHeader, Refusal } from './batch.ts';

const REMEMBERED_BATCHES = 5;
/** Producers remembered in a partition; the one that was quiet longest goes first. */
const REMEMBERED_PRODUCERS = 10_000;

interface SeenBatch {
  readonly firstSequence: number;
  readonly lastSequence: number;
  readonly baseOffset: number;
  readonly timestamp: number;
}

interface ProducerState {
  epoch: number;
  batches: SeenBatch[];
}

/** What to do with a batch: append it, answer with an earlier offset, or refuse it. */
export type Verdict =
  | { readonly kind: 'append' }
  | { readonly kind: 'repeat'; readonly baseOffset: number; readonly timestamp: number }
  | ({ readonly kind: 'refuse' } & Refusal);

const APPEND: Verdict = { kind: 'append' };

/** Sequence numbers count to 2^31 - 1 and begin again at 0. */
function advance(sequence: number, by: number): number {
  return (sequence + by) % 0x8000_0000;
}

export class Producers {
  readonly #states = new Map<number, ProducerState>();

  check(header: BatchHeader): Verdict {
    if (header.producerId < 0) return APPEND;
    const state = this.#states.get(header.producerId);
    if (!state) return APPEND;
    if (header.producerEpoch < state.epoch) {
      return {
        kind: 'refuse',
        code: CODES.INVALID_PRODUCER_EPOCH,
        reason: `producer ${header.producerId} has epoch ${state.epoch}, the batch ${header.producerEpoch}`,
      };
    }
    if (header.producerEpoch > state.epoch) {
      return header.baseSequence === 0 ? APPEND : outOfOrder(header, 0);
    }
    const lastSequence = advance(header.baseSequence, header.count - 1);
    for (const seen of state.batches) {
      if (seen.firstSequence === header.baseSequence && seen.lastSequence === lastSequence) {
        return { kind: 'repeat', baseOffset: seen.baseOffset, timestamp: seen.timestamp };
      }
    }
    const wanted = advance(state.batches.at(-1)?.lastSequence ?? -1, 1);
    return header.baseSequence === wanted ? APPEND : outOfOrder(header, wanted);
  }

  appended(header: BatchHeader, baseOffset: number, timestamp: number): void {
    if (header.producerId < 0) return;
    let state = this.#states.get(header.producerId);
    if (!state || state.epoch !== header.producerEpoch) state = { epoch: header.producerEpoch, batches: [] };
    state.batches.push({
      firstSequence: header.baseSequence,
      lastSequence: advance(header.baseSequence, header.count - 1),
      baseOffset,
      timestamp,
    });
    if (state.batches.length > REMEMBERED_BATCHES) state.batches.shift();
    this.#states.delete(header.producerId);
    this.#states.set(header.producerId, state);
    if (this.#states.size > REMEMBERED_PRODUCERS) {
      const quietest = this.#states.keys().next();
      if (!quietest.done) this.#states.delete(quietest.value);
    }
  }
}

function outOfOrder(header: BatchHeader, wanted: number): Verdict {
  return {
    kind: 'refuse',
    code: CODES.OUT_OF_ORDER_SEQUENCE_NUMBER,
    reason: `producer ${header.producerId} sent sequence ${header.baseSequence}, expected ${wanted}`,
  };
}
