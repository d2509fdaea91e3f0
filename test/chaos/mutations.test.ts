/**
 * The checker is worth what it finds: each guarantee is broken on purpose and must be noticed by its pinned seed, while the same run
 * of the code as it is keeps every promise. Both run side by side.
 */
import { describe, expect, test } from 'vitest';
import { brokenRun, checkEdits, intactRun, MUTATIONS } from './mutations.ts';
import { describeFailure } from './report.ts';
import { type RunResult, runOnce } from './run.ts';

const ATTEMPTS = 3;

describe.each(MUTATIONS)('$name', (mutation) => {
  test('the text to take out is there, once', () => {
    expect(() => checkEdits(mutation)).not.toThrow();
  });

  test('broken, it is found; as it is, it holds', { timeout: 150_000 }, async () => {
    const [intact, first] = await Promise.all([runOnce(intactRun(mutation)), runOnce(brokenRun(mutation))]);
    expect(intact!.verdict.violations, describeFailure(intact!)).toEqual([]);
    let found = rulesOf(first!);
    // A schedule is exact, the machine under it is not: what needs a window of milliseconds gets a few of them.
    for (let attempt = 1; attempt < ATTEMPTS && found.length === 0; attempt++)
      found = rulesOf((await runOnce(brokenRun(mutation)))!);
    expect(mutation.breaks).toEqual(expect.arrayContaining(found.filter((rule) => rule !== 'crash')));
    expect(found.filter((rule) => rule !== 'crash')).not.toEqual([]);
  });
});

function rulesOf({ verdict }: RunResult): string[] {
  return [...new Set(verdict.violations.map(({ rule }) => rule))];
}
