/** The HPA's own arithmetic with the generated `behavior` block, its windows shortened, as the supervisor's autoscaler. */
import { HpaModel } from '@weir/sdk';
import type { Autoscaler } from './supervisor.ts';

export function hpaAutoscaler(options: { min: number; max: number; speed: number }): Autoscaler {
  const model = new HpaModel(options);
  return {
    decide: ({ nowMs, replicas, signalValue }) => model.next({ now: nowMs, current: replicas, signalValue }),
  };
}
