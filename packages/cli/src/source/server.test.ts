import { createHash } from 'node:crypto';
import { type Clock, seededRandom, systemClock } from '@weir/core';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import type { Fault } from './faults.ts';
import { MadeFiles, type SourceFile } from './files.ts';
import { FileServers } from './server.ts';

/** Real time for sockets, but nobody waits for latencies and slow files. */
const hurried: Clock = Object.assign(Object.create(systemClock) as Clock, {
  sleep: (_ms: number, signal?: AbortSignal) => systemClock.sleep(1, signal),
});

describe('the file servers', () => {
  const LIMIT = 300_000;
  let servers: FileServers;
  let file: SourceFile;
  beforeEach(async () => {
    servers = new FileServers({ clock: hurried, hosts: 3, sizeLimitBytes: LIMIT });
    await servers.start();
    file = new MadeFiles(1).next(seededRandom(2));
  });
  afterEach(() => servers.stop());

  const serve = (fault?: Fault, host = 0) => servers.add(host, { file, fault, latencyMs: 5 });
  const fetchHash = async (url: string) =>
    createHash('sha256')
      .update(Buffer.from(await (await fetch(url)).arrayBuffer()))
      .digest('hex');

  test('each host has an address, or at least a port, of its own', () => {
    expect(new Set(servers.bases).size).toBe(3);
    expect(servers.bases[0]).toMatch(/^http:\/\/127\.0\.0\.1:\d+$/);
  });

  test('a file that behaves comes whole, with its length and type, on any host', async () => {
    for (const host of [0, 1, 2]) {
      const response = await fetch(serve(undefined, host));
      expect(response.headers.get('content-length')).toBe(String(file.bytes));
      expect(response.headers.get('content-type')).toBe(file.contentType);
      expect((await response.arrayBuffer()).byteLength).toBe(file.bytes);
    }
    expect(await fetchHash(serve())).toBe(await file.sha256());
  });

  test('not-found and broken stay so', async () => {
    const [missing, broken] = [serve({ kind: 'not-found' }), serve({ kind: 'broken' })];
    for (let attempt = 0; attempt < 5; attempt++) {
      expect((await fetch(missing)).status).toBe(404);
      expect((await fetch(broken)).status).toBe(500);
    }
  });

  test('flaky fails its k tries, each URL for itself', async () => {
    const [one, other] = [serve({ kind: 'flaky', times: 2 }), serve({ kind: 'flaky', times: 1 })];
    expect((await fetch(one)).status).toBe(500);
    expect((await fetch(other)).status).toBe(500);
    expect((await fetch(one)).status).toBe(500);
    expect(await fetchHash(one)).toBe(await file.sha256());
    expect(await fetchHash(other)).toBe(await file.sha256());
  });

  test('truncated and reset break the first try only', async () => {
    for (const kind of ['truncated', 'reset'] as const) {
      const url = serve({ kind });
      await expect(fetch(url).then((response) => response.arrayBuffer())).rejects.toThrow();
      expect(await fetchHash(url)).toBe(await file.sha256());
    }
  });

  test('slow arrives whole', async () => {
    expect(await fetchHash(serve({ kind: 'slow' }))).toBe(await file.sha256());
  });

  test('oversized is one byte more than the limit, announced or not', async () => {
    const announced = await fetch(serve({ kind: 'oversized', announced: true }));
    expect(announced.headers.get('content-length')).toBe(String(LIMIT + 1));
    await announced.body!.cancel();
    const counted = await fetch(serve({ kind: 'oversized', announced: false }));
    expect(counted.headers.get('content-length')).toBeNull();
    expect((await counted.arrayBuffer()).byteLength).toBe(LIMIT + 1);
  });

  test('what was never registered is not there', async () => {
    expect((await fetch(`${servers.bases[0]}/a/99/x`)).status).toBe(404);
    expect((await fetch(`${servers.bases[0]}/../../etc/passwd`)).status).toBe(404);
    expect((await fetch(serve(), { method: 'DELETE' })).status).toBe(405);
  });

  test('a client that hangs up, and a stop in the middle of a file, harm nobody', async () => {
    const slow = new FileServers({ clock: systemClock, hosts: 1, sizeLimitBytes: LIMIT });
    await slow.start();
    const url = slow.add(0, { file, fault: { kind: 'slow' }, latencyMs: 0 });
    const hangUp = new AbortController();
    const response = await fetch(url, { signal: hangUp.signal });
    hangUp.abort();
    await expect(response.arrayBuffer()).rejects.toThrow();
    const cut = fetch(url).then((each) => each.arrayBuffer());
    cut.catch(() => undefined);
    await slow.stop();
    await expect(cut).rejects.toThrow();
    await slow.stop();
  });
});
