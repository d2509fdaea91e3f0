/**
 * The ScaledObject of a worker: KEDA reads how many are wanted, from the scaler service (`external`) or from the
 * workers themselves (`metrics-api`). Either way the value is the wanted count, nudged, so the target is 1.
 */
import { BEHAVIOR } from '@weir/sdk';
import { labelsOf, NAMES, type Resource, SCALER_PORT } from './resource.ts';

export type SignalSource = 'external' | 'metrics-api';

export interface ScaledObjectSpec {
  readonly worker: string;
  readonly namespace: string;
  readonly signal: SignalSource;
  readonly min: number;
  readonly max: number;
  readonly metricsPort: number;
}

export function scaledObject(spec: ScaledObjectSpec): Resource {
  // Workers cannot say that one is wanted when there is none: only the scaler service wakes a group from zero.
  const min = spec.signal === 'metrics-api' ? Math.max(1, spec.min) : spec.min;
  return {
    apiVersion: 'keda.sh/v1alpha1',
    kind: 'ScaledObject',
    metadata: { name: spec.worker, labels: labelsOf(spec.worker, 'worker') },
    spec: {
      scaleTargetRef: { name: spec.worker },
      minReplicaCount: min,
      // The partitions: a worker more would have nothing to read, and the nudge past the HPA's tolerance ends here.
      maxReplicaCount: spec.max,
      // Only the step from and to zero is KEDA's own; above it the HPA asks every 15 s, and KEDA warns about an interval.
      ...(min === 0 ? { pollingInterval: 15, cooldownPeriod: 300 } : {}),
      // Without an answer nothing is taken away; a group that stands at zero gets one.
      fallback: { failureThreshold: 4, replicas: Math.max(1, min), behavior: 'currentReplicasIfHigher' },
      advanced: { horizontalPodAutoscalerConfig: { behavior: BEHAVIOR } },
      triggers: [spec.signal === 'external' ? externalTrigger(spec) : metricsApiTrigger(spec)],
    },
  };
}

function externalTrigger({ worker, namespace }: ScaledObjectSpec) {
  return {
    type: 'external',
    metricType: 'AverageValue',
    metadata: { scalerAddress: `${NAMES.scaler}.${namespace}.svc.cluster.local:${SCALER_PORT}`, worker },
  };
}

/**
 * Every replica gives the same answer, so the highest of those that answer is right; a sum would under-report whenever
 * one fails, silently. The host needs its third part, or KEDA does not find the Service.
 */
function metricsApiTrigger({ worker, namespace, metricsPort }: ScaledObjectSpec) {
  return {
    type: 'metrics-api',
    metricType: 'AverageValue',
    metadata: {
      url: `http://${worker}.${namespace}.svc:${metricsPort}/scaling`,
      format: 'json',
      valueLocation: 'signalValue',
      targetValue: '1',
      aggregateFromKubeServiceEndpoints: 'true',
      aggregationType: 'max',
    },
  };
}
