/**
 * No table trusts a store that was not tried: one that lets two writers create the same version loses commits without a
 * word. Tried once for each store, when a table may be made or before the first append; a reader never writes.
 */
import type { ObjectStore } from '@weir/storage';

const tried = new WeakMap<ObjectStore, Promise<void>>();

/** @throws StoreNotAtomicError, and what the store throws when it cannot be reached (then it is tried again next time) */
export function trust(store: ObjectStore): Promise<void> {
  let trial = tried.get(store);
  if (!trial) {
    trial = store.probe();
    tried.set(store, trial);
    trial.catch(() => tried.delete(store));
  }
  return trial;
}
