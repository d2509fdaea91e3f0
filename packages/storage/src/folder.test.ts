import { mkdir, mkdtemp, readdir, rm, utimes, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { Readable } from 'node:stream';
import { pathToFileURL } from 'node:url';
import { afterAll, describe, expect, test } from 'vitest';
import { BucketMissingError, InvalidKeyError } from './errors.ts';
import { openStore } from './open.ts';
import type { ObjectStore } from './store.ts';
import { storeSuite } from './testing/index.ts';

const folders: string[] = [];
async function folder(): Promise<string> {
  const made = await mkdtemp(join(tmpdir(), 'weir-store-'));
  folders.push(made);
  return made;
}
async function keysOf(store: ObjectStore): Promise<string[]> {
  const keys: string[] = [];
  for await (const { key } of store.list('')) keys.push(key);
  return keys;
}
afterAll(() => Promise.all(folders.map((path) => rm(path, { recursive: true, force: true }))));

for (const fsync of [false, true]) {
  storeSuite(`folder store${fsync ? ' with fsync' : ''}`, async () => {
    const url = pathToFileURL(join(await folder(), 'made by create')).href;
    const store = await openStore(url, { create: true, fsync });
    return { store, second: await openStore(url), dispose: () => store.close() };
  });
}

describe('folder store, its own ways', () => {
  test('a folder that is missing, or a file in its place, is an error unless it may be made', async () => {
    const root = await folder();
    await writeFile(join(root, 'file'), '');
    await expect(openStore(pathToFileURL(join(root, 'missing')).href)).rejects.toBeInstanceOf(BucketMissingError);
    await expect(openStore(pathToFileURL(join(root, 'file')).href)).rejects.toBeInstanceOf(BucketMissingError);
    await expect(openStore(pathToFileURL(join(root, 'file')).href, { create: true })).rejects.toBeInstanceOf(
      BucketMissingError,
    );
  });

  test('left-over temporary files go after a day, fresh ones stay, and none is ever listed', async () => {
    const root = await folder();
    const temporary = join(root, '.weir-tmp');
    await mkdir(temporary);
    await writeFile(join(temporary, 'old'), 'half');
    await writeFile(join(temporary, 'fresh'), 'half');
    const longAgo = new Date(Date.UTC(2020, 0, 1));
    await utimes(join(temporary, 'old'), longAgo, longAgo);
    const store = await openStore(pathToFileURL(root).href);
    expect(await readdir(temporary)).toEqual(['fresh']);
    expect(await keysOf(store)).toEqual([]);
  });

  test('the temporary folder may vanish under a running store', async () => {
    const root = await folder();
    const store = await openStore(pathToFileURL(root).href);
    await rm(join(root, '.weir-tmp'), { recursive: true });
    await store.put('a', Buffer.from('1'), { ifNoneMatch: true });
    await rm(join(root, '.weir-tmp'), { recursive: true });
    await store.putStream(
      'b',
      (async function* () {
        yield Buffer.from('22');
      })(),
    );
    expect(await keysOf(store)).toEqual(['a', 'b']);
    expect(await readdir(join(root, '.weir-tmp'))).toEqual([]);
  });

  test('a source is let go when the store fails before reading it', async () => {
    const root = await folder();
    const store = await openStore(pathToFileURL(root).href);
    await rm(root, { recursive: true });
    await writeFile(root, 'a file in its place');
    const source = Readable.from([Buffer.from('1')]);
    await expect(store.putStream('a', source)).rejects.toMatchObject({ code: expect.stringMatching(/^WEIR_STORE/) });
    expect(source.destroyed).toBe(true);
  });

  test('an object cannot be a folder at the same time', async () => {
    const store = await openStore(pathToFileURL(await folder()).href);
    await store.put('a/b', Buffer.from('1'));
    await expect(store.put('a', Buffer.from('2'))).rejects.toBeInstanceOf(InvalidKeyError);
    await expect(store.put('a/b/c', Buffer.from('2'))).rejects.toBeInstanceOf(InvalidKeyError);
    expect(await readdir(new URL(`${store.location}/.weir-tmp`))).toEqual([]);
  });
});
