/**
 * What goes wrong when, made from a seed: the same seed gives the same schedule, word for word. How the machine answers is not
 * repeatable, which is why a failing schedule is run several times.
 *
 * Gentle faults leave everybody the time to finish: nothing may be handled twice then. The others may cost repeats, never records.
 */
import type { Random } from '@weir/core';

export const FAULTS = {
  kill: { gentle: false, kafka: true, weight: 3 },
  terminate: { gentle: true, kafka: true, weight: 3 },
  freeze: { gentle: false, kafka: true, weight: 2 },
  scaleUp: { gentle: true, kafka: true, weight: 2 },
  scaleDown: { gentle: true, kafka: true, weight: 2 },
  killBetween: { gentle: false, kafka: true, weight: 2 },
  killAhead: { gentle: false, kafka: false, weight: 2 },
  storeFails: { gentle: false, kafka: true, weight: 1 },
  brokerRestart: { gentle: false, kafka: true, weight: 1 },
  visitor: { gentle: true, kafka: true, weight: 2 },
  duplicates: { gentle: true, kafka: true, weight: 1 },
  dropConnections: { gentle: false, kafka: true, weight: 2 },
  rebalance: { gentle: true, kafka: false, weight: 3 },
  expire: { gentle: false, kafka: false, weight: 1 },
  serveAgain: { gentle: true, kafka: false, weight: 1 },
  refuseCommits: { gentle: false, kafka: false, weight: 2 },
  loseCommitAnswers: { gentle: false, kafka: false, weight: 2 },
  slowFetches: { gentle: true, kafka: false, weight: 1 },
  slowProduces: { gentle: false, kafka: false, weight: 1 },
  loseProduceAnswers: { gentle: false, kafka: false, weight: 1 },
  slowSyncs: { gentle: false, kafka: false, weight: 2 },
  moveCoordinator: { gentle: false, kafka: false, weight: 1 },
  moveLeader: { gentle: false, kafka: false, weight: 1 },
} as const satisfies Record<string, { gentle: boolean; kafka: boolean; weight: number }>;

export type FaultName = keyof typeof FAULTS;
export const FAULT_NAMES = Object.keys(FAULTS) as FaultName[];

export interface Step {
  /** Ms after the workers have settled. */
  readonly atMs: number;
  readonly fault: FaultName;
  /** Kind of worker that it hits. */
  readonly subject: string;
  /** Chooses among what is there at that time: processes, nodes, partitions. */
  readonly pick: number;
  /** How long it lasts, or how long until the process is back. */
  readonly forMs: number;
}

export interface ScheduleOptions {
  readonly durationMs: number;
  readonly subjects: readonly string[];
  readonly faults: readonly FaultName[];
  readonly sessionTimeoutMs: number;
}

export function schedule(random: Random, options: ScheduleOptions): Step[] {
  const { durationMs, subjects, faults, sessionTimeoutMs } = options;
  const usable = faults.filter((fault) => subjects.some((name) => isAbout(fault, name)));
  const steps: Step[] = [];
  const total = usable.reduce((sum, name) => sum + FAULTS[name].weight, 0);
  if (total === 0) return steps;
  for (let atMs = 300 + random.below(700); atMs < durationMs; atMs += 250 + random.below(1_750)) {
    const fault = drawn(usable, random.below(total));
    const those = subjects.filter((name) => isAbout(fault, name));
    const about = those[random.below(those.length)]!;
    const forMs = fault === 'freeze' ? sessionTimeoutMs + 200 + random.below(2_000) : 100 + random.below(1_400);
    steps.push({ atMs, fault, subject: about, pick: random.below(1_000_000), forMs });
  }
  return steps;
}

/** Only `rows` has a store and something to do after it; what the retry-scheduler reads is produced by others. */
function isAbout(fault: FaultName, subject: string): boolean {
  if (fault === 'storeFails' || fault === 'killBetween') return subject === 'rows';
  return fault !== 'duplicates' || subject !== 'retries';
}

function drawn(faults: readonly FaultName[], ticket: number): FaultName {
  let left = ticket;
  for (const name of faults) {
    left -= FAULTS[name].weight;
    if (left < 0) return name;
  }
  throw new RangeError(`ticket ${ticket} is not below the sum of the weights`);
}

export function isGentle(faults: readonly FaultName[]): boolean {
  return faults.every((name) => FAULTS[name].gentle);
}
