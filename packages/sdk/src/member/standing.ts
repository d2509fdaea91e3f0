/**
 * What this member tells the group's leader when it joins: whether it is draining, and what each of its partitions asks of
 * a worker. The figure is the plan's (scaling/fleet.ts), made from the partition's own signal: arrivals, and the backlog
 * spread over the time to catch up, at most what the partition's lanes can do. So the group is assigned by the arithmetic
 * that it is planned with.
 */
import type { Intake } from '../delivery/intake.ts';
import type { Standing } from '../kafka/port.ts';
import type { LoadMeter } from '../scaling/meter.ts';
import type { Signals } from './signals.ts';

export interface StandingOptions {
  readonly leaving: boolean;
  readonly intake: Intake;
  readonly meter: LoadMeter;
  readonly signals: Signals;
  readonly catchUpMs: number;
}

export function standingOf({ leaving, intake, meter, signals, catchUpMs }: StandingOptions): Standing {
  return {
    leaving,
    loadOf(partition) {
      const owned = intake.get(partition);
      if (owned === undefined || owned.end < 0 || !meter.knowsArrivals(partition)) return undefined;
      const { watermark } = owned.ledger;
      const { arrivalPerSecond, laneRate, lanes, limit, doneAhead, deferred, dueAt } = signals.of(owned, watermark);
      const backlog = dueAt === undefined ? Math.max(0, owned.end - watermark - doneAhead - deferred) : 0;
      const load = arrivalPerSecond + backlog / (catchUpMs / 1000);
      return laneRate > 0 ? Math.min(load, laneRate * Math.min(limit, lanes)) : load;
    },
  };
}
