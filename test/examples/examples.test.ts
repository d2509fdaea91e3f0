/**
 * The examples say how to run them and what is seen then, in their first comment. Here the very command is run, in a
 * shell, and its standard output compared; `…` stands for what differs from run to run.
 */
import { execFile } from 'node:child_process';
import { readdirSync, readFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { promisify } from 'node:util';
import { describe, expect, test } from 'vitest';
import { scan } from '../architecture/source-text.ts';
import { ROOT } from '../architecture/tree.ts';

const run = promisify(execFile);
const examples = readdirSync(join(ROOT, 'examples')).filter((name) => name.endsWith('.ts'));

/** Indented lines after a line that is `heading:` only. */
function block(comment: string, heading: string): string[] {
  const lines = comment.split('\n').map((line) => line.replace(/^\s*\*? ?/, ''));
  const start = lines.indexOf(`${heading}:`);
  const block: string[] = [];
  for (const line of lines.slice(start + 1)) {
    if (!line.startsWith('  ')) break;
    block.push(line.slice(2));
  }
  return start < 0 ? [] : block;
}

// the Node and the weir of this repository, as a shell in it would find them; and no broker but the example's own
const { KAFKA_BROKERS: _, ...inherited } = process.env;
const environment = {
  ...inherited,
  PATH: `${join(ROOT, 'node_modules', '.bin')}:${dirname(process.execPath)}:${process.env.PATH}`,
};

const asPattern = (line: string) =>
  new RegExp(
    `^${line
      .split('…')
      .map((part) => part.replace(/[.*+?^${}()|[\]\\]/g, '\\$&'))
      .join('.*')}$`,
  );

describe('examples', () => {
  test('are numbered, have one idea in at most 120 lines, and are listed in their README', () => {
    const readme = readFileSync(join(ROOT, 'examples', 'README.md'), 'utf8');
    for (const name of examples) {
      expect(name).toMatch(/^\d\d-[a-z-]+\.ts$/);
      expect(readFileSync(join(ROOT, 'examples', name), 'utf8').split('\n').length, name).toBeLessThanOrEqual(121);
      expect(readme).toContain(`(${name})`);
    }
  });

  test.each(examples)('%s: what it says you will see is what is seen', async (name) => {
    const [comment] = scan(readFileSync(join(ROOT, 'examples', name), 'utf8')).comments;
    const command = block(comment!.value, 'Run').join('\n');
    const expected = block(comment!.value, 'You will see');
    expect(command).toContain(`examples/${name}`);
    expect(expected.length).toBeGreaterThan(0);
    const { stdout } = await run('bash', ['-c', `set -o pipefail; ${command}`], {
      cwd: ROOT,
      timeout: 60_000,
      env: environment,
    });
    // a worker's log is no output of the example
    const seen = stdout
      .trimEnd()
      .split('\n')
      .filter((line) => !line.startsWith('{"level":'));
    // several partitions, so the order of lines is not promised
    const unexplained = seen.filter((line) => !expected.some((each) => asPattern(each).test(line)));
    const missing = expected.filter((each) => !seen.some((line) => asPattern(each).test(line)));
    expect({ unexplained, missing }).toEqual({ unexplained: [], missing: [] });
    expect(seen).toHaveLength(expected.length);
  }, 90_000);
});
