/** What can be said about the Dockerfile without building it. */
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, test } from 'vitest';
import { packageNames, ROOT } from '../architecture/tree.ts';

const dockerfile = readFileSync(join(ROOT, 'Dockerfile'), 'utf8');
const instructions = dockerfile
  .replace(/^\s*#.*$/gm, '')
  .replace(/\\\n/g, ' ')
  .split('\n')
  .map((line) => line.trim())
  .filter((line) => line !== '');

describe('the Dockerfile', () => {
  test('copies the manifest of every package, or npm ci would refuse the lock file', () => {
    const copied = instructions.flatMap((line) => /^COPY packages\/([^/]+)\/package\.json /.exec(line)?.[1] ?? []);
    expect(copied.sort()).toEqual([...packageNames()].sort());
  });

  test('needs no BuildKit: no syntax line, heredoc, linked copy or mount', () => {
    expect(dockerfile).not.toMatch(/^#\s*syntax\s*=/im);
    expect(instructions.filter((line) => /<<|--link|--mount|--parents/.test(line))).toEqual([]);
  });

  test('ends in an image that is not root and runs node itself as process 1', () => {
    const last = instructions.slice(instructions.findLastIndex((line) => line.startsWith('FROM ')));
    expect(last).toContain('USER node');
    expect(last).toContain('STOPSIGNAL SIGTERM');
    expect(last).toContain('ENTRYPOINT ["node", "dist/main.js"]');
    expect(last.filter((line) => line.startsWith('RUN '))).toEqual([]);
  });

  test('takes everything from the lock file', () => {
    const installs = instructions.filter((line) => /^RUN .*\bnpm\b/.test(line));
    expect(installs.length).toBeGreaterThan(0);
    expect(installs.filter((line) => !/\bnpm ci\b/.test(line))).toEqual([]);
  });
});
