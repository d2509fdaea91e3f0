/** A table and the store it is in, opened together: what a service does with the one URL it is given. */
import { type ObjectStore, type OpenStoreOptions, openStore } from '@weir/storage';
import { type OpenTableOptions, openTable, type Table } from './table.ts';

export interface OpenTableAtOptions extends OpenStoreOptions, Omit<OpenTableOptions, 'store' | 'path'> {}

/**
 * The table is a folder of the store, named as its spec. Close both: the table first, then the store.
 * @param url  of the store: `file:///folder` or `s3://bucket/prefix`
 * @throws what `openStore` and `openTable` throw; nothing stays open then, so the caller may try again
 */
export async function openTableAt(
  url: string,
  options: OpenTableAtOptions,
): Promise<{ readonly store: ObjectStore; readonly table: Table }> {
  const store = await openStore(url, options);
  try {
    return { store, table: await openTable({ ...options, store, path: options.spec.name }) };
  } catch (error) {
    await store.close().catch(() => undefined);
    throw error;
  }
}
