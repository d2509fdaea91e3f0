/** The README's hello world and its test, run as they are pasted. */
import { execFile, spawn } from 'node:child_process';
import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import { afterAll, beforeAll, expect, test } from 'vitest';

const root = fileURLToPath(new URL('../..', import.meta.url));
const blocks = new Map<string, string>();
let folder = '';

beforeAll(async () => {
  const readme = await readFile(join(root, 'README.md'), 'utf8');
  for (const [, code] of readme.matchAll(/```ts\n([\s\S]*?)```/g)) {
    const name = /^\/\/ (\S+)\n/.exec(code!)?.[1];
    if (name) blocks.set(name, code!);
  }
  // Within the repository, so that its packages resolve as they do for somebody who pastes.
  folder = await mkdtemp(join(root, 'test/docs/pasted-'));
  for (const [name, code] of blocks) await writeFile(join(folder, name), code);
});
afterAll(() => rm(folder, { recursive: true, force: true }));

const codeLines = (name: string) =>
  blocks
    .get(name)!
    .split('\n')
    .filter((line) => line.trim() !== '' && !line.startsWith('//')).length;

test('a worker is under 20 lines, its test under 10', () => {
  expect(codeLines('sorter.ts')).toBeLessThan(20);
  expect(codeLines('sorter.test.ts')).toBeLessThan(10);
});

test('the worker runs as pasted', async () => {
  const weir = spawn(
    process.execPath,
    ['--conditions=source', 'packages/cli/src/main.ts', 'dev', join(folder, 'sorter.ts')],
    {
      cwd: root,
      stdio: ['pipe', 'pipe', 'inherit'],
    },
  );
  const readme = await readFile(join(root, 'README.md'), 'utf8');
  const input = /printf '([^']*)' \| npx weir dev/.exec(readme)![1]!.replaceAll('\\n', '\n');
  weir.stdin.end(input);
  let output = '';
  for await (const chunk of weir.stdout) output += chunk;
  expect(output).toContain('orders.big  {"id":"o-1","total":250}');
  expect(output).not.toContain('orders.big  {"id":"o-2"');
  expect(output).toMatch(/dead letter {2}not json/);
});

test('its test passes as pasted', async () => {
  const vitest = join(root, 'node_modules/vitest/vitest.mjs');
  const { stdout } = await promisify(execFile)(process.execPath, [vitest, 'run', folder], {
    cwd: root,
    env: { ...process.env, NO_COLOR: '1' },
  }).catch((error: { stdout: string; stderr: string }) => ({ stdout: `${error.stdout}${error.stderr}` }));
  expect(stdout).toMatch(/Tests {2}1 passed/);
});
