/**
 * The checker is worth what it finds: each guarantee is broken on purpose and must be noticed by its pinned seed, while the same run
 * of the code as it is keeps every promise. Both run side by side.
 */
import { rmSync } from 'node:fs';
import { describe, expect, test } from 'vitest';
import { brokenRun, checkEdits, intactRun, MUTATIONS } from './mutations.ts';
import { describeFailure } from './report.ts';
import { type RunResult, runOnce } from './run.ts';

const ATTEMPTS = 4;

describe.each(MUTATIONS)('$name', (mutation) => {
  test('the text to take out is there, once', () => {
    expect(() => checkEdits(mutation)).not.toThrow();
  });

  test('broken, it is found; as it is, it holds', { timeout: 300_000 }, async () => {
    const [intact, first] = await Promise.all([runOnce(intactRun(mutation)), runOnce(brokenRun(mutation))]);
    expect(intact!.verdict.violations, describeFailure(intact!)).toEqual([]);
    let broken = first;
    // A schedule is exact, the machine under it is not: what needs a window of milliseconds gets a few of them.
    for (let attempt = 1; attempt < ATTEMPTS && rulesOf(broken!).length === 0; attempt++)
      broken = await runOnce(brokenRun(mutation));
    const found = rulesOf(broken!);
    expect(found).not.toEqual([]);
    expect(mutation.breaks).toEqual(expect.arrayContaining(found));
    const report = describeFailure(broken!);
    expect(report).toContain(`BROKEN with seed ${mutation.seed}`);
    expect(report).toContain(`npm run chaos -- --mutation '${mutation.name}' --repeat`);
    rmSync(broken!.folder, { recursive: true, force: true });
  });
});

/** A process that notices by itself that something is wrong, and ends, has not been found by the checker. */
function rulesOf({ verdict }: RunResult): string[] {
  return [...new Set(verdict.violations.map(({ rule }) => rule))].filter((rule) => rule !== 'crash');
}
