/** The Deployment of one service: what its pods need, may use and must not do. Replicas are the autoscaler's business. */
import { labelsOf, NAMES, type Resource, TOPOLOGY_PATH } from './resource.ts';

export interface PodSpec {
  readonly name: string;
  readonly component: 'worker' | 'scaler';
  readonly image: string;
  /** The service's own ConfigMap, when it has one. */
  readonly configMap?: string;
  readonly ports: Readonly<Record<string, number>>;
  /** The port of /healthz and /readyz. */
  readonly probePort: string;
  readonly drainTimeoutMs: number;
  readonly memoryMi: number;
  readonly cpuMilli: number;
  readonly fingerprint: string;
  /** Only for what nothing scales. */
  readonly replicas?: number;
}

/** After an abort: time to commit, to leave the group and to close; and the kubelet's own delay. */
const GRACE_SECONDS = 15;
/** Of the memory limit; the rest is for buffers, which are not on the heap. */
const HEAP_SHARE = 0.6;

export function deployment(spec: PodSpec): Resource {
  const labels = labelsOf(spec.name, spec.component);
  const selector = { 'app.kubernetes.io/name': spec.name };
  return {
    apiVersion: 'apps/v1',
    kind: 'Deployment',
    metadata: { name: spec.name, labels },
    spec: {
      ...(spec.replicas === undefined ? {} : { replicas: spec.replicas }),
      revisionHistoryLimit: 3,
      strategy: { type: 'RollingUpdate', rollingUpdate: { maxSurge: '25%', maxUnavailable: 0 } },
      selector: { matchLabels: selector },
      template: {
        metadata: { labels, annotations: { 'weir.dev/settings': spec.fingerprint } },
        spec: {
          serviceAccountName: NAMES.serviceAccount,
          automountServiceAccountToken: false,
          // A Service named "kafka" would otherwise set KAFKA_PORT and the like.
          enableServiceLinks: false,
          terminationGracePeriodSeconds: Math.ceil(spec.drainTimeoutMs / 1000) + GRACE_SECONDS,
          securityContext: {
            runAsNonRoot: true,
            runAsUser: 1000,
            runAsGroup: 1000,
            fsGroup: 1000,
            seccompProfile: { type: 'RuntimeDefault' },
          },
          topologySpreadConstraints: [
            {
              maxSkew: 1,
              topologyKey: 'kubernetes.io/hostname',
              whenUnsatisfiable: 'ScheduleAnyway',
              labelSelector: { matchLabels: selector },
            },
          ],
          containers: [container(spec)],
          volumes: [
            { name: 'topology', configMap: { name: NAMES.topology } },
            { name: 'tmp', emptyDir: {} },
          ],
        },
      },
    },
  };
}

function container(spec: PodSpec) {
  const probe = (path: string) => ({ httpGet: { path, port: spec.probePort } });
  return {
    name: spec.name,
    image: spec.image,
    ports: Object.entries(spec.ports).map(([name, containerPort]) => ({ name, containerPort })),
    envFrom: [
      { configMapRef: { name: NAMES.settings } },
      ...(spec.configMap === undefined ? [] : [{ configMapRef: { name: spec.configMap } }]),
      { secretRef: { name: NAMES.kafkaSecret, optional: true } },
      { secretRef: { name: NAMES.storageSecret, optional: true } },
    ],
    env: [{ name: 'NODE_OPTIONS', value: `--max-old-space-size=${Math.floor(spec.memoryMi * HEAP_SHARE)}` }],
    // No limit on CPU: being throttled in the middle of a heartbeat costs a rebalance.
    resources: {
      requests: { cpu: `${spec.cpuMilli}m`, memory: `${spec.memoryMi}Mi` },
      limits: { memory: `${spec.memoryMi}Mi` },
    },
    startupProbe: { ...probe('/healthz'), periodSeconds: 2, failureThreshold: 30 },
    readinessProbe: { ...probe('/readyz'), periodSeconds: 5, timeoutSeconds: 2, failureThreshold: 3 },
    livenessProbe: { ...probe('/healthz'), periodSeconds: 10, timeoutSeconds: 5, failureThreshold: 3 },
    securityContext: {
      allowPrivilegeEscalation: false,
      readOnlyRootFilesystem: true,
      capabilities: { drop: ['ALL'] },
    },
    volumeMounts: [
      { name: 'topology', mountPath: TOPOLOGY_PATH.slice(0, TOPOLOGY_PATH.lastIndexOf('/')), readOnly: true },
      { name: 'tmp', mountPath: '/tmp' },
    ],
  };
}

export function service(
  name: string,
  component: 'worker' | 'scaler',
  ports: Readonly<Record<string, number>>,
): Resource {
  return {
    apiVersion: 'v1',
    kind: 'Service',
    metadata: { name, labels: labelsOf(name, component) },
    spec: {
      selector: { 'app.kubernetes.io/name': name },
      // The same number inside and outside: KEDA asks pods at the port of the Service's URL.
      ports: Object.entries(ports).map(([port, number]) => ({ name: port, port: number, targetPort: port })),
    },
  };
}

export function disruptionBudget(name: string, component: 'worker' | 'scaler'): Resource {
  return {
    apiVersion: 'policy/v1',
    kind: 'PodDisruptionBudget',
    metadata: { name, labels: labelsOf(name, component) },
    spec: { maxUnavailable: 1, selector: { matchLabels: { 'app.kubernetes.io/name': name } } },
  };
}

export function configMap(
  name: string,
  component: 'worker' | 'scaler' | 'shared',
  data: Readonly<Record<string, string>>,
): Resource {
  return { apiVersion: 'v1', kind: 'ConfigMap', metadata: { name, labels: labelsOf(name, component) }, data };
}
