import { readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { refresh } from './reference.ts';

const README = join(import.meta.dirname, '..', 'README.md');

test('the README tells the APIs, settings and errors that there are (UPDATE_README=1 writes it anew)', async () => {
  const readme = await readFile(README, 'utf8');
  if (process.env.UPDATE_README === '1') await writeFile(README, refresh(readme));
  expect(await readFile(README, 'utf8')).toBe(refresh(readme));
});
