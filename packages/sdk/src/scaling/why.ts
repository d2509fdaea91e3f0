/**
 * The plan in words: what a runbook would say, with the numbers. People read these in `weir plan`, in `/scaling` and in
 * logs at three in the morning, so each says what is, what one worker can do, and what follows.
 */
import type { BoundPartition } from './plan.ts';

interface Facts {
  readonly desired: number;
  readonly running: number;
  readonly backlog: number;
  readonly arrival: number;
  readonly perWorker: number;
  readonly heaviest: number;
  readonly catchUpMs: number;
}

export function steady({ desired, arrival, perWorker, heaviest }: Facts): string {
  return `${rate(arrival)} arrive and one worker manages ${rate(perWorker)}: ${workers(desired)} keep up, the heaviest at ${percent(heaviest)} of what it can do.`;
}

export function catchUp(facts: Facts & { steady: number; late: number }): string {
  const { desired, backlog, arrival, perWorker, catchUpMs, steady, late } = facts;
  const so =
    late === 0
      ? `${workers(desired)} clear it within ${time(catchUpMs)}`
      : `${workers(desired)} clear what can be within ${time(catchUpMs)} (${late === 1 ? '1 partition takes' : `${late} partitions take`} longer, however many there are)`;
  return `${count(backlog)} wait while ${rate(arrival)} arrive, and one worker manages ${rate(perWorker)}: ${so}; arrivals alone need ${steady}.`;
}

export function atMax(facts: Facts & { top: number; byPartitions: boolean }): string {
  const cap = facts.byPartitions ? 'there are no more partitions' : 'that is the maximum set for it';
  return `${count(facts.backlog)} wait while ${rate(facts.arrival)} arrive, and one worker manages ${rate(facts.perWorker)}: not even ${workers(facts.top)} clear it within ${time(facts.catchUpMs)}, and ${cap}.`;
}

export function bound({
  desired,
  bound,
  needed,
}: Facts & { bound: readonly BoundPartition[]; needed: number }): string {
  const worst = bound.reduce((a, b) =>
    b.arrivalPerSecond / b.capacityPerSecond > a.arrivalPerSecond / a.capacityPerSecond ? b : a,
  );
  const which = bound.length === 1 ? '1 partition gets' : `${bound.length} partitions get`;
  return `${which} more than one partition can do (${worst.topic}/${worst.partition}: ${rate(worst.arrivalPerSecond)} arrive, ${rate(worst.capacityPerSecond)} at most), which more workers cannot help; about ${needed} partitions would do. ${workers(desired)} for the rest.`;
}

export function rebalanceWanted({ today, running, stay }: Facts & { today: number; stay: number }): string {
  return `The heaviest of ${workers(running)} is asked for ${percent(today)} of what it can do, while others have room: the group's leader joins again to have the partitions dealt anew. ${workers(stay)} meanwhile.`;
}

export function downstreamOpen({ share, wanted, stay }: { share: number; wanted: number; stay: number }): string {
  return `A breaker is open on ${percent(share)} of the load: ${workers(wanted)} would wait like the ${stay} that there are. ${workers(stay)} until it closes.`;
}

export function rebalancing({ state, forMs, stay }: { state: string; forMs: number; stay: number }): string {
  return `The group is rebalancing (${state}, for ${Math.round(forMs / 1000)} s): ${workers(stay)} until it is stable, 3 minutes at most.`;
}

export function stale(facts: { fresh: number; total: number; backlog: number; plain: number }): string {
  return `${facts.total - facts.fresh} of ${facts.total} partitions have had no signal for 90 s: the plain rule, 1 worker for each 1,000 of the ${count(facts.backlog)} waiting, gives ${facts.plain}.`;
}

export function idle({ low }: { low: number }): string {
  return `Nothing waits and nothing arrives: the minimum of ${low}.`;
}

export function unmeasured(facts: { backlog: number; plain: number; grown: number; empty: boolean }): string {
  const because = facts.empty ? 'Nobody runs' : 'How long a record takes is not known yet';
  const rest = facts.grown > facts.plain ? `; ${workers(facts.grown)} until it is known` : '';
  return `${because}: the plain rule, 1 worker for each 1,000 of the ${count(facts.backlog)} waiting, gives ${facts.plain}${rest}.`;
}

export function shortCatchUp(facts: { declaredMs: number; plannedMs: number; rebalanceSeconds: number }): string {
  const { declaredMs, plannedMs, rebalanceSeconds } = facts;
  return `A catchUp of ${time(declaredMs)} is less than nine rebalances of ${time(rebalanceSeconds * 1000)} each, and would feed on them: ${time(plannedMs)} is planned with.`;
}

function workers(n: number): string {
  return n === 1 ? '1 worker' : `${n} workers`;
}

function count(records: number): string {
  return Math.round(records).toLocaleString('en-US');
}

function rate(perSecond: number): string {
  const digits = perSecond >= 100 ? 0 : perSecond >= 10 ? 1 : 2;
  return `${perSecond.toLocaleString('en-US', { maximumFractionDigits: digits })}/s`;
}

function percent(share: number): string {
  return `${Math.round(share * 100)} %`;
}

function time(ms: number): string {
  return ms % 60_000 === 0 ? `${ms / 60_000} min` : `${Math.round(ms / 100) / 10} s`;
}
