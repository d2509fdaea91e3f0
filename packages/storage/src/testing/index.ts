export { type StoreHarness, storeSuite } from './conformance.ts';
export { MemoryStore } from './memory-store.ts';
export { ScriptedStore, type StoreFault, type StoreOperation } from './scripted-store.ts';
