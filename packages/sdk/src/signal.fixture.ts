/** A signal of a partition with nothing special about it, for tests that care for some of its figures. */
import type { Signal } from './metadata.ts';

export function signalOf(over: Partial<Signal> = {}): Signal {
  return {
    writer: 'writer',
    counter: 1,
    offset: 0,
    sentAt: 0,
    arrivalPerSecond: 0,
    laneRate: 10,
    lanes: 10,
    limit: 10,
    limitProven: true,
    bestRate: 0,
    p95Seconds: 0.2,
    paused: undefined,
    doneAhead: 0,
    deferred: 0,
    dueAt: undefined,
    oldestAt: undefined,
    rebalanceSeconds: 0,
    ...over,
  };
}
