/**
 * What one worker and one partition can do, from the signals of the fleet. Three bounds, the least counts:
 *
 *   lanes   r · lanes: records that must wait for each other cannot be helped by more slots
 *   limit   r · limit: slots of the process
 *   shown   the best rate a worker sustained with every slot taken: something hidden may be narrower than the slots
 *
 * One figure for the whole fleet, the median over its processes: if a worker that happens to be slow were measured by
 * itself, its own count would never fit while the next one always did, and the fleet would grow for ever.
 */
import type { Signal } from '../metadata.ts';

export type CapacityBound = 'lanes' | 'limit' | 'shown';

export interface Capacity {
  /** r: records per second and lane. */
  readonly laneRate: number;
  readonly limit: number;
  /** Records per second; Infinity when no worker has been saturated lately. */
  readonly shown: number;
  /** For partitions whose own signal is missing. */
  readonly lanes: number;
}

/** Below one record in eleven days nothing has been measured. */
const SLOWEST = 1e-6;

/** What each process said last. */
function latest(signals: readonly Signal[]): Signal[] {
  const byWriter = new Map<string, Signal>();
  for (const signal of signals) {
    const known = byWriter.get(signal.writer);
    if (!known || newer(signal, known)) byWriter.set(signal.writer, signal);
  }
  return [...byWriter.values()];
}

/** What a rebalance takes, seconds; 0 when nobody has been through one. */
export function usualRebalance(signals: readonly Signal[]): number {
  const known = latest(signals).map((signal) => signal.rebalanceSeconds);
  return median(known.filter((seconds) => seconds > 0));
}

/** @returns undefined when no process has handled anything yet */
export function fleetCapacity(signals: readonly Signal[]): Capacity | undefined {
  const workers = latest(signals).filter((signal) => signal.laneRate >= SLOWEST);
  if (workers.length === 0) return undefined;
  const shown = workers.map((signal) => signal.bestRate).filter((rate) => rate >= SLOWEST);
  return {
    laneRate: median(workers.map((signal) => signal.laneRate)),
    limit: Math.max(1, median(workers.map((signal) => signal.limit))),
    shown: shown.length > 0 ? median(shown) : Number.POSITIVE_INFINITY,
    lanes: Math.max(1, median(signals.map((signal) => signal.lanes))),
  };
}

/** C_w: records per second of a worker whose partitions have so many lanes together. */
export function workerCapacity(capacity: Capacity, lanes: number): number {
  return Math.min(capacity.laneRate * Math.min(capacity.limit, lanes), capacity.shown);
}

/** Which of the three bounds a worker with so many lanes. */
export function boundOf(capacity: Capacity, lanes: number): CapacityBound {
  if (capacity.shown < capacity.laneRate * Math.min(capacity.limit, lanes)) return 'shown';
  return lanes < capacity.limit ? 'lanes' : 'limit';
}

function newer(a: Signal, b: Signal): boolean {
  return a.counter !== b.counter ? a.counter > b.counter : a.sentAt > b.sentAt;
}

/** The upper one of two middles, so that one slow newcomer of two does not set the figure. */
function median(values: readonly number[]): number {
  const sorted = [...values].sort((a, b) => a - b);
  return sorted[Math.floor(sorted.length / 2)] ?? 0;
}
