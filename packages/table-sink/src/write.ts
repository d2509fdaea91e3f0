/**
 * How a batch is written to a table. Two things are decided. What a batch is to the table: rows by partition, each with its
 * offset, covering everything up to the batch's last offset. And what a failing store is to the batch: not the records'
 * fault. So the append is tried again in place, every half second, which either gets over a blip or opens the breaker of
 * the dependency; then the SDK pauses the partitions and no record burns an attempt. Without this an outage of three
 * seconds would send whole batches to a retry topic of five minutes. The handler's own timeout has to be long for it.
 */
import { type Clock, type Logger, WeirError } from '@weir/core';
import type { Row, Source, SourcedSlice } from '@weir/lake';
import { type KafkaRecord, RetryableError } from '@weir/sdk';

/**
 * One slice per partition of the batch.
 * @param rowOf  the row of a record; undefined for a record that has none but is covered all the same
 */
export function slicesOf<V>(
  records: readonly KafkaRecord<V>[],
  epoch: number,
  rowOf: (record: KafkaRecord<V>) => Row | undefined,
): SourcedSlice[] {
  const slices = new Map<string, { source: Source; rows: { offset: number; row: Row }[]; lastOffset: number }>();
  for (const record of records) {
    const { topic, partition, offset } = record;
    const id = `${topic}/${partition}`;
    let slice = slices.get(id);
    if (!slice) {
      slice = { source: { topic, partition, epoch: String(epoch) }, rows: [], lastOffset: offset };
      slices.set(id, slice);
    }
    slice.lastOffset = Math.max(slice.lastOffset, offset);
    const row = rowOf(record);
    if (row !== undefined) slice.rows.push({ offset, row });
  }
  return [...slices.values()];
}

/** Quick at first: ten failures within ten seconds are what opens a breaker. */
const QUICK_TRIES = 20;
const QUICK_PAUSE_MS = 500;
const PAUSE_MS = 5_000;

export interface WaitContext {
  readonly clock: Clock;
  readonly log: Logger;
  /** The handler's: ends the trying at its timeout, at a drain, and when the partition is lost. */
  readonly signal: AbortSignal;
}

/**
 * Writes through `call` (a breaker's call) until it succeeds, the breaker opens, or the signal aborts. A store that
 * fails slowly may never open the breaker; then the batch waits here, which holds its partition just as well.
 * @throws DependencyDownError from `call`, untouched; what is not the store's failure, at once; the signal's reason
 */
export async function writeThrough<T>(
  call: (work: (signal: AbortSignal) => Promise<T>) => Promise<T>,
  work: (signal: AbortSignal) => Promise<T>,
  { clock, log, signal }: WaitContext,
): Promise<T> {
  for (let tries = 1; ; tries++) {
    try {
      return await call(async (callSignal) => {
        try {
          return await work(callSignal);
        } catch (error) {
          throw asDependency(error);
        }
      });
    } catch (error) {
      if (signal.aborted || !(error instanceof RetryableError)) throw error;
      if (tries === 1 || tries % QUICK_TRIES === 0) {
        log.warn({ error, tries }, 'the table cannot be written; the batch waits and is tried again');
      }
      await clock.sleep(tries < QUICK_TRIES ? QUICK_PAUSE_MS : PAUSE_MS, signal);
    }
  }
}

/** Out of reach, denied, refused: every record would fail alike, so it counts as the dependency's. */
function asDependency(error: unknown): unknown {
  if (!(error instanceof WeirError)) return error;
  const passes = (error as { transient?: unknown }).transient === true;
  if (!passes && !error.code.startsWith('WEIR_STORE_')) return error;
  return new RetryableError(error.message, { class: 'dependency', cause: error });
}
