/**
 * One consumer group under the plan and the HPA, second by second: 24 partitions, a worker serves 100 records/s over
 * what it owns, pods start in 45 s, every change of membership stops the group for 15 s and has the group's assigner deal
 * anew, the HPA asks every 15 s. The figures that KEDA's lag rule reaches in the same model are beside the tests.
 */
import { type Random, seededRandom } from '@weir/core';
import { assignAgain } from '../kafka/assigner.ts';
import type { Signal } from '../metadata.ts';
import { HpaModel } from './hpa.ts';
import { type PlanInput, type PlanPartition, plan } from './plan.ts';
import { BEHAVIOR, type ScalingBehavior } from './policy.ts';
import { Rejoins } from './rejoins.ts';

export interface SimulationOptions {
  readonly seconds: number;
  /** Records arriving in second t, before noise. */
  readonly arrivals: (t: number) => number;
  /** Share of them that goes to partition p; even unless told. */
  readonly share?: (p: number) => number;
  /** What a worker still manages in second t, 1 = all. */
  readonly health?: (t: number) => number;
  /** Whether workers report an open breaker then. */
  readonly breakerOpen?: (t: number) => boolean;
  readonly behavior?: ScalingBehavior;
  readonly seed?: number;
  /** Noise of the measured handling rate, 0.1 = +-10 %. */
  readonly rateNoise?: number;
  /** A rule to compare with: what KEDA would read, with target 1. The plan unless told. */
  readonly rule?: (state: { lag: number; running: number }) => number;
}

export interface SimulationResult {
  readonly podMinutes: number;
  readonly p95Seconds: number;
  readonly p99Seconds: number;
  readonly minutesOver10000: number;
  readonly changes: number;
  /** Times that the leader joined again to have the partitions dealt anew. */
  readonly rejoins: number;
  /** A change against the one before it, within ten minutes. */
  readonly reversals: number;
  readonly counts: readonly number[];
  readonly endLag: number;
}

const PARTITIONS = 24;
const MIN = 4;
const WORKER_RATE = 100;
const LANES = 10;
const POD_START = 45;
const REBALANCE = 15;
const CATCH_UP = 300;
const ASK_EVERY = 15;
const HALF_LIFE = 30;
const START = Date.UTC(2026, 0, 1);

export function simulate(options: SimulationOptions): SimulationResult {
  const random = seededRandom(options.seed ?? 1);
  const hpa = new HpaModel({ min: MIN, max: PARTITIONS, behavior: options.behavior ?? BEHAVIOR });
  const share = options.share ?? (() => 1 / PARTITIONS);
  const queues = Array.from({ length: PARTITIONS }, () => new Queue());
  const rates = new Float64Array(PARTITIONS);
  const delays: number[] = [];
  const counts: number[] = [];
  let running = MIN;
  let ready = MIN;
  let hands: number[][] = [];
  /** `count` members: those that run keep what they can, the last ones leave. */
  const reassign = (count: number, thorough = false) => {
    const today = Array.from({ length: count }, (_, w) => (hands[w] ?? []).map(partitionAt));
    const weightOf = ({ partition }: { partition: number }) =>
      Math.min(WORKER_RATE, rates[partition]! + queues[partition]!.size / CATCH_UP);
    hands = assignAgain(
      today,
      queues.map((_, p) => partitionAt(p)),
      weightOf,
      thorough,
    ).map((share) => share.map(({ partition }) => partition));
  };
  reassign(ready);
  let starting: number[] = [];
  let stoppedFor = 0;
  let unstableSince: number | undefined;
  let asked: number | undefined;
  let unevenSince: number | undefined;
  const leader = new Rejoins();
  leader.joined(true, 0);
  let podSeconds = 0;
  let over = 0;
  let changes = 0;
  let rejoins = 0;
  let reversals = 0;
  let last = { direction: 0, at: Number.NEGATIVE_INFINITY };

  for (let t = 0; t < options.seconds; t++) {
    const noise = 0.85 + 0.3 * random.next();
    for (let p = 0; p < PARTITIONS; p++) {
      const records = options.arrivals(t) * noise * share(p);
      queues[p]!.add(t, records);
      rates[p]! += (records - rates[p]!) * (1 - 0.5 ** (1 / HALF_LIFE));
    }
    const joined = starting.filter((at) => at <= t).length;
    if (joined > 0) {
      starting = starting.filter((at) => at > t);
      ready += joined;
      reassign(ready);
      stoppedFor = REBALANCE;
      changes++;
    }
    const health = options.health?.(t) ?? 1;
    if (stoppedFor > 0) stoppedFor--;
    else for (let w = 0; w < ready; w++) serve(hands[w]!, queues, WORKER_RATE * health, t, delays);
    const lag = queues.reduce((sum, queue) => sum + queue.size, 0);
    if (lag > 10_000) over++;
    podSeconds += ready + starting.length;
    if (t % ASK_EVERY !== 0) continue;

    const now = START + t * 1000;
    if (stoppedFor === 0) unstableSince = undefined;
    else unstableSince ??= now;
    const input = inputOf({
      ...options,
      now,
      t,
      ready,
      hands,
      queues,
      rates,
      random,
      moving: stoppedFor > 0,
      unstableSince,
      asked,
      unevenSince,
    });
    const made = plan(input);
    asked = made.desired;
    if (made.rebalance !== undefined) unevenSince = made.rebalance ? (unevenSince ?? now) : undefined;
    if (leader.looked(made, t * 1000)) {
      reassign(ready, true);
      stoppedFor = REBALANCE;
      leader.began(t * 1000);
      leader.joined(true, t * 1000);
      rejoins++;
    }
    const signalValue = options.rule?.({ lag, running }) ?? made.signalValue;
    const next = hpa.next({ now, signalValue, current: running });
    if (next !== running) {
      const direction = Math.sign(next - running);
      if (last.direction !== 0 && direction !== last.direction && t - last.at < 600) reversals++;
      last = { direction, at: t };
      for (let more = running; more < next; more++) starting.push(t + POD_START);
      let removed = 0;
      for (let fewer = running; fewer > next; fewer--) {
        if (starting.length > 0) starting.pop();
        else removed++;
      }
      if (removed > 0) {
        ready -= removed;
        reassign(ready);
        stoppedFor = REBALANCE;
        changes++;
      }
      running = next;
    }
    counts.push(running);
  }
  return {
    podMinutes: Math.round(podSeconds / 60),
    p95Seconds: quantile(delays, 0.95),
    p99Seconds: quantile(delays, 0.99),
    minutesOver10000: Math.round(over / 6) / 10,
    changes,
    rejoins,
    reversals,
    counts,
    endLag: queues.reduce((sum, queue) => sum + queue.size, 0),
  };
}

const partitionAt = (partition: number) => ({ topic: 'trace', partition });

/** A worker shares its capacity evenly among its partitions that have something. */
function serve(hand: readonly number[], queues: readonly Queue[], capacity: number, t: number, delays: number[]): void {
  let left = capacity;
  let busy = hand.map((p) => queues[p]!).filter((queue) => queue.size > 0);
  while (left > 1e-9 && busy.length > 0) {
    const each = left / busy.length;
    for (const queue of busy) left -= queue.take(each, t, delays);
    busy = busy.filter((queue) => queue.size > 0);
  }
}

function inputOf(state: {
  now: number;
  t: number;
  ready: number;
  hands: readonly (readonly number[])[];
  queues: readonly Queue[];
  rates: Float64Array;
  random: Random;
  moving: boolean;
  unstableSince: number | undefined;
  asked: number | undefined;
  unevenSince: number | undefined;
  breakerOpen?: (t: number) => boolean;
  rateNoise?: number;
}): PlanInput {
  const workerOf = new Map(state.hands.flatMap((hand, w) => hand.map((p) => [p, w] as const)));
  const laneRates = Array.from(
    { length: state.ready },
    () => (WORKER_RATE / LANES) * (1 + (state.rateNoise ?? 0) * (2 * state.random.next() - 1)),
  );
  const partitions = state.queues.map((queue, partition): PlanPartition => {
    const signal: Signal = {
      writer: `w${workerOf.get(partition)}`,
      counter: state.t,
      offset: 0,
      sentAt: state.now - 1000,
      arrivalPerSecond: state.rates[partition]!,
      laneRate: laneRates[workerOf.get(partition)!]!,
      lanes: LANES,
      limit: LANES,
      limitProven: true,
      bestRate: 0,
      p95Seconds: 0.1,
      paused: state.breakerOpen?.(state.t) ? 'breaker' : undefined,
      doneAhead: 0,
      deferred: 0,
      dueAt: undefined,
      oldestAt: undefined,
      rebalanceSeconds: 0,
    };
    return { ...partitionAt(partition), behind: Math.round(queue.size), signal };
  });
  return {
    now: state.now,
    scaling: { min: MIN, max: PARTITIONS, catchUpMs: CATCH_UP * 1000 },
    group: {
      state: state.moving ? 'PreparingRebalance' : 'Stable',
      members: state.hands.map((hand) => hand.map(partitionAt)),
    },
    partitions,
    memory: { unstableSince: state.unstableSince, asked: state.asked, unevenSince: state.unevenSince },
  };
}

/** First in, first out; what arrived in one second is one lump. */
class Queue {
  #lumps: { at: number; records: number }[] = [];
  #head = 0;
  size = 0;

  add(at: number, records: number): void {
    if (records <= 0) return;
    this.#lumps.push({ at, records });
    this.size += records;
  }

  take(records: number, now: number, delays: number[]): number {
    let left = Math.min(records, this.size);
    const taken = left;
    while (left > 1e-9 && this.#head < this.#lumps.length) {
      const lump = this.#lumps[this.#head]!;
      const part = Math.min(left, lump.records);
      lump.records -= part;
      left -= part;
      delays[now - lump.at] = (delays[now - lump.at] ?? 0) + part;
      if (lump.records <= 1e-9) this.#head++;
    }
    this.size -= taken;
    if (this.size < 1e-6) {
      this.size = 0;
      this.#lumps = [];
      this.#head = 0;
    }
    return taken;
  }
}

/** @param delays  records by the whole seconds that they waited */
function quantile(delays: readonly number[], share: number): number {
  const total = delays.reduce((sum, records) => sum + records, 0);
  let seen = 0;
  for (let seconds = 0; seconds < delays.length; seconds++) {
    seen += delays[seconds] ?? 0;
    if (seen >= share * total) return seconds;
  }
  return 0;
}
