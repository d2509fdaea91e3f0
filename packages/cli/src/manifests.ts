/**
 * The Kubernetes files of a deployment, from the same resolved declarations that the processes run by: what a worker
 * consumes, how long its drain may take, how many of it there may be. Pure: the same input gives the same bytes, which
 * is how a test tells that the files in deploy/k8s are stale.
 *
 *   kustomization.yaml            apply with `kubectl apply -k`
 *   settings.yaml, topology.yaml  what all share
 *   <worker>.yaml                 ConfigMap, Deployment, Service, PodDisruptionBudget, ScaledObject
 *   scaler.yaml                   the external scaler (left out with `metrics-api`)
 *   monitoring/                   a component for clusters with the Prometheus operator: alerts and scraping
 */
import { formatDuration } from '@weir/core';
import { PROFILES, type ProfileName, type Resolved, topologyOf } from '@weir/sdk';
import { podMonitor, prometheusRule } from './manifests/alerts.ts';
import { configMap, deployment, disruptionBudget, service } from './manifests/pod.ts';
import {
  fingerprint,
  labelsOf,
  NAMES,
  type Resource,
  SCALER_PORT,
  TOPOLOGY_PATH,
  write,
} from './manifests/resource.ts';
import { type SignalSource, scaledObject } from './manifests/scaled-object.ts';
import { SERVICES } from './services.ts';

export interface ManifestOptions {
  /** Where KEDA reads how many are wanted: the scaler service, or the workers' own /scaling. */
  readonly signal: SignalSource;
  readonly namespace: string;
  /** `{service}` stands for the service: `registry.example.com/weir/{service}:0.1.0`. */
  readonly image: string;
  /** Variables for all, over the defaults: KAFKA_BROKERS, STORE_URL, TABLES_URL and the like. No secrets. */
  readonly settings?: Readonly<Record<string, string>>;
}

const DEFAULT_SETTINGS = {
  KAFKA_BROKERS: 'kafka:9092',
  STORE_URL: 's3://xact/blobs',
  TABLES_URL: 's3://xact/tables',
  LOG_LEVEL: 'info',
};

const SECRETS_NOTE = `Secrets are yours to make; every variable in them is read, and both may be absent:
  kubectl create secret generic ${NAMES.kafkaSecret} --from-literal=KAFKA_SASL_USERNAME=… --from-literal=KAFKA_SASL_PASSWORD=…
  kubectl create secret generic ${NAMES.storageSecret} --from-literal=AWS_ACCESS_KEY_ID=… --from-literal=AWS_SECRET_ACCESS_KEY=…`;

/** @returns text by file name, relative to the folder of the manifests; `/` between folder and file */
export function renderManifests(resolved: readonly Resolved[], options: ManifestOptions): Map<string, string> {
  const topology = topologyOf(resolved);
  const settings = {
    ...DEFAULT_SETTINGS,
    WEIR_TOPIC_PREFIX: topology.prefix,
    ...options.settings,
    WEIR_TOPOLOGY: TOPOLOGY_PATH,
  };
  const topologyText = `${JSON.stringify(topology, null, 2)}\n`;
  const shared = fingerprint(settings, topologyText);

  const files = new Map<string, string>();
  files.set('namespace.yaml', write([namespace(options.namespace)]));
  files.set('settings.yaml', write([configMap(NAMES.settings, 'shared', settings), serviceAccount()], SECRETS_NOTE));
  files.set('topology.yaml', write([configMap(NAMES.topology, 'shared', { 'topology.json': topologyText })]));
  for (const each of resolved) files.set(`${each.name}.yaml`, write(workerResources(each, options, shared)));
  if (options.signal === 'external') files.set('scaler.yaml', write(scalerResources(options, shared)));
  files.set('kustomization.yaml', write([kustomization(options.namespace, [...files.keys()])], KUSTOMIZATION_NOTE));

  files.set('monitoring/alerts.yaml', write([prometheusRule(resolved)]));
  files.set('monitoring/pod-monitor.yaml', write([podMonitor()]));
  files.set('monitoring/kustomization.yaml', write([component(['alerts.yaml', 'pod-monitor.yaml'])]));
  return files;
}

const KUSTOMIZATION_NOTE = `kubectl apply -k .        KEDA must be installed (https://keda.sh).
With the Prometheus operator, add in an overlay:  components: [monitoring]`;

function workerResources(worker: Resolved, options: ManifestOptions, shared: string): Resource[] {
  const { name } = worker;
  const data = {
    METRICS_PORT: String(worker.metricsPort),
    DRAIN_TIMEOUT_MS: String(worker.drainTimeoutMs),
    WEIR_SCALING_MIN: String(worker.scaling.min),
    WEIR_SCALING_MAX: String(worker.scaling.max),
    WEIR_CATCH_UP: formatDuration(worker.scaling.catchUpMs),
    ...(worker.profile === undefined ? {} : { WEIR_PROFILE: worker.profile }),
  };
  const { memoryMi, cpuMilli } = PROFILES[worker.profile ?? profileFor(worker)];
  const ports = { http: worker.metricsPort };
  return [
    configMap(name, 'worker', data),
    deployment({
      name,
      component: 'worker',
      image: imageOf(name, options),
      configMap: name,
      ports,
      probePort: 'http',
      drainTimeoutMs: worker.drainTimeoutMs,
      memoryMi,
      cpuMilli,
      fingerprint: fingerprint(shared, data),
    }),
    service(name, 'worker', ports),
    disruptionBudget(name, 'worker'),
    scaledObject({
      worker: name,
      namespace: options.namespace,
      signal: options.signal,
      min: worker.scaling.min,
      max: worker.scaling.max,
      metricsPort: worker.metricsPort,
    }),
  ];
}

/** The smallest container in which as much may run at once as the worker starts with. */
function profileFor(worker: Resolved): ProfileName {
  const names = Object.keys(PROFILES) as ProfileName[];
  return names.find((name) => PROFILES[name].concurrency.start >= worker.concurrency.start) ?? 'large';
}

function scalerResources(options: ManifestOptions, shared: string): Resource[] {
  const { name, ports } = { name: NAMES.scaler, ports: { grpc: SCALER_PORT, http: 8000 } };
  const data = { SCALER_PORT: String(ports.grpc), METRICS_PORT: String(ports.http) };
  return [
    configMap(name, 'scaler', data),
    deployment({
      name,
      component: 'scaler',
      image: imageOf('scaler', options),
      configMap: name,
      ports,
      probePort: 'http',
      drainTimeoutMs: 0,
      memoryMi: PROFILES.tiny.memoryMi,
      cpuMilli: 100,
      fingerprint: fingerprint(shared, data),
      // Two, so that a node may go away: all give the same answers.
      replicas: 2,
    }),
    service(name, 'scaler', ports),
    disruptionBudget(name, 'scaler'),
  ];
}

function imageOf(worker: string, { image }: ManifestOptions): string {
  const service =
    Object.entries(SERVICES)
      .find(([name]) => name === worker)?.[1]
      .slice('@weir/'.length) ?? worker;
  return image.replaceAll('{service}', service);
}

function namespace(name: string): Resource {
  return { apiVersion: 'v1', kind: 'Namespace', metadata: { name, labels: labelsOf(name, 'shared') } };
}

/** For roles that give pods their rights by account (IAM roles, workload identity): annotate it in an overlay. */
function serviceAccount(): Resource {
  return {
    apiVersion: 'v1',
    kind: 'ServiceAccount',
    metadata: { name: NAMES.serviceAccount, labels: labelsOf('weir', 'shared') },
    automountServiceAccountToken: false,
  };
}

function kustomization(namespace: string, resources: readonly string[]): Resource {
  return {
    apiVersion: 'kustomize.config.k8s.io/v1beta1',
    kind: 'Kustomization',
    metadata: { name: 'weir' },
    namespace,
    resources: [...resources].sort(),
  };
}

function component(resources: readonly string[]): Resource {
  return {
    apiVersion: 'kustomize.config.k8s.io/v1alpha1',
    kind: 'Component',
    metadata: { name: 'weir-monitoring' },
    resources,
  };
}
