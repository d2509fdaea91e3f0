import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { pathToFileURL } from 'node:url';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { openTableAt } from './open-at.ts';
import { readRows } from './table.ts';

const spec = {
  name: 'things',
  columns: [{ name: 'id', type: 'string', nullable: false }],
  partitionBy: [],
  key: ['id'],
} as const;
let root: string;
beforeAll(async () => {
  root = await mkdtemp(join(tmpdir(), 'weir-open-at-'));
});
afterAll(() => rm(root, { recursive: true, force: true }));

test('a table is made in a folder of its name, and opened again from the same URL', async () => {
  const url = pathToFileURL(join(root, 'tables')).href;
  const first = await openTableAt(url, { spec, create: true, createIfMissing: true });
  await first.table.append([{ rows: [{ row: { id: 'a' } }] }]);
  expect(first.table.location).toBe(`${first.store.location}/things`);
  await first.table.close();
  await first.store.close();
  const second = await openTableAt(url, { spec });
  expect(await readRows(second.table)).toEqual([{ id: 'a' }]);
});

test('what cannot be opened is told, and may be tried again', async () => {
  await writeFile(join(root, 'file'), '');
  const url = pathToFileURL(join(root, 'file')).href;
  const options = { spec, create: true, createIfMissing: true };
  await expect(openTableAt(url, options)).rejects.toMatchObject({ code: 'WEIR_STORE_BUCKET_MISSING' });
  await rm(join(root, 'file'));
  const { table } = await openTableAt(url, options);
  expect(table.version).toBe(0);
});
