import type { ScalingAnswer } from '@weir/sdk';
import { describe, expect, test } from 'vitest';
import { explanation, planLine } from './explain.ts';

const answer: ScalingAnswer = {
  worker: 'download-worker',
  group: 'xact-download-worker',
  topics: ['xact.downloads.pending'],
  desiredReplicas: 4,
  signalValue: 4,
  reason: 'catch-up',
  why: '302 wait while 41.7/s arrive, and one worker manages 27.4/s: 4 workers clear it within 6 s.',
  running: 1,
  partitions: 24,
  bound: [],
  partitionsNeeded: null,
  heaviest: 0.84,
  backlog: 302,
  lagSeconds: 11.26,
  arrivalPerSecond: 41.7,
  workerPerSecond: 27.4,
  workerBound: 'limit',
  observedAt: 0,
  ageSeconds: 0,
};

describe('the plan in words', () => {
  test('one line', () => {
    expect(planLine(answer)).toBe('download-worker    1 -> 4  catch-up  (302 waiting, 11.3 s old)');
  });

  test('at length', () => {
    expect(explanation(answer).join('\n')).toMatchInlineSnapshot(`
      "download-worker: 4 wanted, 1 running: catch-up
        302 wait while 41.7/s arrive, and one worker manages 27.4/s: 4 workers clear it within 6 s.
        group xact-download-worker reads xact.downloads.pending (24 partitions)
        arriving 41.7/s; one worker manages 27.4/s, bounded by its concurrency limit
        waiting 302 records, the oldest for 11.3 s
        with 4 the heaviest is at 84 % of what it can do
        KEDA reads 4 with target 1"
    `);
  });

  test('a bound partition is named with what would help', () => {
    const bound = [
      { topic: 't', partition: 3, arrivalPerSecond: 9, lanesPerSecond: 4 },
    ] as unknown as ScalingAnswer['bound'];
    expect(explanation({ ...answer, bound, partitionsNeeded: 48 }).join('\n')).toContain(
      't/3 get more than one worker can do',
    );
    expect(explanation({ ...answer, bound, partitionsNeeded: 48 }).join('\n')).toContain('48 partitions would do');
  });
});
