import { storeSuite } from './conformance.ts';
import { MemoryStore } from './memory-store.ts';

storeSuite('memory store', async () => {
  const store = new MemoryStore();
  return { store, second: store, dispose: () => store.close() };
});
