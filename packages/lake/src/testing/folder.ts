/** A folder store of a test's own, with faults on demand, gone when the test is over. */
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { pathToFileURL } from 'node:url';
import { type ObjectStore, openStore } from '@weir/storage';
import { ScriptedStore } from '@weir/storage/testing';

export interface TestFolder extends AsyncDisposable {
  readonly url: string;
  readonly path: string;
  readonly store: ScriptedStore;
  /** The same folder without faults: another process. */
  readonly other: ObjectStore;
  readonly dispose: () => Promise<void>;
}

export async function testFolder(): Promise<TestFolder> {
  const path = await mkdtemp(join(tmpdir(), 'weir-lake-'));
  const url = pathToFileURL(path).href;
  const dispose = () => rm(path, { recursive: true, force: true });
  return {
    url,
    path,
    store: new ScriptedStore(await openStore(url)),
    other: await openStore(url),
    dispose,
    [Symbol.asyncDispose]: dispose,
  };
}

export async function keysIn(store: ObjectStore, prefix: string): Promise<string[]> {
  const keys: string[] = [];
  for await (const { key } of store.list(prefix)) keys.push(key);
  return keys;
}
