import { describe, expect, test } from 'vitest';
import { InvalidStoreUrlError, StoreUnavailableError } from './errors.ts';
import { openStore } from './open.ts';

describe('store URLs', () => {
  test.each([
    ['', 'file:///folder or s3://'],
    ['/just/a/path', 'file:///folder or s3://'],
    ['gs://bucket', 'gs:// is not known'],
    ['s3://AKIA123:verysecret@bucket/x', 'credentials do not belong in it'],
    ['s3://bucket/x?token=verysecret', 'query'],
    ['s3://B', '3 to 63'],
    ['file://host/share', 'host'],
    ['s3://bucket/a/%2e%2e%2fup', undefined],
  ])('%j is refused in words', async (url, words) => {
    const error = await openStore(url, { create: true, env: {} }).catch((thrown: Error) => thrown);
    expect(error).toBeInstanceOf(Error);
    expect((error as Error).message).not.toContain('verysecret');
    if (words) {
      expect(error).toBeInstanceOf(InvalidStoreUrlError);
      expect((error as Error).message).toContain(words);
    }
  });

  test('an endpoint without http is refused', async () => {
    await expect(openStore('s3://bucket/x', { endpoint: 'localhost:9000', env: {} })).rejects.toThrow('http://');
  });

  test('a store that nobody answers for is unavailable and transient', async () => {
    const error = await openStore('s3://bucket/x', {
      endpoint: 'http://127.0.0.1:1',
      credentials: { accessKeyId: 'verypublic', secretAccessKey: 'verysecret' },
      env: {},
    }).catch((thrown: unknown) => thrown);
    expect(error).toBeInstanceOf(StoreUnavailableError);
    expect((error as StoreUnavailableError).transient).toBe(true);
    expect((error as Error).message).not.toMatch(/verysecret|verypublic/);
  });
});
