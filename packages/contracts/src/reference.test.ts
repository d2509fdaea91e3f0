/** To bring the page up to date: `npx vitest run packages/contracts/src/reference.test.ts --update`. */
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { contractsMarkdown } from './reference.ts';

test('docs/contracts.md says what the code says', async () => {
  await expect(contractsMarkdown()).toMatchFileSnapshot(join(import.meta.dirname, '../../../docs/contracts.md'));
});

test('every field and column says what it means', () => {
  expect(contractsMarkdown()).not.toMatch(/\| \|$/m);
});
