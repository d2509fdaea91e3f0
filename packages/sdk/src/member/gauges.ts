/** What a member shows at a scrape, read from what it knows at that moment. */
import type { Clock } from '@weir/core';
import type { Intake } from '../delivery/intake.ts';
import type { Owned } from '../delivery/owned.ts';
import type { Limiter } from '../flow/limiter.ts';
import type { WorkerGauges } from '../metrics.ts';
import type { LoadMeter } from '../scaling/meter.ts';

export interface GaugeSources {
  readonly intake: Intake;
  readonly limiter: Limiter;
  readonly meter: LoadMeter;
  readonly clock: Clock;
  readonly running: number;
  readonly stuck: number;
  readonly parked: number;
  readonly suspects: number;
  readonly breakerOpen: boolean;
  readonly memoryShort: boolean;
}

export function readGauges(sources: GaugeSources): WorkerGauges {
  const { intake, limiter } = sources;
  const owned = [...intake.partitions()];
  const memory =
    sources.memoryShort || owned.some((each) => each.pausedFor.has('queue') || each.pausedFor.has('memory'));
  return {
    inflight: sources.running,
    limit: limiter.limit,
    queued: owned.reduce((sum, each) => sum + each.queued, 0),
    parked: sources.parked,
    stuck: sources.stuck,
    suspects: sources.suspects,
    assigned: intake.size,
    paused: { breaker: sources.breakerOpen ? 1 : 0, memory: memory ? 1 : 0, operator: 0 },
    partitions: owned.map((each) => partitionGauges(each, sources)),
  };
}

function partitionGauges(owned: Owned, { meter, limiter, clock }: GaugeSources): WorkerGauges['partitions'][number] {
  const first = owned.upNext;
  const lag = Math.max(0, owned.end - owned.ledger.watermark);
  const { limit } = limiter;
  // By the lanes that the signal tells: those of this very moment are none between two records.
  const perSecond = meter.laneRate * meter.lanes(owned, { lanes: Math.min(limit, owned.lanes.widest), limit });
  const age = first === undefined ? undefined : Math.max(0, (clock.now() - first.timestamp) / 1000);
  return {
    topic: owned.topic,
    partition: owned.partition,
    lag,
    lagSeconds: lag === 0 ? 0 : age,
    load: perSecond > 0 ? meter.arrivalPerSecond(owned) / perSecond : undefined,
  };
}
