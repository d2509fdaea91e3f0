import { readFileSync } from 'node:fs';
import { configMarkdown, configTable, resolve, type Worker } from '@weir/sdk';
import { expect, test } from 'vitest';
import { DEFAULT_DOMAINS, downloadConfig } from './config.ts';
import { KNOWN_FILE_TYPES } from './file-types.ts';
import { downloadWorker } from './worker.ts';

test('the defaults are the safe ones', () => {
  expect(downloadConfig.parse({})).toMatchObject({
    ALLOWED_ATTACHMENT_DOMAINS: DEFAULT_DOMAINS,
    ALLOW_HTTP: false,
    ALLOW_PRIVATE_ADDRESSES: false,
    ALLOWED_PORTS: ['443'],
    MAX_FILE_BYTES: 1024 ** 3,
    ALLOWED_FILE_TYPES: KNOWN_FILE_TYPES,
  });
});

test('blank is the default, not an empty list', () => {
  const env = { KAFKA_BROKERS: 'h:9092', ALLOWED_ATTACHMENT_DOMAINS: ' ', MAX_FILE_BYTES: '', ALLOW_HTTP: '' };
  expect(resolve(downloadWorker as unknown as Worker, env).config).toEqual(downloadConfig.parse({}));
});

test('lists are split, trimmed and lower-cased', () => {
  const config = downloadConfig.parse({
    ALLOWED_ATTACHMENT_DOMAINS: 'A.example, *.B.example,,127.0.0.1 [::1]',
    ALLOWED_PORTS: '443,8080',
  });
  expect(config.ALLOWED_ATTACHMENT_DOMAINS).toEqual(['a.example', '*.b.example', '127.0.0.1', '[::1]']);
  expect(config.ALLOWED_PORTS).toEqual(['443', '8080']);
});

test.each([
  ['ALLOWED_ATTACHMENT_DOMAINS', 'https://a.example'],
  ['ALLOWED_ATTACHMENT_DOMAINS', 'a.*.example'],
  ['ALLOWED_ATTACHMENT_DOMAINS', ','],
  ['ALLOWED_PORTS', '0'],
  ['ALLOWED_PORTS', '70000'],
  ['ALLOWED_FILE_TYPES', 'pdf,exe'],
  ['MAX_FILE_BYTES', '1GB'],
  ['MAX_FILE_BYTES', '0'],
  ['DOWNLOAD_TIMEOUT_MS', '600000'],
  ['ALLOW_HTTP', 'perhaps'],
  ['STORE_URL', 'ftp://x'],
])('%s=%s is refused and named', (name, value) => {
  expect(downloadConfig.safeParse({ [name]: value }).error?.issues[0]?.path).toEqual([name]);
});

test('the README lists the settings as they are', () => {
  const readme = readFileSync(new URL('../README.md', import.meta.url), 'utf8');
  expect(readme).toContain(configMarkdown(configTable(downloadConfig)));
});

test('a wrong value is reported with its name and what is allowed, a secret without its value', () => {
  const env = { KAFKA_BROKERS: 'h:9092', ALLOWED_PORTS: 'https', ALLOW_HTTP: 'perhaps', STORE_URL: 'ftp://x' };
  expect(() => resolve(downloadWorker as unknown as Worker, env)).toThrow(
    /STORE_URL: must be file:[\s\S]*ALLOW_HTTP: must be true or false[\s\S]*ALLOWED_PORTS: must be ports by commas/,
  );
});
