/**
 * Does this store really create objects atomically? A store that ignores `If-None-Match`, or checks first and writes
 * later, loses table commits without a word, so the question is put to the store itself: several creates of one key at
 * once, then one more when it surely exists.
 */
import { randomUUID } from 'node:crypto';
import { PreconditionFailedError, StoreNotAtomicError } from './errors.ts';
import type { ObjectStore } from './store.ts';

const CONTENDERS = 8;
const ROUNDS = 3;

/** @throws StoreNotAtomicError, and whatever the store throws when it cannot be reached */
export async function probeStore(store: ObjectStore): Promise<void> {
  for (let round = 0; round < ROUNDS; round++) await race(store, `.weir-probe/${randomUUID()}`);
}

async function race(store: ObjectStore, key: string): Promise<void> {
  const create = async (name: string) => {
    try {
      await store.put(key, Buffer.from(`${name} of ${key}`), { ifNoneMatch: true });
      return true;
    } catch (error) {
      if (error instanceof PreconditionFailedError) return false;
      throw error;
    }
  };
  try {
    const outcomes = await Promise.all(Array.from({ length: CONTENDERS }, (_, index) => create(`contender ${index}`)));
    const winners = outcomes.filter(Boolean).length;
    if (winners !== 1) {
      throw new StoreNotAtomicError(
        store.location,
        winners,
        `${winners} of ${CONTENDERS} parallel creates won; exactly one may`,
      );
    }
    if (await create('a latecomer')) {
      throw new StoreNotAtomicError(store.location, 2, 'a create won although the object existed');
    }
    const kept = Buffer.from(await store.get(key)).toString();
    const winner = `contender ${outcomes.indexOf(true)} of ${key}`;
    if (kept !== winner) {
      throw new StoreNotAtomicError(store.location, 1, `it kept "${kept}" although "${winner}" was told that it won`);
    }
  } finally {
    // Best effort: a left-over probe is harmless, and must not hide what the race has shown.
    await store.delete(key).catch(() => undefined);
  }
}
