/** The store conformance suite on a real S3 server, and the ways of S3 that a folder does not have. */
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import { Readable } from 'node:stream';
import {
  BucketMissingError,
  openStore,
  PreconditionFailedError,
  StoreAccessDeniedError,
  StoreNotAtomicError,
  StoreUnavailableError,
} from '@weir/storage';
import { storeSuite } from '@weir/storage/testing';
import { afterAll, describe, expect, test } from 'vitest';
import { cuttable } from '../support/cut.ts';
import { startS3 } from '../support/s3.ts';

const server = await startS3();
afterAll(() => server?.stop());

if (server) {
  const { endpoint, credentials } = server;
  storeSuite('S3 store', async () => {
    const url = `s3://${await server.bucket()}/a/prefix`;
    const store = await openStore(url, { endpoint, credentials, env: {} });
    const second = await openStore(url, { endpoint, credentials, env: {} });
    return {
      store,
      second,
      dispose: async () => {
        await store.close();
        await second.close();
      },
    };
  });

  describe('S3 store, its own ways', () => {
    test('a missing bucket is an error unless it may be made; making it twice is fine', async () => {
      const url = `s3://weir-made-${process.pid}/x`;
      await expect(openStore(url, { endpoint, credentials, env: {} })).rejects.toBeInstanceOf(BucketMissingError);
      for (let round = 0; round < 2; round++) {
        const store = await openStore(url, { endpoint, credentials, env: {}, create: true });
        await store.put('a', Buffer.from('1'));
        await store.close();
      }
    });

    test('a wrong secret is access denied, and is not shown', async () => {
      const wrong = { accessKeyId: credentials.accessKeyId, secretAccessKey: 'not-the-secret' };
      const error = await openStore(`s3://${await server.bucket()}`, { endpoint, credentials: wrong, env: {} }).catch(
        (thrown: unknown) => thrown,
      );
      expect(error).toBeInstanceOf(StoreAccessDeniedError);
      expect(String(error)).not.toContain('not-the-secret');
    });

    test('the prefix keeps two stores of one bucket apart', async () => {
      const bucket = await server.bucket();
      const one = await openStore(`s3://${bucket}/one`, { endpoint, credentials, env: {} });
      const two = await openStore(`s3://${bucket}/one-more`, { endpoint, credentials, env: {} });
      await one.put('k', Buffer.from('1'));
      await two.put('k', Buffer.from('2'));
      const keys: string[] = [];
      for await (const { key } of one.list('')) keys.push(key);
      expect(keys).toEqual(['k']);
      await one.close();
      await two.close();
    });

    test('a put to a server that says nothing any more ends with its signal', async () => {
      const between = await cuttable(endpoint);
      const url = `s3://${await server.bucket()}`;
      const store = await openStore(url, { endpoint: between.url, credentials, env: {} });
      await between.become('silent');
      const owner = new AbortController();
      const reason = new Error('partition lost');
      const began = performance.now();
      const put = store.put('k', Buffer.from('late'), { signal: owner.signal });
      setTimeout(() => owner.abort(reason), 300);
      await expect(put).rejects.toBe(reason);
      expect(performance.now() - began).toBeLessThan(5_000);
      await between.become('through');
      expect(await store.head('k')).toBeUndefined();
      await store.close();
      await between.stop();
    });
  });
}

/** A server that behaves as told, for what a good one never does. */
async function fakeS3(answer: (request: IncomingMessage, body: Buffer, response: ServerResponse) => void) {
  const http = createServer((request, response) => {
    const parts: Buffer[] = [];
    request.on('data', (part: Buffer) => parts.push(part));
    request.on('end', () => {
      if (request.method === 'HEAD') response.writeHead(200).end();
      else answer(request, Buffer.concat(parts), response);
    });
  });
  await new Promise<void>((resolve) => http.listen(0, '127.0.0.1', resolve));
  const store = await openStore('s3://bucket/p', {
    endpoint: `http://127.0.0.1:${(http.address() as AddressInfo).port}`,
    credentials: { accessKeyId: 'a', secretAccessKey: 'b' },
    env: {},
  });
  return {
    store,
    close: async () => {
      await store.close();
      http.closeAllConnections();
      await new Promise((resolve) => http.close(resolve));
    },
  };
}

const xml = (code: string) => `<?xml version="1.0"?><Error><Code>${code}</Code><Message>${code}</Message></Error>`;

describe('S3 answers in doubt', () => {
  test('a create whose answer was lost is recognised as its own', async () => {
    const objects = new Map<string, Buffer>();
    let puts = 0;
    const fake = await fakeS3((request, body, response) => {
      const key = request.url?.split('?')[0] ?? '';
      if (request.method === 'GET') return void response.writeHead(200).end(objects.get(key));
      puts++;
      if (objects.has(key)) return void response.writeHead(412).end(xml('PreconditionFailed'));
      objects.set(key, body);
      response.writeHead(500).end(xml('InternalError'));
    });
    try {
      await fake.store.put('k', Buffer.from('mine'), { ifNoneMatch: true });
      expect(puts).toBeGreaterThan(1);
      expect(Buffer.from(await fake.store.get('k')).toString()).toBe('mine');
    } finally {
      await fake.close();
    }
  });

  test('a create that failed in doubt while another won is lost', async () => {
    const fake = await fakeS3((request, _body, response) => {
      if (request.method === 'GET') response.writeHead(200).end('theirs');
      else response.writeHead(503).end(xml('SlowDown'));
    });
    try {
      await expect(fake.store.put('k', Buffer.from('mine'), { ifNoneMatch: true })).rejects.toBeInstanceOf(
        PreconditionFailedError,
      );
    } finally {
      await fake.close();
    }
  });

  test('an aborted upload whose request never comes back is not waited for', async () => {
    const arrived = Promise.withResolvers<void>();
    const fake = await fakeS3(() => arrived.resolve());
    try {
      const controller = new AbortController();
      const reason = new Error('partition lost');
      const put = fake.store.putStream('k', Readable.from([Buffer.from('bytes')]), { signal: controller.signal });
      put.catch(() => undefined);
      await arrived.promise;
      controller.abort(reason);
      await expect(put).rejects.toBe(reason);
    } finally {
      await fake.close();
    }
  });

  test('a create that failed and left nothing is unavailable, and transient', async () => {
    const fake = await fakeS3((request, _body, response) => {
      if (request.method === 'GET') response.writeHead(404).end(xml('NoSuchKey'));
      else response.writeHead(503).end(xml('SlowDown'));
    });
    try {
      const error = await fake.store.put('k', Buffer.from('mine'), { ifNoneMatch: true }).catch((thrown) => thrown);
      expect(error).toBeInstanceOf(StoreUnavailableError);
      expect(error.transient).toBe(true);
    } finally {
      await fake.close();
    }
  });

  test('a conflict with a write under way is tried again', async () => {
    let puts = 0;
    const fake = await fakeS3((_request, _body, response) => {
      puts++;
      if (puts < 3) response.writeHead(409).end(xml('ConditionalRequestConflict'));
      else response.writeHead(200, { etag: '"x"' }).end();
    });
    try {
      expect(await fake.store.put('k', Buffer.from('mine'), { ifNoneMatch: true })).toEqual({ etag: '"x"' });
    } finally {
      await fake.close();
    }
  });

  test('a store that ignores If-None-Match, or does not know it, fails the probe', async () => {
    const ignoring = await fakeS3((_request, _body, response) => response.writeHead(200, { etag: '"x"' }).end());
    const unknowing = await fakeS3((_request, _body, response) => response.writeHead(501).end(xml('NotImplemented')));
    try {
      await expect(ignoring.store.probe()).rejects.toMatchObject({ winners: 8 });
      await expect(ignoring.store.probe()).rejects.toBeInstanceOf(StoreNotAtomicError);
      await expect(unknowing.store.probe()).rejects.toBeInstanceOf(StoreNotAtomicError);
    } finally {
      await ignoring.close();
      await unknowing.close();
    }
  });
});
