/** deploy/compose.yaml against the repository: every service, its image, and settings that exist. */
import { execFileSync } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, test } from 'vitest';
import { parse } from 'yaml';
import { ROOT } from '../architecture/tree.ts';

interface ComposeService {
  readonly image: string;
  readonly build?: { readonly context: string; readonly args: Readonly<Record<string, string>> };
  readonly environment?: Readonly<Record<string, string | number>>;
  readonly read_only?: boolean;
  readonly volumes?: readonly string[];
  readonly depends_on?: Readonly<Record<string, unknown>> | readonly string[];
  readonly ports?: readonly string[];
  readonly pull_policy?: string;
}

const FILE = join(ROOT, 'deploy', 'compose.yaml');
const compose = parse(readFileSync(FILE, 'utf8'), { merge: true }) as {
  services: Record<string, ComposeService>;
  volumes: Record<string, unknown>;
};
const SERVICES = ['ingester', 'download-worker', 'result-processor', 'retry-scheduler', 'dlq-handler', 'scaler'];

describe('deploy/compose.yaml', () => {
  test.each(SERVICES)('%s runs from its own image, read-only, with its topology', (name) => {
    const service = compose.services[name]!;
    expect(service.image).toBe(`weir/${name}`);
    expect(service.build).toEqual({ context: '..', args: { SERVICE: name } });
    expect(service.read_only).toBe(true);
    expect(service.volumes).toEqual(['topology:/etc/weir:ro']);
    expect(service.environment).toMatchObject({
      KAFKA_BROKERS: 'kafka:19092',
      WEIR_TOPOLOGY: '/etc/weir/topology.json',
      S3_ENDPOINT: 'http://s3:80',
    });
    expect(Object.keys(service.depends_on!).sort()).toEqual(['s3', 'topics', 'topology']);
  });

  test('what is depended on, and every volume, is there', () => {
    const names = Object.keys(compose.services);
    for (const [name, service] of Object.entries(compose.services)) {
      const needs = Array.isArray(service.depends_on) ? service.depends_on : Object.keys(service.depends_on ?? {});
      expect(
        needs.filter((each) => !names.includes(each)),
        name,
      ).toEqual([]);
      const volumes = (service.volumes ?? []).map((each) => each.split(':')[0]!);
      expect(
        volumes.filter((each) => !(each in compose.volumes)),
        name,
      ).toEqual([]);
    }
  });

  test('every image has a fixed version or is built here, and none is pulled behind one’s back', () => {
    for (const [name, service] of Object.entries(compose.services)) {
      expect(service.image.startsWith('weir/') || /:[^:]*\d/.test(service.image), name).toBe(true);
      expect(service.pull_policy, name).toBeUndefined();
    }
  });

  test('ports are open to this machine only', () => {
    const ports = Object.values(compose.services).flatMap((service) => service.ports ?? []);
    expect(ports.length).toBeGreaterThan(0);
    expect(ports.filter((port) => !port.startsWith('127.0.0.1:'))).toEqual([]);
  });

  test('the store that it starts takes the keys that the services use', () => {
    const store = compose.services.s3!.environment!;
    for (const name of SERVICES)
      expect(compose.services[name]!.environment, name).toMatchObject({
        AWS_ACCESS_KEY_ID: store.S3PROXY_IDENTITY,
        AWS_SECRET_ACCESS_KEY: store.S3PROXY_CREDENTIAL,
      });
    expect(store.S3PROXY_AUTHORIZATION).not.toBe('none');
  });

  test('docker compose reads it, where there is a docker compose', () => {
    try {
      execFileSync('docker', ['compose', 'version'], { stdio: 'ignore' });
    } catch {
      return;
    }
    execFileSync('docker', ['compose', '--file', FILE, '--profile', 'source', 'config', '--quiet']);
  });
});
