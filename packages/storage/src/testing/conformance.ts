/**
 * What every object store must do, as tests. A new store calls `storeSuite` with a way to open an empty one
 * (docs/stores.md says how to add a store).
 */
import { createHash, randomUUID } from 'node:crypto';
import { Readable } from 'node:stream';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { InvalidKeyError, ObjectNotFoundError, PreconditionFailedError } from '../errors.ts';
import type { ObjectStore } from '../store.ts';

export interface StoreHarness {
  /** An empty store. */
  readonly store: ObjectStore;
  /** A second, independent connection to the same objects. */
  readonly second: ObjectStore;
  readonly dispose: () => Promise<void>;
}

const text = (bytes: Uint8Array) => Buffer.from(bytes).toString();
const bytes = (value: string) => Buffer.from(value);
const digest = (value: Uint8Array) => createHash('sha256').update(value).digest('hex');

async function keysOf(store: ObjectStore, prefix: string, options?: { startAfter?: string }): Promise<string[]> {
  const keys: string[] = [];
  for await (const { key } of store.list(prefix, options)) keys.push(key);
  return keys;
}

async function* chunks(total: number, size: number, fail?: Error): AsyncGenerator<Uint8Array> {
  for (let at = 0; at < total; at += size) yield Buffer.alloc(Math.min(size, total - at), at % 251);
  if (fail) throw fail;
}

export function storeSuite(name: string, open: () => Promise<StoreHarness>): void {
  describe(name, () => {
    let harness: StoreHarness;
    let store: ObjectStore;
    beforeAll(async () => {
      harness = await open();
      store = harness.store;
    });
    afterAll(() => harness?.dispose());

    test('what is put is read by another connection, whole and in ranges', async () => {
      await store.put('plain/one.txt', bytes('0123456789'), { contentType: 'text/plain' });
      expect(text(await harness.second.get('plain/one.txt'))).toBe('0123456789');
      expect(text(await store.get('plain/one.txt', { range: { start: 2, length: 3 } }))).toBe('234');
      expect(text(await store.get('plain/one.txt', { range: { start: 7 } }))).toBe('789');
      expect(text(await store.get('plain/one.txt', { range: { start: 8, length: 100 } }))).toBe('89');
      expect(text(await store.get('plain/one.txt', { range: { start: 10, length: 5 } }))).toBe('');
      expect(text(await store.get('plain/one.txt', { range: { start: 3, length: 0 } }))).toBe('');
      const info = await store.head('plain/one.txt');
      expect(info).toMatchObject({ key: 'plain/one.txt', bytes: 10 });
      expect(info?.modifiedAt).toBeGreaterThan(Date.UTC(2020, 0, 1));
    });

    test('a put replaces and an empty object is an object', async () => {
      await store.put('replaced', bytes('first'));
      await store.put('replaced', bytes(''));
      expect(text(await store.get('replaced'))).toBe('');
      expect((await store.head('replaced'))?.bytes).toBe(0);
    });

    test('what is not there is not found, and deleting it is fine', async () => {
      await expect(store.get('nothing/here')).rejects.toBeInstanceOf(ObjectNotFoundError);
      await expect(store.get('nothing')).rejects.toBeInstanceOf(ObjectNotFoundError);
      expect(await store.head('nothing/here')).toBeUndefined();
      await store.delete('nothing/here');
      await store.put('gone', bytes('x'));
      await store.delete('gone');
      expect(await store.head('gone')).toBeUndefined();
    });

    test('of 32 parallel conditional creates exactly one wins, and its bytes stay', async () => {
      for (let round = 0; round < 5; round++) {
        const key = `race/${round}`;
        const outcomes = await Promise.allSettled(
          Array.from({ length: 32 }, (_, index) =>
            (index % 2 ? store : harness.second).put(key, bytes(`contender ${index}`), { ifNoneMatch: true }),
          ),
        );
        const winners = outcomes.flatMap((outcome, index) => (outcome.status === 'fulfilled' ? [index] : []));
        expect(winners).toHaveLength(1);
        for (const outcome of outcomes) {
          if (outcome.status === 'rejected') expect(outcome.reason).toBeInstanceOf(PreconditionFailedError);
        }
        expect(text(await store.get(key))).toBe(`contender ${winners[0]}`);
      }
    });

    test('a probe of this store passes and leaves nothing behind', async () => {
      await store.probe();
      expect(await keysOf(store, '.weir-probe/')).toEqual([]);
    });

    test('an aborted put rejects with the reason of its signal and leaves no object', async () => {
      const reason = new Error('partition lost');
      const signal = AbortSignal.abort(reason);
      await expect(store.put('aborted', Buffer.from('x'), { signal })).rejects.toBe(reason);
      expect(await store.head('aborted')).toBeUndefined();
      await store.put('aborted', Buffer.from('y'), { signal: new AbortController().signal });
      expect(await store.head('aborted')).toBeDefined();
    });

    test('a stream of several parts arrives byte for byte and reports its progress', async () => {
      const total = 20 * 1024 * 1024 + 17;
      let seen = 0;
      const hash = createHash('sha256');
      for await (const chunk of chunks(total, 65_536)) hash.update(chunk);
      const stored = await store.putStream('streams/large.bin', Readable.from(chunks(total, 65_536)), {
        contentType: 'application/octet-stream',
        onProgress: (count) => {
          seen = count;
        },
      });
      expect(stored.bytes).toBe(total);
      expect(seen).toBe(total);
      expect(digest(await store.get('streams/large.bin'))).toBe(hash.digest('hex'));
    });

    test('small and empty streams are stored, from async iterables too', async () => {
      expect((await store.putStream('streams/small', chunks(5, 2))).bytes).toBe(5);
      expect((await store.get('streams/small')).byteLength).toBe(5);
      expect((await store.putStream('streams/empty', chunks(0, 2))).bytes).toBe(0);
      expect((await store.get('streams/empty')).byteLength).toBe(0);
    });

    test.each([
      ['early', 10],
      ['late', 18 * 1024 * 1024],
    ])('a source that fails %s throws its own error and leaves no object', async (when, total) => {
      const failure = new Error('connection reset by the file host');
      await expect(store.putStream(`broken/${when}`, chunks(total, 65_536, failure))).rejects.toBe(failure);
      expect(await store.head(`broken/${when}`)).toBeUndefined();
    });

    test('an abort while the source stalls rejects with its reason and leaves no object', async () => {
      const controller = new AbortController();
      const reason = new Error('partition lost');
      async function* stalling(): AsyncGenerator<Uint8Array> {
        yield Buffer.alloc(9 * 1024 * 1024);
        controller.abort(reason);
        await new Promise(() => undefined);
      }
      await expect(store.putStream('broken/stalled', stalling(), { signal: controller.signal })).rejects.toBe(reason);
      expect(await store.head('broken/stalled')).toBeUndefined();
      await expect(store.putStream('broken/early', chunks(5, 5), { signal: controller.signal })).rejects.toBe(reason);
      expect(await store.head('broken/early')).toBeUndefined();
    });

    test('an object is replaced by a stream in one step: readers see the old one or the new one', async () => {
      await store.put('swap', Buffer.alloc(100_000, 1));
      let done = false;
      const reading = (async () => {
        while (!done) {
          const found = await harness.second.get('swap');
          expect(found.byteLength).toBe(100_000);
          expect(found.every((byte) => byte === found[0])).toBe(true);
          // A store without I/O would never let the writer run.
          await new Promise((resolve) => setImmediate(resolve));
        }
      })();
      for (let round = 2; round < 8; round++) {
        await store.putStream('swap', Readable.from([Buffer.alloc(60_000, round), Buffer.alloc(40_000, round)]));
      }
      done = true;
      await reading;
    });

    test('keys are listed by prefix in the order of their bytes, from where one left off', async () => {
      const keys = ['l/a-b', 'l/a/1', 'l/a/2', 'l/a0', 'l/b/c/d', 'l/ü', 'l/😀'];
      for (const key of keys.toReversed()) await store.put(key, bytes(key));
      expect(await keysOf(store, 'l/')).toEqual(keys);
      expect(await keysOf(store, 'l/a/')).toEqual(['l/a/1', 'l/a/2']);
      expect(await keysOf(store, 'l/a')).toEqual(['l/a-b', 'l/a/1', 'l/a/2', 'l/a0']);
      expect(await keysOf(store, 'l/', { startAfter: 'l/a/1' })).toEqual(['l/a/2', 'l/a0', 'l/b/c/d', 'l/ü', 'l/😀']);
      expect(await keysOf(store, 'no such prefix/')).toEqual([]);
    });

    test('odd but legal keys are kept as they are', async () => {
      const keys = [
        'odd/a b+c',
        'odd/percent%2F.txt',
        'odd/q?x=1&y',
        "odd/it's [#1]=(2)",
        'odd/日本語.pdf',
        'odd/..hidden',
      ];
      for (const key of keys) await store.put(key, bytes(key));
      for (const key of keys) expect(text(await harness.second.get(key))).toBe(key);
      expect((await keysOf(store, 'odd/')).sort()).toEqual([...keys].sort());
      expect(store.url('odd/日本語.pdf')).toMatch(/^(file|s3):\/\//);
    });

    test.each([
      '',
      '/absolute',
      '../up',
      'a/../../up',
      'a/./b',
      'a//b',
      'a/',
      'line\nbreak',
      'nul\u0000',
      'back\\slash',
      '.weir-tmp/x',
      `${'x'.repeat(256)}/y`,
      'p/'.repeat(512) + randomUUID(),
      'half\ud800',
    ])('the key %j is refused before anything is sent', async (key) => {
      await expect(store.put(key, bytes('x'))).rejects.toBeInstanceOf(InvalidKeyError);
      await expect(store.get(key)).rejects.toBeInstanceOf(InvalidKeyError);
      await expect(store.head(key)).rejects.toBeInstanceOf(InvalidKeyError);
      await expect(store.putStream(key, chunks(1, 1))).rejects.toBeInstanceOf(InvalidKeyError);
      await expect(store.delete(key)).rejects.toBeInstanceOf(InvalidKeyError);
      expect(() => store.url(key)).toThrow(InvalidKeyError);
    });
  });
}
