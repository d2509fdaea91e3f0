import { fileURLToPath } from 'node:url';
import { defineWorker, METRIC_ROWS, resolve, topic, topologyOf } from '@weir/sdk';
import { describe, expect, test } from 'vitest';
import { parseAllDocuments } from 'yaml';
import { z } from 'zod';
import { MANIFEST_DEFAULTS, manifestFiles, staleFiles } from './commands/manifests.ts';
import { type ManifestOptions, renderManifests } from './manifests.ts';

const raw = topic('events.raw', z.object({}), { partitions: 12 });
const pending = topic('downloads.pending', z.object({}), { partitions: 24 });
const ingester = defineWorker({
  name: 'event-ingester',
  consumes: raw,
  produces: { pending },
  concurrency: { fixed: 4 },
  handle: () => undefined,
});
const downloads = defineWorker({
  name: 'download-worker',
  consumes: pending,
  retry: { topics: 'downloads' },
  scaling: { min: 0, max: 100 },
  handle: () => undefined,
});
const env = { KAFKA_BROKERS: 'kafka:9092' };
const resolved = [
  resolve(ingester, env),
  resolve(downloads, { ...env, DRAIN_TIMEOUT_MS: '45000', WEIR_PROFILE: 'large' }),
];
const options: ManifestOptions = { signal: 'external', namespace: 'claims', image: 'example.com/weir/{service}:1.2.3' };

/** Parsed YAML, looked at by path; a leaf is whatever it is. */
interface Tree {
  readonly [part: string]: Tree;
}
const parse = (files: Map<string, string>): Map<string, Tree[]> =>
  new Map(
    [...files].map(([name, text]) => {
      const documents = parseAllDocuments(text, { strict: true });
      if ('empty' in documents) throw new Error(`${name} is empty`);
      for (const { errors } of documents) expect(errors, name).toEqual([]);
      return [name, documents.map((document) => document.toJS() as Tree)];
    }),
  );
const render = (over: Partial<ManifestOptions> = {}) => parse(renderManifests(resolved, { ...options, ...over }));
const find = (files: ReturnType<typeof render>, file: string, kind: string): Tree => {
  const found = files.get(file)?.find((resource) => String(resource.kind) === kind);
  if (!found) throw new Error(`${file} has no ${kind}`);
  return found;
};
/** `spec.triggers.0.metadata` */
const at = (tree: Tree, path: string): Tree => path.split('.').reduce((part, key) => part[key] as Tree, tree);
const texts = (tree: Tree): Record<string, string> => tree as unknown as Record<string, string>;

/** All that KEDA 2.21 reads of a trigger's metadata; it only warns about others, so a typing error would be silent. */
const KEDA_FIELDS: Record<string, readonly string[]> = {
  external: [
    'scalerAddress',
    'enableTLS',
    'caCert',
    'tlsClientCert',
    'tlsClientKey',
    'unsafeSsl',
    'tlsCertFile',
    'worker',
  ],
  'metrics-api': [
    'url',
    'format',
    'valueLocation',
    'targetValue',
    'activationTargetValue',
    'aggregateFromKubeServiceEndpoints',
    'aggregationType',
    'timeout',
    'unsafeSsl',
    'authMode',
    'method',
    'keyParamName',
    'apiKey',
    'username',
    'password',
    'token',
    'ca',
    'cert',
    'key',
  ],
};
const SCALED_OBJECT_FIELDS = [
  'scaleTargetRef',
  'pollingInterval',
  'cooldownPeriod',
  'initialCooldownPeriod',
  'idleReplicaCount',
  'minReplicaCount',
  'maxReplicaCount',
  'fallback',
  'advanced',
  'triggers',
];

describe('manifests', () => {
  test('the same declarations give the same bytes, others do not', () => {
    const once = renderManifests(resolved, options);
    expect(renderManifests(resolved, options)).toEqual(once);
    expect([...once.keys()]).toEqual([
      'namespace.yaml',
      'settings.yaml',
      'topology.yaml',
      'event-ingester.yaml',
      'download-worker.yaml',
      'scaler.yaml',
      'kustomization.yaml',
      'monitoring/alerts.yaml',
      'monitoring/pod-monitor.yaml',
      'monitoring/kustomization.yaml',
    ]);
    const changed = [resolved[0]!, resolve(downloads, { ...env, WEIR_CATCH_UP: '2m' })];
    expect(renderManifests(changed, options).get('download-worker.yaml')).not.toBe(once.get('download-worker.yaml'));
  });

  test('every file parses, has a name in every resource, and is listed for kustomize', () => {
    const files = render();
    for (const [name, resources] of files)
      for (const resource of resources)
        expect(resource, name).toMatchObject({
          apiVersion: expect.any(String),
          kind: expect.any(String),
          metadata: { name: expect.any(String) },
        });
    const listed = files.get('kustomization.yaml')?.[0]?.resources;
    expect(listed).toEqual(
      [...files.keys()].filter((name) => !name.includes('/') && name !== 'kustomization.yaml').sort(),
    );
  });

  for (const signal of ['external', 'metrics-api'] as const)
    test(`${signal}: KEDA knows every field of the ScaledObjects`, () => {
      const files = render({ signal });
      for (const worker of ['event-ingester', 'download-worker']) {
        const spec = at(find(files, `${worker}.yaml`, 'ScaledObject'), 'spec');
        expect(SCALED_OBJECT_FIELDS).toEqual(expect.arrayContaining(Object.keys(spec)));
        expect(spec.triggers).toHaveLength(1);
        const trigger = at(spec, 'triggers.0');
        expect(trigger).toMatchObject({ type: signal, metricType: 'AverageValue' });
        expect(KEDA_FIELDS[signal]).toEqual(expect.arrayContaining(Object.keys(at(trigger, 'metadata'))));
        for (const value of Object.values(at(trigger, 'metadata'))) expect(value).toBeTypeOf('string');
      }
    });

  test('a worker may grow to its partitions and shrink to its minimum', () => {
    const spec = at(find(render(), 'download-worker.yaml', 'ScaledObject'), 'spec');
    expect(spec).toMatchObject({ minReplicaCount: 0, maxReplicaCount: 24, pollingInterval: 15 });
    expect(at(spec, 'triggers.0.metadata')).toEqual({
      scalerAddress: 'weir-scaler.claims.svc.cluster.local:9090',
      worker: 'download-worker',
    });
    const behavior = at(spec, 'advanced.horizontalPodAutoscalerConfig.behavior');
    expect(at(behavior, 'scaleUp.policies')).toContainEqual({ type: 'Percent', value: 100, periodSeconds: 15 });
    expect(at(behavior, 'scaleDown.stabilizationWindowSeconds')).toBe(300);
    // With a minimum above zero KEDA warns about an interval that it does not use.
    expect(find(render(), 'event-ingester.yaml', 'ScaledObject').spec).not.toHaveProperty('pollingInterval');
  });

  test('metrics-api asks every worker for the same answer and never scales to zero, for nobody would wake it', () => {
    const files = render({ signal: 'metrics-api' });
    expect(files.has('scaler.yaml')).toBe(false);
    const spec = at(find(files, 'download-worker.yaml', 'ScaledObject'), 'spec');
    expect(spec.minReplicaCount).toBe(1);
    expect(at(spec, 'triggers.0.metadata')).toMatchObject({
      url: 'http://download-worker.claims.svc:8000/scaling',
      aggregateFromKubeServiceEndpoints: 'true',
      aggregationType: 'max',
      valueLocation: 'signalValue',
      targetValue: '1',
    });
    const service = find(files, 'download-worker.yaml', 'Service');
    const pod = at(find(files, 'download-worker.yaml', 'Deployment'), 'spec.template.spec.containers.0');
    expect(at(service, 'spec.ports.0.port')).toBe(at(pod, 'ports.0.containerPort'));
  });

  test('the grace period outlasts the drain, the container fits the profile', () => {
    const spec = at(find(render(), 'download-worker.yaml', 'Deployment'), 'spec.template.spec');
    expect(spec.terminationGracePeriodSeconds).toBe(60);
    const container = at(spec, 'containers.0');
    expect(container.image).toBe('example.com/weir/download-worker:1.2.3');
    expect(container.resources).toEqual({
      requests: { cpu: '2000m', memory: '2048Mi' },
      limits: { memory: '2048Mi' },
    });
    expect(at(find(render(), 'event-ingester.yaml', 'Deployment'), 'spec.template.spec.containers.0')).toMatchObject({
      image: 'example.com/weir/ingester:1.2.3',
      resources: { requests: { cpu: '500m', memory: '512Mi' } },
    });
  });

  test('pods are unprivileged, know no secrets by value and keep out of Kubernetes’ own variables', () => {
    for (const [, resources] of render())
      for (const resource of resources) {
        if (String(resource.kind) !== 'Deployment') continue;
        const pod = at(resource, 'spec.template.spec');
        expect(pod).toMatchObject({ automountServiceAccountToken: false, enableServiceLinks: false });
        expect(pod.securityContext).toMatchObject({ runAsNonRoot: true, seccompProfile: { type: 'RuntimeDefault' } });
        expect(at(pod, 'containers.0.securityContext')).toEqual({
          allowPrivilegeEscalation: false,
          readOnlyRootFilesystem: true,
          capabilities: { drop: ['ALL'] },
        });
        expect(at(pod, 'containers.0.envFrom')).toContainEqual({ secretRef: { name: 'weir-kafka', optional: true } });
        expect(at(pod, 'containers.0.startupProbe.httpGet')).toEqual({ path: '/healthz', port: 'http' });
        expect(at(pod, 'containers.0.readinessProbe.httpGet.path')).toBe('/readyz');
      }
  });

  test('replicas are left to the autoscaler', () => {
    expect(find(render(), 'download-worker.yaml', 'Deployment').spec).not.toHaveProperty('replicas');
    expect(at(find(render(), 'scaler.yaml', 'Deployment'), 'spec.replicas')).toBe(2);
  });

  test('the topology is the one that the processes derive, and its change rolls the pods', () => {
    const files = render();
    expect(JSON.parse(texts(at(find(files, 'topology.yaml', 'ConfigMap'), 'data'))['topology.json']!)).toEqual(
      topologyOf(resolved),
    );
    const note = (file: string, all: ReturnType<typeof render>) =>
      texts(at(find(all, file, 'Deployment'), 'spec.template.metadata.annotations'))['weir.dev/settings'];
    const other = render({ settings: { LOG_LEVEL: 'debug' } });
    for (const file of ['download-worker.yaml', 'event-ingester.yaml', 'scaler.yaml'])
      expect(note(file, other)).not.toBe(note(file, files));
  });

  test('what a pod reads from its ConfigMaps resolves to what was planned', () => {
    const files = render();
    const variables = {
      ...texts(at(find(files, 'settings.yaml', 'ConfigMap'), 'data')),
      ...texts(at(find(files, 'download-worker.yaml', 'ConfigMap'), 'data')),
    };
    const again = resolve(downloads, variables);
    expect(again.scaling).toEqual(resolved[1]!.scaling);
    expect(again).toMatchObject({ drainTimeoutMs: 45_000, metricsPort: 8000, warnings: [] });
  });

  test('a worker that waits for others’ retries is judged by what is due, not by its lag', () => {
    const waiting = defineWorker({
      name: 'retry-scheduler',
      consumes: topic('downloads.retry.5m', z.object({}), { partitions: 3 }),
      produces: { raw },
      handle: () => undefined,
    });
    const [rule] = parse(renderManifests([...resolved, resolve(waiting, env)], options)).get('monitoring/alerts.yaml')!;
    const { expr } = texts(at(rule!, 'spec.groups.0.rules.0')) as { expr: string };
    expect(expr).toContain('kafka_consumer_lag{group=~"xact-event-ingester|xact-download-worker"}');
    expect(expr).toContain('weir_backlog_records{group=~"xact-retry-scheduler"}) > 10000');
    // That it sends back to events.raw makes that topic no less the source.
    const rules = at(rule!, 'spec.groups.0.rules') as unknown as { alert: string; expr: string }[];
    expect(rules.filter(({ alert }) => alert === 'WeirOldestRecord').map((each) => each.expr)).toEqual([
      'max by (group) (weir_backlog_seconds{group="xact-event-ingester"}) > 60',
    ]);
  });

  test('alerts name each group once, and only what somebody measures', () => {
    const [rule] = render().get('monitoring/alerts.yaml')!;
    const rules = at(rule!, 'spec.groups.0.rules') as unknown as { alert: string; expr: string }[];
    const named = (name: string) => rules.find(({ alert }) => alert === name)?.expr;
    expect(named('WeirLagCritical')).toContain('xact-event-ingester|xact-download-worker');
    // Only the ingester reads what nobody of us writes.
    expect(rules.filter(({ alert }) => alert === 'WeirOldestRecord').map(({ expr }) => expr)).toEqual([
      'max by (group) (weir_backlog_seconds{group="xact-event-ingester"}) > 60',
    ]);
    expect(named('WeirDownloadsFail')).toBeDefined();
    const elsewhere = ['download_duration_seconds', 'delta_writes_total'];
    for (const { expr } of rules) {
      expect(expr.split('(').length).toBe(expr.split(')').length);
      for (const [used] of expr.matchAll(/\b(kafka|weir|download|delta)_[a-z_]+\b/g)) {
        const metric = used.replace(/_(bucket|count)$/, '');
        expect([...METRIC_ROWS.map(({ name }) => name), ...elsewhere], expr).toContain(metric);
      }
    }
  });
});

test('deploy/k8s is what the declarations say today: else run `npm run weir -- manifests --all`', async () => {
  const folder = fileURLToPath(new URL('../../../deploy/k8s', import.meta.url));
  expect(await staleFiles(folder, await manifestFiles({ ...MANIFEST_DEFAULTS, set: {} }), true)).toEqual([]);
});
