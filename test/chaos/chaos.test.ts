/**
 * Pinned seeds for every build: real worker processes under faults. More seeds, longer, and any that failed: `npm run chaos`.
 * The seeds are such that each six, and each two on Kafka, have every kind of fault that there is.
 * On real Kafka without one at hand: skipped in one loud line, or failed with WEIR_REQUIRE_REAL=1 (test/support/kafka.ts).
 */

import { seededRandom } from '@weir/core';
import { describe, expect, test } from 'vitest';
import { describeFailure } from './report.ts';
import { type RunOptions, type RunResult, runOnce } from './run.ts';
import { FAULT_NAMES, FAULTS, type FaultName, schedule } from './schedule.ts';
import { SUBJECT_NAMES } from './subjects.ts';

const SECONDS = 9;
const KAFKA_SECONDS = 14;
const SEEDS = [112, 113, 114, 115, 116, 117];
const KAFKA_SEEDS = [203, 204];

function seeded(seed: number, kafka: boolean): RunOptions {
  return { seed, durationMs: (kafka ? KAFKA_SECONDS : SECONDS) * 1_000, subjects: SUBJECT_NAMES, kafka };
}

function holds(result: RunResult): void {
  expect(result.verdict.violations, describeFailure(result)).toEqual([]);
  // A run in which nothing happened proves nothing.
  expect(result.verdict.records).toBeGreaterThan(1_000);
  expect(result.verdict.terms).toBeGreaterThan(12);
}

describe('on the dev broker nothing is lost, inverted, repeated or rewound', () => {
  test.each(SEEDS)('seed %i', { timeout: 300_000 }, async (seed) => {
    holds((await runOnce(seeded(seed, false)))!);
  });
});

describe('on real Kafka neither', () => {
  test.each(KAFKA_SEEDS)('seed %i', { timeout: 300_000 }, async (seed) => {
    const result = await runOnce(seeded(seed, true));
    if (result !== undefined) holds(result);
  });
});

test('a seed gives one schedule, and the pinned seeds together have every fault', () => {
  const of = (seed: number, faults: readonly FaultName[], seconds: number) =>
    schedule(seededRandom(seed), {
      durationMs: seconds * 1_000,
      subjects: SUBJECT_NAMES,
      faults,
      sessionTimeoutMs: 2_000,
    });
  const onKafka = FAULT_NAMES.filter((name) => FAULTS[name].kafka);
  const [first, second] = SEEDS as [number, number];
  expect(of(first, FAULT_NAMES, SECONDS)).toEqual(of(first, FAULT_NAMES, SECONDS));
  expect(of(first, FAULT_NAMES, SECONDS)).not.toEqual(of(second, FAULT_NAMES, SECONDS));
  const seen = new Set(SEEDS.flatMap((seed) => of(seed, FAULT_NAMES, SECONDS).map(({ fault }) => fault)));
  expect(FAULT_NAMES.filter((name) => !seen.has(name))).toEqual([]);
  const seenOnKafka = new Set(
    KAFKA_SEEDS.flatMap((seed) => of(seed, onKafka, KAFKA_SECONDS).map(({ fault }) => fault)),
  );
  expect(onKafka.filter((name) => !seenOnKafka.has(name))).toEqual([]);
});
