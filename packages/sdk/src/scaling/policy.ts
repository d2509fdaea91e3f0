/**
 * The HPA's `behavior` block that goes with Weir's signal.
 *
 * Up: at once and by doubling, or by four where doubling is little. The runbook's slow policy (50 % or 2 pods a minute)
 * protects against a lag threshold that overshoots; a count that was worked out needs no such brake, and bursts are bounded
 * by the policy alone: p95 of 161 s with the slow one, 66 s with 100 % per 15 s (facts of the model in scaling-model.test.ts).
 * Down: a quarter a minute, after five minutes in which nothing more was wanted: every step is a rebalance for those that
 * stay, and a pod that leaves too early is paid for twice.
 *
 * Without a `behavior` block a high sample of the last five minutes can turn a later rise into a larger one (KEDA 2.21).
 */
export interface ScalingPolicy {
  readonly type: 'Percent' | 'Pods';
  readonly value: number;
  readonly periodSeconds: number;
}

export interface ScalingRules {
  readonly stabilizationWindowSeconds: number;
  readonly selectPolicy: 'Max' | 'Min' | 'Disabled';
  readonly policies: readonly ScalingPolicy[];
}

/** As in `autoscaling/v2`, `spec.behavior`. */
export interface ScalingBehavior {
  readonly scaleUp: ScalingRules;
  readonly scaleDown: ScalingRules;
}

export const BEHAVIOR: ScalingBehavior = {
  scaleUp: {
    stabilizationWindowSeconds: 0,
    selectPolicy: 'Max',
    policies: [
      { type: 'Percent', value: 100, periodSeconds: 15 },
      { type: 'Pods', value: 4, periodSeconds: 15 },
    ],
  },
  scaleDown: {
    stabilizationWindowSeconds: 300,
    selectPolicy: 'Max',
    policies: [{ type: 'Percent', value: 25, periodSeconds: 60 }],
  },
};
