/**
 * A tool that a test needs and a machine may lack. Missing, its tests are skipped with one loud line; with
 * WEIR_REQUIRE_REAL=1, as on the build server, they fail instead.
 */
import { expect, test } from 'vitest';

/** @returns whether to skip */
export function skipWithout(tool: string, available: boolean, remedy: string): boolean {
  if (available) return false;
  if (process.env.WEIR_REQUIRE_REAL === '1') {
    test(`${tool} is there`, () => expect.fail(`${tool} is missing and WEIR_REQUIRE_REAL=1: ${remedy}`));
  } else {
    console.warn(`\n!!! SKIPPED: every test with ${tool}, which is missing here: ${remedy}\n`);
  }
  return true;
}
