import { readFileSync } from 'node:fs';
import { ConfigError, configMarkdown, configTable, resolveKafka } from '@weir/sdk';
import { expect, test } from 'vitest';
import { scalerConfig } from './config.ts';
import { runScaler } from './run.ts';

const read = (env: Record<string, string>) => resolveKafka(env, { config: scalerConfig }).config;

test('the README lists the settings as they are', () => {
  const readme = readFileSync(new URL('../README.md', import.meta.url), 'utf8');
  expect(readme).toContain(configMarkdown(configTable(scalerConfig)));
});

test('the port is 9090 unless told', () => {
  expect(read({}).SCALER_PORT).toBe(9090);
  expect(read({ SCALER_PORT: '0' }).SCALER_PORT).toBe(0);
});

test('a value that cannot be used is named', () => {
  for (const [name, value] of Object.entries({ SCALER_PORT: 'nine', SCALER_TLS_CERT: 'cert.pem' })) {
    expect(() => read({ [name]: value })).toThrow(ConfigError);
    expect(() => read({ [name]: value })).toThrow(name);
  }
});

test('what is missing to start is said with its variable', async () => {
  const start = (env: Record<string, string>) => runScaler(env, AbortSignal.abort());
  await expect(start({})).rejects.toThrow(/WEIR_TOPOLOGY: is required/);
  await expect(start({ WEIR_TOPOLOGY: '/nowhere/topology.json' })).rejects.toThrow(/\/nowhere\/topology.json/);
});
