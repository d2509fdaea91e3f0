import { describe, expect, test } from 'vitest';
import { StoreUnavailableError } from '../errors.ts';
import { MemoryStore } from './memory-store.ts';
import { ScriptedStore } from './scripted-store.ts';

describe('a scripted store', () => {
  test('fails before nothing happened, or after it did, as often as told', async () => {
    const store = new ScriptedStore(new MemoryStore());
    store.fail({ operation: 'put', when: 'before', key: 'a', times: 2 });
    store.fail({ operation: 'put', when: 'after', key: /^b$/, skip: 1 });
    await expect(store.put('a', Buffer.from('1'))).rejects.toBeInstanceOf(StoreUnavailableError);
    await expect(store.put('a', Buffer.from('1'))).rejects.toBeInstanceOf(StoreUnavailableError);
    expect(await store.head('a')).toBeUndefined();
    await store.put('a', Buffer.from('1'));
    await store.put('b', Buffer.from('1'));
    await expect(store.put('b', Buffer.from('2'))).rejects.toBeInstanceOf(StoreUnavailableError);
    expect(Buffer.from(await store.get('b')).toString()).toBe('2');
    expect(store.calls).toMatchObject({ put: 5, get: 1, head: 1 });
  });

  test('an outage lasts until it heals', async () => {
    const store = new ScriptedStore(new MemoryStore());
    store.fail({ operation: 'get', when: 'before', times: Number.POSITIVE_INFINITY });
    for (let call = 0; call < 5; call++) await expect(store.get('a')).rejects.toMatchObject({ transient: true });
    store.heal();
    await expect(store.get('a')).rejects.not.toMatchObject({ transient: true });
  });
});
