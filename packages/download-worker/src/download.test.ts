import { createHash } from 'node:crypto';
import { gzipSync } from 'node:zlib';
import { PermanentError, RetryableError } from '@weir/sdk';
import { StoreUnavailableError } from '@weir/storage';
import { describe, expect, test } from 'vitest';
import { taskOf, type World, world } from './download.fixture.ts';
import { download } from './download.ts';
import { file, startFaultServer, status } from './fault-server.fixture.ts';
import { httpStatusOf } from './outcome.ts';

const never = new AbortController().signal;
const sha256 = (content: string | Buffer) => createHash('sha256').update(content).digest('hex');
const run = (w: World, url: string, over = {}) => download(taskOf(url, over), w, w.calls, never);
const failure = (w: World, url: string, over = {}) =>
  run(w, url, over).then(
    () => Promise.reject(new Error('the download succeeded')),
    (error: unknown) => error as RetryableError | PermanentError,
  );
const stored = async (w: World) => Buffer.from(await w.store.get('s/a/t/0123abcd_file.pdf'));
const nothingStored = async (w: World) => expect(await w.store.head('s/a/t/0123abcd_file.pdf')).toBeUndefined();

describe('a file', () => {
  test('is stored as it came, counted and hashed', async () => {
    const content = Buffer.alloc(300_000, 'weir');
    await using server = await startFaultServer(file(content, { 'content-type': 'application/pdf' }));
    await using w = await world();
    expect(await run(w, server.url())).toEqual({
      bytes: 300_000,
      sha256: sha256(content),
      httpStatus: 200,
      contentType: 'application/pdf',
    });
    expect((await stored(w)).equals(content)).toBe(true);
    expect(server.asked).toEqual(['GET /file.pdf']);
  });

  test('may be empty', async () => {
    await using server = await startFaultServer(file(''));
    await using w = await world();
    expect(await run(w, server.url())).toMatchObject({ bytes: 0, sha256: sha256('') });
    expect(await stored(w)).toHaveLength(0);
  });

  test('that is gzip stays gzip, and identity is what was asked for', async () => {
    const packed = gzipSync('hello');
    let accepted: unknown;
    await using server = await startFaultServer((request, response) => {
      accepted = request.headers['accept-encoding'];
      file(packed, { 'content-encoding': 'gzip' })(request, response);
    });
    await using w = await world();
    expect(await run(w, server.url())).toMatchObject({ bytes: packed.length, sha256: sha256(packed) });
    expect((await stored(w)).equals(packed)).toBe(true);
    expect(accepted).toBe('identity');
  });

  test('without a content-length is taken in chunks', async () => {
    await using server = await startFaultServer((_, response) => {
      response.writeHead(200);
      response.write('one');
      setImmediate(() => response.end('two'));
    });
    await using w = await world();
    expect(await run(w, server.url())).toMatchObject({ bytes: 6, sha256: sha256('onetwo') });
  });

  test('replaces what an earlier attempt stored', async () => {
    await using server = await startFaultServer(file('first, and longer'));
    await using w = await world();
    await run(w, server.url());
    server.answer = file('second');
    await run(w, server.url());
    expect((await stored(w)).toString()).toBe('second');
  });
});

describe('an answer that is no file', () => {
  test.each([
    400, 402, 403, 404, 405, 409, 410, 416, 422, 451, 204, 206, 304,
  ])('%i is permanent and the host is well', async (code) => {
    await using server = await startFaultServer(status(code));
    await using w = await world();
    const error = await failure(w, server.url());
    expect(error).toBeInstanceOf(PermanentError);
    expect(error.class).toBe('permanent');
    expect(httpStatusOf(error)).toBe(code);
    expect(w.calls.made).toEqual([{ name: `host:127.0.0.1:${server.port}`, threw: undefined }]);
    await nothingStored(w);
  });

  test.each([408, 425, 429, 500, 502, 503, 504, 599])('%i is transient and counts against the host', async (code) => {
    await using server = await startFaultServer(status(code));
    await using w = await world();
    const error = await failure(w, server.url());
    expect(error).toBeInstanceOf(RetryableError);
    expect(error.class).toBe('transient');
    expect(httpStatusOf(error)).toBe(code);
    expect(w.calls.made[0]?.threw).toBe(error);
  });

  test('Retry-After becomes the least wait', async () => {
    await using server = await startFaultServer(status(429, { 'retry-after': '1200' }));
    await using w = await world();
    expect(await failure(w, server.url())).toMatchObject({ after: 1_200_000 });
  });

  test('401 and a redirect to a login are class auth', async () => {
    await using server = await startFaultServer(status(401));
    await using w = await world();
    expect(await failure(w, server.url())).toMatchObject({ code: 'WEIR_RETRYABLE', class: 'auth' });
    server.answer = status(302, { location: 'https://accounts.example/login?next=x' });
    expect(await failure(w, server.url())).toMatchObject({ code: 'WEIR_RETRYABLE', class: 'auth' });
    expect(w.calls.made.every((call) => call.threw === undefined)).toBe(true);
  });

  test('403 of an expired signature is class expired', async () => {
    const body = '<Error><Code>AccessDenied</Code><Message>Request has expired</Message></Error>';
    await using server = await startFaultServer(status(403, {}, body));
    await using w = await world();
    expect(await failure(w, server.url())).toMatchObject({ code: 'WEIR_PERMANENT', class: 'expired' });
  });

  test('an endless error page is not read to its end', async () => {
    await using server = await startFaultServer((_, response) => {
      response.writeHead(404);
      const more = () => {
        while (!response.destroyed && response.write('x'.repeat(10_000)));
        response.once('drain', more);
      };
      more();
    });
    await using w = await world();
    expect(httpStatusOf(await failure(w, server.url()))).toBe(404);
  });
});

describe('a presigned URL', () => {
  test('that has run out is not even asked for', async () => {
    await using server = await startFaultServer(file('x'));
    await using w = await world();
    const query = '?X-Amz-Date=20200101T000000Z&X-Amz-Expires=60&X-Amz-Signature=s';
    expect(await failure(w, server.url(`/f.pdf${query}`))).toMatchObject({ code: 'WEIR_PERMANENT', class: 'expired' });
    expect(await failure(w, server.url(), { expiresAt: '2020-01-01T00:00:00Z' })).toMatchObject({ class: 'expired' });
    expect(server.asked).toEqual([]);
  });
});

describe('a broken transfer', () => {
  test('cut off before its content-length is never stored, and is the host’s', async () => {
    await using server = await startFaultServer((_, response) => {
      response.writeHead(200, { 'content-length': '100000' });
      response.write(Buffer.alloc(50_000));
      setTimeout(() => response.destroy(), 50);
    });
    await using w = await world();
    const error = await failure(w, server.url());
    expect(error).toMatchObject({ code: 'WEIR_RETRYABLE', class: 'transient' });
    await nothingStored(w);
    const host = `host:127.0.0.1:${server.port}`;
    expect(w.calls.made.map(({ name, threw }) => [name, threw !== undefined])).toEqual([
      [host, false],
      ['blobs', false],
      [host, true],
    ]);
  });

  test('chunked without an end is never stored', async () => {
    await using server = await startFaultServer((_, response) => {
      response.writeHead(200);
      response.write(Buffer.alloc(5000));
      setTimeout(() => response.destroy(), 50);
    });
    await using w = await world();
    expect(await failure(w, server.url())).toMatchObject({ code: 'WEIR_RETRYABLE', class: 'transient' });
    await nothingStored(w);
  });

  test('of a host that accepts and says nothing ends at the idle timeout', async () => {
    await using server = await startFaultServer(() => undefined);
    await using w = await world({ idleTimeoutMs: 300 });
    expect(await failure(w, server.url())).toMatchObject({ code: 'WEIR_RETRYABLE', class: 'transient' });
    expect(w.calls.made[0]?.threw).toBeDefined();
  });

  test('of a host that stalls within the body ends at the idle timeout', async () => {
    await using server = await startFaultServer((_, response) => {
      response.writeHead(200, { 'content-length': '100000' });
      response.write(Buffer.alloc(5000));
    });
    await using w = await world({ idleTimeoutMs: 300 });
    expect(await failure(w, server.url())).toMatchObject({ code: 'WEIR_RETRYABLE', class: 'transient' });
    await nothingStored(w);
  });

  test('of a host that drips ends at the overall limit and is the host’s', async () => {
    await using server = await startFaultServer((_, response) => {
      response.writeHead(200, { 'content-length': '100000' });
      const drip = setInterval(() => response.write(Buffer.alloc(1100)), 20);
      response.on('close', () => clearInterval(drip));
    });
    await using w = await world({ timeoutMs: 400 });
    const error = await failure(w, server.url());
    expect(error.message).toContain('did not end within 400 ms');
    expect(error).toMatchObject({ code: 'WEIR_RETRYABLE', class: 'transient' });
    expect(w.calls.made.map(({ name, threw }) => [name.slice(0, 4), threw !== undefined])).toEqual([
      ['host', false],
      ['blob', false],
      ['host', true],
    ]);
    await nothingStored(w);
  });

  test('to a host that is not there is transient', async () => {
    const server = await startFaultServer(status(200));
    const url = server.url();
    await server[Symbol.asyncDispose]();
    await using w = await world();
    expect(await failure(w, url)).toMatchObject({ code: 'WEIR_RETRYABLE', class: 'transient' });
  });

  test('of a name that does not resolve is transient', async () => {
    const resolve = () => Promise.reject(Object.assign(new Error('queryA ENOTFOUND'), { code: 'ENOTFOUND' }));
    await using w = await world({ resolve });
    expect(await failure(w, 'http://gone.example/f.pdf')).toMatchObject({ code: 'WEIR_RETRYABLE', class: 'transient' });
  });

  test('aborted from outside ends with that reason and stores nothing', async () => {
    await using server = await startFaultServer((_, response) => {
      response.writeHead(200, { 'content-length': '100000' });
      response.write(Buffer.alloc(5000));
    });
    await using w = await world();
    const abort = new AbortController();
    const reason = new Error('the partition was lost');
    const ended = download(taskOf(server.url()), w, w.calls, abort.signal).catch((error: unknown) => error);
    setTimeout(() => abort.abort(reason), 100);
    expect(await ended).toBe(reason);
    await nothingStored(w);
  });
});

describe('the size limit', () => {
  test('holds by header, before anything is read', async () => {
    await using server = await startFaultServer(file(Buffer.alloc(2001)));
    await using w = await world({ maxBytes: 2000 });
    const error = await failure(w, server.url());
    expect(error).toMatchObject({ code: 'WEIR_PERMANENT', class: 'permanent' });
    expect(error.message).toContain('MAX_FILE_BYTES');
    await nothingStored(w);
  });

  test('holds by count when the header is missing', async () => {
    await using server = await startFaultServer((_, response) => {
      response.writeHead(200);
      const more = () => {
        while (!response.destroyed && response.write(Buffer.alloc(60_000)));
        response.once('drain', more);
      };
      more();
    });
    await using w = await world({ maxBytes: 500_000 });
    expect(await failure(w, server.url())).toMatchObject({ code: 'WEIR_PERMANENT', class: 'permanent' });
    expect(w.calls.made.every((call) => call.threw === undefined)).toBe(true);
    await nothingStored(w);
  });

  test('lets exactly that many bytes through', async () => {
    await using server = await startFaultServer(file(Buffer.alloc(2000)));
    await using w = await world({ maxBytes: 2000 });
    expect(await run(w, server.url())).toMatchObject({ bytes: 2000 });
  });
});

describe('redirects', () => {
  test('are followed, each hop through the breaker of its own host', async () => {
    await using target = await startFaultServer(file('here'), '127.0.0.2');
    await using server = await startFaultServer(status(302, { location: target.url('/b.pdf') }));
    await using w = await world();
    expect(await run(w, server.url())).toMatchObject({ bytes: 4 });
    expect(w.calls.made.map((call) => call.name)).toEqual([
      `host:127.0.0.1:${server.port}`,
      `host:127.0.0.2:${target.port}`,
      'blobs',
    ]);
  });

  test('may be relative', async () => {
    await using server = await startFaultServer((request, response) =>
      request.url === '/a/b.pdf' ? file('x')(request, response) : status(307, { location: 'b.pdf' })(request, response),
    );
    await using w = await world();
    expect(await run(w, server.url('/a/start'))).toMatchObject({ bytes: 1 });
  });

  test('in a loop end after five', async () => {
    await using server = await startFaultServer(status(302, { location: '/file.pdf' }));
    await using w = await world();
    const error = await failure(w, server.url());
    expect(error).toMatchObject({ code: 'WEIR_PERMANENT', cause: { rule: 'redirects' } });
    expect(server.asked).toHaveLength(6);
  });

  test.each([
    ['another host', 'http://evil.example/f.pdf', 'host'],
    ['another scheme', 'ftp://127.0.0.1/f.pdf', 'scheme'],
    ['a password', 'http://a:b@127.0.0.1/f.pdf', 'userinfo'],
    ['a file of this machine', 'file:///etc/passwd', 'scheme'],
  ])('to %s are refused', async (_, location, rule) => {
    await using server = await startFaultServer(status(302, { location }));
    await using w = await world({ domains: ['127.0.0.1'] });
    expect(await failure(w, server.url())).toMatchObject({ code: 'WEIR_PERMANENT', cause: { rule } });
  });

  test('without a location are refused', async () => {
    await using server = await startFaultServer(status(302));
    await using w = await world();
    expect(await failure(w, server.url())).toMatchObject({ code: 'WEIR_PERMANENT', cause: { rule: 'location' } });
  });

  test('to a private address are refused although the host name is allowed', async () => {
    await using inside = await startFaultServer(file('secret'));
    const resolve = async () => [{ address: '10.0.0.5', family: 4 }];
    await using w = await world({ allowPrivate: false, resolve });
    const error = await failure(w, inside.url('/f.pdf', 'files.example'));
    expect(error).toMatchObject({ code: 'WEIR_PERMANENT', cause: { address: '10.0.0.5', range: 'private' } });
    expect(inside.asked).toEqual([]);
  });
});

describe('the type', () => {
  const types = ['pdf', 'csv', 'png'];

  test('that is not taken is refused before the request', async () => {
    await using server = await startFaultServer(file('x'));
    await using w = await world({ types });
    expect(await failure(w, server.url('/a.exe'), { fileType: 'EXE' })).toMatchObject({ cause: { rule: 'type' } });
    expect(server.asked).toEqual([]);
  });

  test('that the content type contradicts is refused before anything is stored', async () => {
    await using server = await startFaultServer(file('<html>', { 'content-type': 'text/html; charset=utf-8' }));
    await using w = await world({ types });
    expect(await failure(w, server.url())).toMatchObject({ cause: { rule: 'content-type' } });
    await nothingStored(w);
  });

  test('that the first bytes contradict is refused before anything is stored', async () => {
    await using server = await startFaultServer(file('MZ not a pdf', { 'content-type': 'application/pdf' }));
    await using w = await world({ types });
    expect(await failure(w, server.url())).toMatchObject({ cause: { rule: 'content' } });
    await nothingStored(w);
  });

  test('that all three agree on is stored whole, peeked bytes included', async () => {
    const content = Buffer.concat([Buffer.from('%PDF-1.7\n'), Buffer.alloc(200_000, 'x')]);
    await using server = await startFaultServer(file(content, { 'content-type': 'application/pdf' }));
    await using w = await world({ types });
    expect(await run(w, server.url())).toMatchObject({ sha256: sha256(content) });
    expect((await stored(w)).equals(content)).toBe(true);
  });
});

describe('a store that fails', () => {
  test('is the store’s failure, and the host’s breaker hears nothing', async () => {
    await using server = await startFaultServer(file(Buffer.alloc(100_000)));
    await using w = await world({
      store: (store) =>
        Object.create(store, {
          putStream: {
            value: async () => Promise.reject(new StoreUnavailableError('s3://b', 'put', new Error('ENOSPC'))),
          },
        }),
    });
    const error = await failure(w, server.url());
    expect(error).toMatchObject({ code: 'WEIR_RETRYABLE', class: 'dependency' });
    expect(w.calls.made.map(({ name, threw }) => [name.slice(0, 4), threw !== undefined])).toEqual([
      ['host', false],
      ['blob', true],
    ]);
  });

  test('by standing still is blamed at the overall limit', async () => {
    await using server = await startFaultServer(file(Buffer.alloc(900_000)));
    await using w = await world({
      timeoutMs: 300,
      store: (store) =>
        Object.create(store, {
          putStream: {
            value: async (_: string, source: AsyncIterable<Uint8Array>, { signal }: { signal: AbortSignal }) => {
              for await (const _chunk of source) {
                await new Promise((_resolve, reject) => signal.addEventListener('abort', () => reject(signal.reason)));
              }
            },
          },
        }),
    });
    const error = await failure(w, server.url());
    expect(error).toMatchObject({ code: 'WEIR_RETRYABLE', class: 'dependency' });
    expect(error.message).toContain('store was too slow');
    expect(w.calls.made.map(({ name, threw }) => [name.slice(0, 4), threw !== undefined])).toEqual([
      ['host', false],
      ['blob', true],
    ]);
  });
});

test.each([
  '../../etc/passwd',
  '/etc/passwd',
  'a//b',
  '.weir-tmp/x',
  'a/\u0000',
])('a task that would be stored under %j is poison, before any request and without blaming the store', async (blobPath) => {
  await using server = await startFaultServer(file('x'));
  await using w = await world();
  expect(await failure(w, server.url(), { blobPath })).toMatchObject({ code: 'WEIR_PERMANENT', class: 'poison' });
  expect(server.asked).toEqual([]);
  expect(w.calls.made).toEqual([]);
});

test('no message of a failure has the URL’s query', async () => {
  await using server = await startFaultServer(status(404));
  await using w = await world();
  const error = await failure(w, server.url('/f.pdf?X-Amz-Signature=TOPSECRET'));
  expect(JSON.stringify([error.message, String(error.cause)])).not.toContain('TOPSECRET');
});
