import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { pathToFileURL } from 'node:url';
import { afterAll, expect, test } from 'vitest';
import { withCertificates } from './certificates.ts';
import { resolveKafka } from './config.ts';
import { ConfigError } from './errors.ts';

const folder = mkdtempSync(join(tmpdir(), 'weir-pem-'));
afterAll(() => rmSync(folder, { recursive: true }));
const PEM = '-----BEGIN CERTIFICATE-----\nMIIB\n-----END CERTIFICATE-----\n';
const file = join(folder, 'ca.pem');
writeFileSync(file, PEM);
writeFileSync(join(folder, 'empty.pem'), '');

const settings = (over: Record<string, string>) => resolveKafka({ KAFKA_SECURITY_PROTOCOL: 'SSL', ...over }).kafka;

test('a path is replaced by what the file holds; PEM text stays, its line ends mended', () => {
  const loaded = withCertificates(
    settings({
      KAFKA_SSL_CA: file,
      KAFKA_SSL_CERT: pathToFileURL(file).href,
      KAFKA_SSL_KEY: '-----BEGIN PRIVATE KEY-----\\nMIIB\\n-----END PRIVATE KEY-----',
    }),
  );
  expect(loaded.ssl).toEqual({
    ca: PEM,
    cert: PEM,
    key: '-----BEGIN PRIVATE KEY-----\nMIIB\n-----END PRIVATE KEY-----',
  });
});

test('the system’s roots and plain text need no files', () => {
  expect(withCertificates(settings({})).ssl).toBe(true);
  expect(withCertificates(resolveKafka({}).kafka).ssl).toBe(false);
});

test('every file that cannot be used is named', () => {
  const bad = settings({
    KAFKA_SSL_CA: join(folder, 'none.pem'),
    KAFKA_SSL_CERT: join(folder, 'empty.pem'),
    KAFKA_SSL_KEY: file,
  });
  expect(() => withCertificates(bad)).toThrow(ConfigError);
  expect(() => withCertificates(bad)).toThrow(
    /KAFKA_SSL_CA: cannot be read.*\n.*KAFKA_SSL_CERT: this file holds no PEM/,
  );
});
