/**
 * How many workers a group needs, as a pure function. The same input gives the same answer in every
 * replica, in the scaler service and on the command line.
 *
 *   need      the least n whose every worker keeps up (λ <= go·C) and clears its backlog within catchUp
 *   snap      the least n' <= n whose heaviest worker is no heavier: 13 for 24 partitions finish no sooner than 12
 *   hold      reasons to wait: the group is moving, the signals are old, the downstream is down
 *   nudge     past the HPA's tolerance, which would ignore 24 wanted where 22 run
 *
 * Going down needs more room (keep 0.8) than staying (go 0.9): the gap is what stops flapping.
 */
import type { TopicPartition } from '../kafka/port.ts';
import type { Signal } from '../metadata.ts';
import { boundOf, type CapacityBound, fleetCapacity, usualRebalance } from './capacity.ts';
import { Fleet, type Load } from './fleet.ts';
import { rebalanceWanted } from './rebalance.ts';
import * as why from './why.ts';

export type ScalingReason =
  | 'idle'
  | 'steady'
  | 'catch-up'
  | 'at-max'
  | 'partition-bound'
  | 'rebalance-wanted'
  | 'rebalancing'
  | 'downstream-open'
  | 'no-gain'
  | 'tuning'
  | 'stale-signal';

export interface PlanPartition extends TopicPartition {
  /** Records from the committed offset (or the log's start, when nothing is committed) to the end. */
  readonly behind: number;
  /** What stood beside the committed offset; undefined when nothing that we can read. */
  readonly signal: Signal | undefined;
}

/** What an observer remembers between two plans. Everything else comes from the group itself. */
export interface PlanMemory {
  /** Since when the group has not been stable, milliseconds since the epoch; undefined while it is. */
  readonly unstableSince: number | undefined;
  /** What the last plan asked for. */
  readonly asked: number | undefined;
  /** Since when the same workers would do with another assignment, milliseconds since the epoch; undefined: not so. */
  readonly unevenSince?: number | undefined;
}

export interface PlanInput {
  /** Milliseconds since the epoch. */
  readonly now: number;
  readonly scaling: { readonly min: number; readonly max: number; readonly catchUpMs: number };
  readonly group: {
    /** Kafka's own: Empty, PreparingRebalance, CompletingRebalance, Stable, Dead. */
    readonly state: string;
    /** What each member owns. */
    readonly members: readonly (readonly TopicPartition[])[];
  };
  readonly partitions: readonly PlanPartition[];
  readonly memory?: PlanMemory;
}

/** A partition that gets more than its own lanes can do: replicas cannot help it. */
export interface BoundPartition extends TopicPartition {
  readonly arrivalPerSecond: number;
  readonly capacityPerSecond: number;
}

export interface PartitionLoad extends TopicPartition {
  readonly backlog: number;
  readonly arrivalPerSecond: number;
  /** λ / C of the partition; undefined while rates are unknown. */
  readonly load: number | undefined;
}

export interface Plan {
  /** Workers wanted: min <= desired <= min(max, partitions). */
  readonly desired: number;
  /** What KEDA reads, with target "1" (AverageValue): `desired`, or a little more to get past the HPA's tolerance. */
  readonly signalValue: number;
  readonly reason: ScalingReason;
  /** A sentence with the numbers. */
  readonly why: string;
  /** The group's leader is to join again, so that the partitions are dealt anew; undefined when that cannot be told. */
  readonly rebalance: boolean | undefined;
  readonly running: number;
  readonly partitions: number;
  readonly bound: readonly BoundPartition[];
  /** Partitions that would do, when some are bound. */
  readonly partitionsNeeded: number | undefined;
  /** Load of the heaviest worker when `desired` run, 1 = all it can do; undefined while rates are unknown. */
  readonly heaviest: number | undefined;
  /** What is planned with, ms: `scaling.catchUp`, or nine times what a rebalance takes here when that is longer. */
  readonly catchUpMs: number;
  /** What a rebalance takes here, seconds; 0 while unknown. */
  readonly rebalanceSeconds: number;
  /** Records that could be worked on now. */
  readonly backlog: number;
  /**
   * How long ago the oldest of them was written, by the timestamp of the record whose turn is next; where no owner has told
   * that, as long as so many take to arrive. 0 without backlog, undefined when unknown.
   */
  readonly lagSeconds: number | undefined;
  readonly arrivalPerSecond: number;
  /** C_w: what one worker manages; undefined while unknown. */
  readonly workerPerSecond: number | undefined;
  /** What bounds it. */
  readonly workerBound: CapacityBound | undefined;
  /** In the order of topic and partition. */
  readonly loads: readonly PartitionLoad[];
}

/** A worker may be planned to this share of what it can do. */
export const GO = 0.9;
/** Fewer workers than run must fit with this much room. */
export const KEEP = 0.8;
/** The HPA ignores a difference up to this. */
export const HPA_TOLERANCE = 0.1;
export const SIGNAL_STALE_MS = 90_000;
/** Records for one worker while rates are unknown: the usual lagThreshold. */
export const PLAIN_LAG_PER_WORKER = 1000;
const LONGEST_HOLD_MS = 3 * 60_000;
/** Another assignment is waited for this long, and a third of the time to catch up at most; then workers are added. */
const LONGEST_UNEVEN_MS = 60_000;
/**
 * Every change of members stops the group for one rebalance, and what arrives meanwhile has to be caught up with. With less
 * time than this many the backlog of one rebalance asks for the next: with stops of 15 s and workers loaded to 83 % a
 * catchUp of 60 s went from 12 workers to 24, one of 120 s stayed.
 */
export const REBALANCES_PER_CATCH_UP = 9;
/** Fewer arrivals than one a minute are none. */
const NO_ARRIVALS = 1 / 60;
/** The owner of a waiting retry partition tells its next due time within this; until then the old one holds. */
const DUE_GRACE_MS = 5_000;

export function plan(input: PlanInput): Plan {
  const { now, scaling, group } = input;
  const running = group.members.length;
  const total = input.partitions.length;
  const top = Math.max(1, Math.min(scaling.max, total));
  const low = Math.min(scaling.min, top);
  const within = (n: number) => Math.min(top, Math.max(low, n));
  const empty = group.state === 'Empty' || group.state === 'Dead';
  const moving = !empty && group.state !== 'Stable';

  const ordered = [...input.partitions].sort(byName);
  const signals = ordered.flatMap(({ signal }) => (isFresh(signal, now) ? [signal] : []));
  const capacity = fleetCapacity(signals);
  const rebalanceSeconds = usualRebalance(signals);
  const catchUpMs = Math.max(scaling.catchUpMs, REBALANCES_PER_CATCH_UP * 1000 * rebalanceSeconds);
  const loads = ordered.map((each) => loadOf(each, now, capacity?.lanes ?? 1));
  const backlog = sum(loads.map((load) => load.backlog));
  const arrival = sum(loads.map((load) => load.arrival));
  const fleet =
    capacity &&
    new Fleet({
      capacity,
      loads,
      catchUpSeconds: catchUpMs / 1000,
      ...(moving ? {} : { today: group.members }),
    });
  const bound = fleet ? boundPartitions(fleet) : [];
  let rebalance: boolean | undefined;
  const lanes = sum(loads.map((load) => load.lanes));

  const tooShort = why.shortCatchUp({ declaredMs: scaling.catchUpMs, plannedMs: catchUpMs, rebalanceSeconds });
  const answer = (desired: number, reason: ScalingReason, sentence: string): Plan => ({
    desired,
    signalValue: nudged(desired, running),
    reason,
    why: catchUpMs > scaling.catchUpMs ? `${sentence} ${tooShort}` : sentence,
    rebalance,
    running,
    partitions: total,
    bound,
    partitionsNeeded: partitionsNeeded(bound, total),
    heaviest: fleet?.heaviest(Math.max(1, desired)),
    catchUpMs,
    rebalanceSeconds,
    backlog,
    lagSeconds: lagSeconds(ordered, loads, now),
    arrivalPerSecond: arrival,
    workerPerSecond: fleet && perWorker(fleet, Math.max(1, desired)),
    workerBound: capacity && boundOf(capacity, lanes / Math.max(1, desired)),
    loads: loads.map((load) => ({
      topic: load.topic,
      partition: load.partition,
      backlog: load.backlog,
      arrivalPerSecond: load.arrival,
      load: fleet && load.arrival / fleet.partitionCapacity(load),
    })),
  });

  const movingForMs = moving ? now - (input.memory?.unstableSince ?? now) : 0;
  if (moving && movingForMs <= LONGEST_HOLD_MS) {
    // What was asked for counts as well: while workers join one by one the group hardly rests, and asking for fewer
    // than before would take back what is on its way.
    const stay = within(Math.max(running, input.memory?.asked ?? 0));
    return answer(stay, 'rebalancing', why.rebalancing({ state: group.state, forMs: movingForMs, stay }));
  }

  const plain = within(Math.max(backlog > 0 ? 1 : 0, Math.ceil(backlog / PLAIN_LAG_PER_WORKER)));
  const signalled = ordered.filter(({ signal }) => signal !== undefined).length;
  if (running > 0 && signalled > 0 && signals.length * 2 < total)
    return answer(plain, 'stale-signal', why.stale({ fresh: signals.length, total, backlog, plain }));

  if (backlog === 0 && arrival < NO_ARRIVALS) return answer(low, 'idle', why.idle({ low }));

  if (!fleet) {
    // Nobody has finished a record yet. Those that run have something to do: none is taken away.
    const grown = within(Math.max(running, plain, 1));
    return answer(grown, backlog > 0 ? 'catch-up' : 'steady', why.unmeasured({ backlog, plain, grown, empty }));
  }

  const room = (n: number) => (n < running ? KEEP : GO);
  const least = Math.max(1, low);
  const need = fleet.need(least, top, room);
  // When nothing fits every worker is busy to the end, and one more is never wasted.
  const snapped = need.fits ? fleet.snap(least, need.n) : need.n;
  const forArrivals = new Fleet({
    capacity: fleet.capacity,
    loads: loads.map((load) => ({ ...load, backlog: 0 })),
    catchUpSeconds: catchUpMs / 1000,
    ...(moving ? {} : { today: group.members }),
  });
  // Without the backlog fewer fit: the search need not go further than it did with it.
  const steady =
    backlog === 0 ? snapped : forArrivals.snap(least, forArrivals.need(least, Math.max(least, need.n), room).n);
  const facts = {
    desired: snapped,
    running,
    backlog,
    arrival,
    perWorker: perWorker(fleet, snapped),
    heaviest: fleet.heaviest(snapped),
    catchUpMs,
  };

  const weight = (load: Load) => load.arrival + load.backlog / (catchUpMs / 1000);
  const broken = sum(loads.map((load) => (load.broken ? weight(load) : 0))) / sum(loads.map(weight));
  rebalance = moving ? undefined : broken <= 0.5 && rebalanceWanted(fleet, GO, top);
  if (broken > 0.5 && running > 0 && snapped > running) {
    const stay = within(running);
    return answer(stay, 'downstream-open', why.downstreamOpen({ share: broken, wanted: snapped, stay }));
  }
  const unevenForMs = now - (input.memory?.unevenSince ?? now);
  if (rebalance && unevenForMs <= Math.min(LONGEST_UNEVEN_MS, catchUpMs / 3)) {
    const stay = within(Math.min(snapped, running));
    return answer(stay, 'rebalance-wanted', why.rebalanceWanted({ ...facts, today: fleet.heaviest(running), stay }));
  }
  if (bound.length > 0)
    return answer(snapped, 'partition-bound', why.bound({ ...facts, bound, needed: partitionsNeeded(bound, total)! }));
  const late = fleet.late.length;
  if (!need.fits || (late > 0 && snapped === top))
    return answer(snapped, 'at-max', why.atMax({ ...facts, top, byPartitions: total <= scaling.max }));
  return snapped > steady || late > 0
    ? answer(snapped, 'catch-up', why.catchUp({ ...facts, steady, late }))
    : answer(snapped, 'steady', why.steady(facts));
}

/**
 * What to tell the HPA (AverageValue, target 1). It leaves a difference within its tolerance alone: upwards the value is
 * nudged past it, downwards a surplus that small may stay (a nudge down would be answered by one up: 20, 18, 20).
 */
export function nudged(desired: number, running: number): number {
  if (desired <= running || desired > running * (1 + HPA_TOLERANCE)) return desired;
  return Math.round((running * (1 + HPA_TOLERANCE) + 0.01) * 1000) / 1000;
}

function isFresh(signal: Signal | undefined, now: number): signal is Signal {
  return signal !== undefined && now - signal.sentAt <= SIGNAL_STALE_MS;
}

function loadOf(each: PlanPartition, now: number, usualLanes: number): Load {
  const known = isFresh(each.signal, now) ? each.signal : undefined;
  return {
    topic: each.topic,
    partition: each.partition,
    arrival: known?.arrivalPerSecond ?? 0,
    backlog: actionable(each, known, now),
    lanes: Math.max(1, known?.lanes ?? usualLanes),
    broken: known?.paused === 'breaker',
  };
}

/** Retry records that are not due are no backlog, nor is what is done already. */
function actionable({ behind, signal }: PlanPartition, known: Signal | undefined, now: number): number {
  // Its records come due in the order of their offsets, so nothing behind the first can be due before it. This holds
  // when the signal is old, too: that is how a group that was scaled to zero is woken in time.
  const grace = known ? DUE_GRACE_MS : 0;
  if (signal?.dueAt !== undefined && now < signal.dueAt + grace) return 0;
  return Math.max(0, behind - (known ? known.doneAhead + known.deferred : 0));
}

function boundPartitions(fleet: Fleet): BoundPartition[] {
  return fleet.loads.flatMap((load) => {
    const capacity = fleet.partitionCapacity(load);
    if (load.arrival <= capacity) return [];
    const { topic, partition } = load;
    return [{ topic, partition, arrivalPerSecond: load.arrival, capacityPerSecond: capacity }];
  });
}

/** If keys spread evenly: so many that the worst one's share fits. */
function partitionsNeeded(bound: readonly BoundPartition[], total: number): number | undefined {
  if (bound.length === 0) return undefined;
  return Math.ceil(total * Math.max(...bound.map((each) => each.arrivalPerSecond / (GO * each.capacityPerSecond))));
}

function perWorker(fleet: Fleet, n: number): number {
  return Math.max(...fleet.hands(n).map((hand) => fleet.workerCapacity(hand)));
}

/** @param loads  of the partitions, in their order */
function lagSeconds(partitions: readonly PlanPartition[], loads: readonly Load[], now: number): number | undefined {
  const ages: number[] = [];
  let waiting = false;
  for (const [at, { backlog, arrival }] of loads.entries()) {
    if (backlog === 0) continue;
    waiting = true;
    const signal = partitions[at]!.signal;
    const oldestAt = signal?.oldestAt;
    // Beside the same committed offset the same record is next, however old the signal; but if none waited then, what waits
    // now may have come any time since.
    if (oldestAt !== undefined && (isFresh(signal, now) || oldestAt < signal!.sentAt))
      ages.push(Math.max(0, now - oldestAt) / 1000);
    else if (arrival >= NO_ARRIVALS) ages.push(backlog / arrival);
  }
  return waiting && ages.length === 0 ? undefined : Math.max(0, ...ages);
}

function byName(a: TopicPartition, b: TopicPartition): number {
  return a.topic === b.topic ? a.partition - b.partition : a.topic < b.topic ? -1 : 1;
}

function sum(values: readonly number[]): number {
  let total = 0;
  for (const value of values) total += value;
  return total;
}
