import { configTable } from '@weir/sdk';
import { expect, test } from 'vitest';
import { z } from 'zod';
import { storeAccess, storeAccessSettings, storeUrlSetting } from './store-settings.ts';

test('a folder is made when missing, a bucket is not: its name may be mistyped', () => {
  expect(storeAccess('file:///tmp/x', {})).toEqual({ create: true });
  expect(storeAccess('s3://bucket/x', {})).toEqual({ create: false });
});

test('credentials count only as a pair', () => {
  expect(storeAccess('s3://b', { AWS_ACCESS_KEY_ID: 'a' })).not.toHaveProperty('credentials');
  expect(
    storeAccess('s3://b', {
      S3_ENDPOINT: 'http://h',
      AWS_REGION: 'r',
      AWS_ACCESS_KEY_ID: 'a',
      AWS_SECRET_ACCESS_KEY: 's',
    }),
  ).toEqual({
    create: false,
    endpoint: 'http://h',
    region: 'r',
    credentials: { accessKeyId: 'a', secretAccessKey: 's' },
  });
});

test('keys and tokens are marked secret, so that no report of a wrong value shows one', () => {
  const secrets = configTable(z.object(storeAccessSettings))
    .filter((row) => row.secret)
    .map((row) => row.variable);
  expect(secrets).toEqual(['AWS_ACCESS_KEY_ID', 'AWS_SECRET_ACCESS_KEY', 'AWS_SESSION_TOKEN']);
});

test('a store is a folder or a bucket', () => {
  const setting = storeUrlSetting('file:///tmp/x', 'Where it is.');
  expect(setting.parse(undefined)).toBe('file:///tmp/x');
  for (const url of ['', 'x', 'http://h/x', 's3://', 'file://x'])
    expect(setting.safeParse(url).success, url).toBe(false);
});
