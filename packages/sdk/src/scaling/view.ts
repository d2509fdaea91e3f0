/**
 * What one observer knows of one group: looks every `intervalMs`, plans, keeps the last good answer.
 *
 *   nothing yet --a look succeeds--> good --looks fail--> good, ageing --90 s--> too old --a look succeeds--> good
 *
 * `answer()` reads memory only, so whoever asks is answered at once: KEDA puts no deadline on an external scaler, and a
 * metrics endpoint that waits for a broker takes the HPA down with it. All observers look at the same multiples of the
 * interval, so that replicas which are asked in turn give the same answer.
 */
import { EventEmitter } from 'node:events';
import { type Cancel, type Clock, describeError, inTime, type Logger } from '@weir/core';
import type { Admin } from '../kafka/port.ts';
import type { TopologyWorker } from '../topology.ts';
import type { CapacityBound } from './capacity.ts';
import { type BoundPartition, type Plan, type PlanMemory, plan, type ScalingReason } from './plan.ts';
import { planInput, type Snapshot, takeSnapshot } from './snapshot.ts';
import { shortCatchUp } from './why.ts';

/** Body of `GET /scaling`. Rates are rounded; times are milliseconds since the epoch. */
export interface ScalingAnswer {
  readonly worker: string;
  readonly group: string;
  readonly topics: readonly string[];
  readonly desiredReplicas: number;
  /** For the HPA, with target "1" (AverageValue). */
  readonly signalValue: number;
  readonly reason: ScalingReason;
  /** A sentence with the numbers. */
  readonly why: string;
  /** Members of the group. */
  readonly running: number;
  readonly partitions: number;
  /** Partitions that get more than their own lanes can do: replicas cannot help them. */
  readonly bound: readonly BoundPartition[];
  /** Partitions that would do, when some are bound. */
  readonly partitionsNeeded: number | null;
  /** Load of the heaviest worker once `desiredReplicas` run, 1 = all it can do; null while rates are unknown. */
  readonly heaviest: number | null;
  /** Records that could be worked on now. */
  readonly backlog: number;
  /** Age of the oldest by its timestamp; estimated from arrivals where no owner has told it, null when unknown. */
  readonly lagSeconds: number | null;
  readonly arrivalPerSecond: number;
  /** What one worker manages; null while unknown. */
  readonly workerPerSecond: number | null;
  /** What bounds it: lanes, its concurrency limit, or what it has shown. */
  readonly workerBound: CapacityBound | null;
  readonly observedAt: number;
  /** Age of the observation when it was given out. */
  readonly ageSeconds: number;
}

export type ScalingReply =
  | { readonly status: 200; readonly body: ScalingAnswer }
  | { readonly status: 503; readonly body: { readonly error: string } };

export interface ScalingViewOptions {
  /** Started and stopped by the caller. */
  readonly admin: Admin;
  readonly worker: TopologyWorker;
  readonly clock: Clock;
  readonly intervalMs: number;
  readonly log: Logger;
}

export type ScalingViewEvents = {
  /** A look has succeeded. */
  'plan:made': [event: { readonly worker: string; readonly plan: Plan }];
  /** Another number is wanted, or for another reason, than at the last look that succeeded. */
  'plan:changed': [event: { readonly worker: string; readonly from: Plan; readonly to: Plan }];
};

/** An answer older than this is none: KEDA's fallback or the HPA's "hold" is better than acting on it. */
export const ANSWER_TOO_OLD_MS = 90_000;
/** A look that takes longer is given up. */
const LOOK_DEADLINE_MS = 10_000;
const NO_ANSWER = `Kafka did not answer within ${LOOK_DEADLINE_MS / 1000} s`;

interface Good {
  readonly snapshot: Snapshot;
  readonly plan: Plan;
  readonly atMs: number;
}

export class ScalingView extends EventEmitter<ScalingViewEvents> {
  readonly #options: ScalingViewOptions;
  #good: Good | undefined;
  #failure: string | undefined;
  #memory: PlanMemory = { unstableSince: undefined, asked: undefined };
  #cancel: Cancel | undefined;
  /** Raised by every start and stop; a look that ends after the next one is dropped. */
  #era = 0;

  constructor(options: ScalingViewOptions) {
    super();
    this.#options = options;
  }

  /** Looks now and then on every multiple of the interval. Resolves when the first look is over, well or badly. */
  async start(): Promise<void> {
    if (this.#cancel) return;
    const era = ++this.#era;
    this.#cancel = () => undefined;
    await this.#turn(era);
  }

  stop(): void {
    this.#era++;
    this.#cancel?.();
    this.#cancel = undefined;
  }

  /** Never waits. */
  answer(): ScalingReply {
    const good = this.#good;
    const { worker, clock } = this.#options;
    const ageMs = good ? clock.monotonic() - good.atMs : Number.POSITIVE_INFINITY;
    if (!good || ageMs > ANSWER_TOO_OLD_MS) {
      const what = good
        ? `the last look at group ${worker.group} that succeeded is ${Math.round(ageMs / 1000)} s old`
        : `group ${worker.group} has not been looked at yet`;
      return { status: 503, body: { error: this.#failure ? `${what}: ${this.#failure}` : what } };
    }
    return { status: 200, body: answerOf(worker, good.snapshot, good.plan, ageMs) };
  }

  /** The last good plan and what it was made from, for metrics and people; undefined when there is none or it is too old. */
  get latest(): { readonly snapshot: Snapshot; readonly plan: Plan } | undefined {
    return this.answer().status === 200 ? this.#good : undefined;
  }

  async #turn(era: number): Promise<void> {
    await this.#look(era);
    if (era !== this.#era) return;
    const { clock, intervalMs } = this.#options;
    const wait = intervalMs - (clock.now() % intervalMs);
    this.#cancel = clock.after(wait, () => void this.#turn(era));
  }

  /** Once, when it begins to be so. */
  #checkCatchUp(made: Plan, before: Plan | undefined): void {
    const { worker, log } = this.#options;
    const declaredMs = worker.scaling.catchUpMs;
    if (made.catchUpMs <= declaredMs || (before && before.catchUpMs > declaredMs)) return;
    const { catchUpMs: plannedMs, rebalanceSeconds } = made;
    log.warn(
      { worker: worker.name, group: worker.group },
      `${shortCatchUp({ declaredMs, plannedMs, rebalanceSeconds })} Raise scaling.catchUp (WEIR_CATCH_UP), or make rebalances shorter: quicker handlers, a smaller WEIR_REVOKE_WAIT_MS`,
    );
  }

  async #look(era: number): Promise<void> {
    const { admin, worker, clock, intervalMs, log } = this.#options;
    const now = clock.now();
    const atMs = clock.monotonic();
    try {
      const snapshot = await inTime(clock, LOOK_DEADLINE_MS, takeSnapshot(admin, worker, now), NO_ANSWER);
      if (era !== this.#era) return;
      this.#memory = { ...this.#memory, unstableSince: unstableSince(snapshot, this.#memory, intervalMs) };
      const made = plan(planInput(snapshot, worker.scaling, this.#memory));
      this.#memory = {
        ...this.#memory,
        asked: made.desired,
        unevenSince: unevenSince(made, snapshot, this.#memory, intervalMs),
      };
      if (this.#failure !== undefined)
        log.info({ worker: worker.name, group: worker.group }, 'the group can be looked at again');
      this.#failure = undefined;
      const before = this.#good?.plan;
      this.#good = { snapshot, plan: made, atMs };
      this.#checkCatchUp(made, before);
      this.emit('plan:made', { worker: worker.name, plan: made });
      if (before && (before.desired !== made.desired || before.reason !== made.reason))
        this.emit('plan:changed', { worker: worker.name, from: before, to: made });
    } catch (error) {
      if (era !== this.#era) return;
      const failure = describeError(error);
      // Once, not at every look: a broker that is away for an hour is one event.
      if (this.#failure === undefined)
        log.warn(
          { worker: worker.name, group: worker.group, error },
          'the group cannot be looked at; the last answer stands for 90 s',
        );
      this.#failure = failure;
    }
  }
}

/** Rounded down to the interval: each observer first saw it at another moment of the same one. */
function unstableSince(snapshot: Snapshot, memory: PlanMemory, intervalMs: number): number | undefined {
  if (['Stable', 'Empty', 'Dead'].includes(snapshot.state)) return undefined;
  return memory.unstableSince ?? snapshot.takenAt - (snapshot.takenAt % intervalMs);
}

/** A group in motion neither is even nor is not: what was known before holds. */
function unevenSince(made: Plan, snapshot: Snapshot, memory: PlanMemory, intervalMs: number): number | undefined {
  if (made.rebalance === undefined) return memory.unevenSince;
  if (!made.rebalance) return undefined;
  return memory.unevenSince ?? snapshot.takenAt - (snapshot.takenAt % intervalMs);
}

function answerOf(worker: TopologyWorker, snapshot: Snapshot, made: Plan, ageMs: number): ScalingAnswer {
  return {
    worker: worker.name,
    group: worker.group,
    topics: worker.consumes.map((topic) => topic.name),
    desiredReplicas: made.desired,
    signalValue: made.signalValue,
    reason: made.reason,
    why: made.why,
    running: made.running,
    partitions: made.partitions,
    bound: made.bound.map((each) => ({
      ...each,
      arrivalPerSecond: rounded(each.arrivalPerSecond),
      capacityPerSecond: rounded(each.capacityPerSecond),
    })),
    partitionsNeeded: made.partitionsNeeded ?? null,
    heaviest: made.heaviest === undefined ? null : rounded(made.heaviest),
    backlog: made.backlog,
    lagSeconds: made.lagSeconds === undefined ? null : rounded(made.lagSeconds),
    arrivalPerSecond: rounded(made.arrivalPerSecond),
    workerPerSecond: made.workerPerSecond === undefined ? null : rounded(made.workerPerSecond),
    workerBound: made.workerBound ?? null,
    observedAt: snapshot.takenAt - (snapshot.takenAt % 1000),
    ageSeconds: Math.floor(ageMs / 1000),
  };
}

function rounded(value: number): number {
  return Math.round(value * 1000) / 1000;
}
