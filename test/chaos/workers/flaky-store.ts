/** A store that is out of reach while a file exists: what the runner switches from outside. */
import { existsSync } from 'node:fs';
import { type ObjectStore, StoreUnavailableError } from '@weir/storage';

export function whileAbsent(store: ObjectStore, flag: string): ObjectStore {
  const guarded = new Set<PropertyKey>(['get', 'head', 'put', 'putStream', 'delete']);
  return new Proxy(store, {
    get(target, name) {
      const member: unknown = Reflect.get(target, name, target);
      if (typeof member !== 'function') return member;
      if (!guarded.has(name)) return member.bind(target);
      return async (...given: unknown[]) => {
        if (existsSync(flag)) throw new StoreUnavailableError(target.location, `${String(name)}, made to fail,`);
        return Reflect.apply(member, target, given);
      };
    },
  });
}
