/**
 * The arithmetic of Kubernetes' HorizontalPodAutoscaler (autoscaling/v2, one external metric with AverageValue and target
 * "1") and of KEDA's step to and from zero. The demo's supervisor scales by it, and tests show what a cluster would do
 * with the plan's answers. Time is passed in.
 *
 *   metric        within 10 % of current: leave; else ceil(value)
 *   stabilise     up: the least, down: the most that was recommended in the window
 *   policies      how far from where the period began, by pods or per cent
 *
 * Follows pkg/controller/podautoscaler/horizontal.go of Kubernetes 1.34, events and roundings included.
 */

import { HPA_TOLERANCE } from './plan.ts';
import { BEHAVIOR, type ScalingBehavior, type ScalingRules } from './policy.ts';

export interface HpaModelOptions {
  /** 0: KEDA scales to zero when nothing has been wanted for the cooldown. */
  readonly min: number;
  readonly max: number;
  readonly behavior?: ScalingBehavior;
  /** Of KEDA, seconds before the step to zero; 300 unless told. */
  readonly cooldownSeconds?: number;
  /** 10: everything that takes a minute in a cluster takes six seconds. 1 unless told. */
  readonly speed?: number;
}

interface Change {
  readonly at: number;
  readonly by: number;
}

export class HpaModel {
  readonly #min: number;
  readonly #max: number;
  readonly #behavior: ScalingBehavior;
  readonly #cooldownMs: number;
  readonly #speed: number;
  #recommended: { at: number; replicas: number }[] | undefined;
  #changes: Change[] = [];
  #activeAt: number | undefined;

  constructor(options: HpaModelOptions) {
    this.#min = options.min;
    this.#max = Math.max(1, options.max);
    this.#behavior = options.behavior ?? BEHAVIOR;
    this.#cooldownMs = (options.cooldownSeconds ?? 300) * 1000;
    this.#speed = options.speed ?? 1;
  }

  /**
   * One evaluation; a cluster makes one every 15 s.
   * @param options.now          milliseconds of any clock that does not go back
   * @param options.signalValue  undefined: the metric could not be read, and the count is held
   * @param options.current      replicas that the deployment has, whether they are ready or not
   * @returns                    replicas to have; the model counts the change as made
   */
  next(options: { now: number; signalValue: number | undefined; current: number }): number {
    const { current, signalValue } = options;
    const now = options.now * this.#speed;
    // The first count that is seen is taken for a recommendation, so that a new HPA takes nothing away at once.
    this.#recommended ??= [{ at: now, replicas: current }];
    this.#forget(now);
    if (signalValue === undefined || !Number.isFinite(signalValue)) return current;
    const active = signalValue > 0;
    if (active) this.#activeAt = now;
    const least = Math.max(1, this.#min);
    if (current === 0) return this.#change(now, 0, active || this.#min > 0 ? least : 0);
    if (this.#min === 0 && !active && now - (this.#activeAt ?? now) >= this.#cooldownMs)
      return this.#change(now, current, 0);
    this.#activeAt ??= now;

    if (current > this.#max) return this.#change(now, current, this.#max);
    if (current < least) return this.#change(now, current, least);
    const ratio = signalValue / current;
    const wanted = Math.abs(1 - ratio) <= HPA_TOLERANCE ? current : Math.ceil(signalValue);
    const stabilised = this.#stabilise(now, current, wanted);
    return this.#change(now, current, this.#limit(now, current, stabilised, least));
  }

  #stabilise(now: number, current: number, wanted: number): number {
    const { scaleUp, scaleDown } = this.#behavior;
    let up = wanted;
    let down = wanted;
    for (const { at, replicas } of this.#recommended ?? []) {
      if (at > now - scaleUp.stabilizationWindowSeconds * 1000) up = Math.min(up, replicas);
      if (at > now - scaleDown.stabilizationWindowSeconds * 1000) down = Math.max(down, replicas);
    }
    this.#recommended?.push({ at: now, replicas: wanted });
    return Math.min(Math.max(current, up), Math.max(down, up));
  }

  #limit(now: number, current: number, wanted: number, least: number): number {
    const { scaleUp, scaleDown } = this.#behavior;
    if (wanted > current) return Math.min(wanted, this.#max, Math.max(current, this.#highest(now, current, scaleUp)));
    if (wanted < current) return Math.max(wanted, least, Math.min(current, this.#lowest(now, current, scaleDown)));
    return current;
  }

  #highest(now: number, current: number, rules: ScalingRules): number {
    if (rules.selectPolicy === 'Disabled') return current;
    const limits = rules.policies.map((policy) => {
      const from = this.#atStartOf(now, policy.periodSeconds, current);
      return policy.type === 'Pods' ? from + policy.value : Math.ceil(from * (1 + policy.value / 100));
    });
    return rules.selectPolicy === 'Min' ? Math.min(...limits) : Math.max(...limits);
  }

  #lowest(now: number, current: number, rules: ScalingRules): number {
    if (rules.selectPolicy === 'Disabled') return current;
    const limits = rules.policies.map((policy) => {
      const from = this.#atStartOf(now, policy.periodSeconds, current);
      return policy.type === 'Pods' ? from - policy.value : Math.trunc(from * (1 - policy.value / 100));
    });
    // "Min" is the least change, so the most replicas.
    return rules.selectPolicy === 'Min' ? Math.max(...limits) : Math.min(...limits);
  }

  /** How many there were when the period began. */
  #atStartOf(now: number, periodSeconds: number, current: number): number {
    let from = current;
    for (const { at, by } of this.#changes) if (at > now - periodSeconds * 1000) from -= by;
    return from;
  }

  #change(now: number, from: number, to: number): number {
    if (to !== from) this.#changes.push({ at: now, by: to - from });
    return to;
  }

  #forget(now: number): void {
    const { scaleUp, scaleDown } = this.#behavior;
    const window = Math.max(scaleUp.stabilizationWindowSeconds, scaleDown.stabilizationWindowSeconds) * 1000;
    const period =
      Math.max(...[...scaleUp.policies, ...scaleDown.policies].map((policy) => policy.periodSeconds)) * 1000;
    this.#recommended = this.#recommended?.filter(({ at }) => at > now - window);
    this.#changes = this.#changes.filter(({ at }) => at > now - period);
  }
}
