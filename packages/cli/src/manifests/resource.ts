/** What the generated Kubernetes resources have in common: names, labels, and one way of writing them. */
import { createHash } from 'node:crypto';
import { stringify } from 'yaml';

export interface Resource {
  readonly apiVersion: string;
  readonly kind: string;
  readonly metadata: {
    readonly name: string;
    readonly labels?: Readonly<Record<string, string>>;
    readonly annotations?: Readonly<Record<string, string>>;
  };
  readonly [part: string]: unknown;
}

/** Names that several files refer to. */
export const NAMES = {
  settings: 'weir-settings',
  topology: 'weir-topology',
  scaler: 'weir-scaler',
  serviceAccount: 'weir',
  kafkaSecret: 'weir-kafka',
  storageSecret: 'weir-storage',
} as const;

export const TOPOLOGY_PATH = '/etc/weir/topology.json';
export const SCALER_PORT = 9090;

export function labelsOf(name: string, component: 'worker' | 'scaler' | 'shared') {
  return {
    'app.kubernetes.io/name': name,
    'app.kubernetes.io/component': component,
    'app.kubernetes.io/part-of': 'weir',
  };
}

const HEADER = '# Written by `weir manifests` from the declarations of the workers: change those, then run it again.\n';

/** One file: the resources in the order given, keys in the order written, so that the same input gives the same bytes. */
export function write(resources: readonly Resource[], note = ''): string {
  const comment = note === '' ? '' : `${note.replace(/^/gm, '# ')}\n`;
  const texts = resources.map((resource) => stringify(resource, { lineWidth: 0, aliasDuplicateObjects: false }));
  return `${HEADER}${comment}${texts.join('---\n')}`;
}

/** Changes when the content does: as an annotation of pods it rolls them when their settings change. */
export function fingerprint(...contents: readonly unknown[]): string {
  return createHash('sha256').update(JSON.stringify(contents)).digest('hex').slice(0, 16);
}
