import { DownloadResult } from '@weir/contracts';
import type { DeadLetterReason } from '@weir/sdk';
import { expect, test } from 'vitest';
import { taskOf } from './download.fixture.ts';
import { HttpStatusError } from './errors.ts';
import { outcomeOf } from './outcome.ts';
import { failed } from './result.ts';

const task = taskOf('https://h.example/f.pdf?sig=TOPSECRET');
const about = { attempts: 1, replays: 0, firstSeenAt: 5, now: 10 };
const reason = (over: Partial<DeadLetterReason>): DeadLetterReason => ({
  class: 'transient',
  message: 'm',
  attempts: 5,
  cause: undefined,
  exhausted: true,
  ...over,
});

test.each([
  [true, 'transient', 'failed'],
  [true, 'poison', 'failed'],
  [true, 'dependency', 'failed'],
  [false, 'permanent', 'failed_permanent'],
  [false, 'expired', 'failed_permanent'],
  [true, 'auth', 'failed_permanent'],
] as const)('exhausted %s, class %s is %s', (exhausted, errorClass, status) => {
  expect(failed(task, reason({ exhausted, class: errorClass }), about).status).toBe(status);
});

test('the status of the last answer is found behind the outcome', () => {
  const cause = outcomeOf(new HttpStatusError('h.example', 503));
  expect(failed(task, reason({ cause }), about).httpStatus).toBe(503);
});

test('a message is bounded, well formed and without secrets, and the result matches its schema', () => {
  const message = `see https://h.example/x?sig=TOPSECRET ${'\ud83d\ude00'.repeat(400)}`;
  const result = failed(task, reason({ message }), about);
  expect(DownloadResult.safeParse(result).success).toBe(true);
  expect(JSON.stringify(result)).not.toContain('TOPSECRET');
  expect(result.errorMessage!.length).toBeLessThanOrEqual(500);
});
