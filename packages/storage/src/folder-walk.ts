/**
 * The files below a folder as keys, in the order of whole keys, which is the order in which S3 lists them: a folder sorts as
 * its name and a slash. What comes and goes meanwhile may be in it or not.
 */
import { opendir } from 'node:fs/promises';
import { join } from 'node:path';
import { isMissing, storeError } from './folder-errors.ts';
import { compareKeys, TEMPORARY } from './key.ts';

export interface Walk {
  readonly root: string;
  /** For messages. */
  readonly location: string;
  readonly prefix: string;
  readonly startAfter: string | undefined;
}

export function keysIn(walk: Walk): AsyncGenerator<string> {
  const cut = walk.prefix.lastIndexOf('/');
  return keysBelow(cut < 0 ? '' : walk.prefix.slice(0, cut + 1), walk);
}

async function* keysBelow(folder: string, walk: Walk): AsyncGenerator<string> {
  const { root, location, prefix, startAfter } = walk;
  const names: string[] = [];
  try {
    for await (const entry of await opendir(join(root, folder))) {
      if (folder === '' && entry.name === TEMPORARY) continue;
      if (entry.isDirectory()) names.push(`${entry.name}/`);
      else if (entry.isFile()) names.push(entry.name);
    }
  } catch (error) {
    if (isMissing(error)) return;
    throw storeError(error, { location, operation: 'list', key: folder });
  }
  for (const name of names.sort(compareKeys)) {
    const key = folder + name;
    if (name.endsWith('/')) {
      if (!key.startsWith(prefix) && !prefix.startsWith(key)) continue;
      if (startAfter !== undefined && !startAfter.startsWith(key) && compareKeys(key, startAfter) < 0) continue;
      yield* keysBelow(key, walk);
      continue;
    }
    if (!key.startsWith(prefix) || (startAfter !== undefined && compareKeys(key, startAfter) <= 0)) continue;
    yield key;
  }
}
