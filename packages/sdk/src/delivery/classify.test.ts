import { describe, expect, test } from 'vitest';
import {
  DependencyDownError,
  HandlerTimeoutError,
  PermanentError,
  ProduceFailedError,
  RecordUnreadableError,
  RetryableError,
} from '../errors.ts';
import { classify, errorLine, isTransient } from './classify.ts';

const withFields = (fields: object) => Object.assign(new Error('x'), fields);

describe('classify', () => {
  test.each([
    ['a connection reset', withFields({ code: 'ECONNRESET' }), 'retry', 'transient'],
    ['a full disk', withFields({ code: 'ENOSPC' }), 'retry', 'transient'],
    [
      'a DNS failure deep inside',
      new TypeError('fetch failed', { cause: withFields({ code: 'EAI_AGAIN' }) }),
      'retry',
      'transient',
    ],
    ['several addresses refused', new AggregateError([withFields({ code: 'ECONNREFUSED' })]), 'retry', 'transient'],
    ['HTTP 503', withFields({ statusCode: 503 }), 'retry', 'transient'],
    ['HTTP 404', withFields({ status: 404 }), 'dead', 'permanent'],
    ['HTTP 401', withFields({ status: 401 }), 'retry-once', 'auth'],
    ['S3 slow down', withFields({ $metadata: { httpStatusCode: 503 } }), 'retry', 'transient'],
    ['kafkajs retriable', withFields({ retriable: true }), 'retry', 'transient'],
    ['an abort timeout', new DOMException('timed out', 'TimeoutError'), 'retry', 'transient'],
    ['the handler’s timeout', new HandlerTimeoutError(5), 'retry', 'transient'],
    ['what a handler calls retryable', new RetryableError('x', { class: 'dependency' }), 'retry', 'dependency'],
    ['what a handler calls permanent', new PermanentError('x', { class: 'expired' }), 'dead', 'expired'],
    ['an unreadable record', new RecordUnreadableError('x'), 'dead', 'poison'],
    ['a send too large for the broker', new ProduceFailedError('t', 'x', { tooLarge: true }), 'dead', 'permanent'],
    ['a bug', new TypeError('x is not a function'), 'retry', 'poison'],
    ['a thrown string', 'oops', 'retry', 'poison'],
    ['nothing at all', undefined, 'retry', 'poison'],
  ])('%s', (_, error, kind, errorClass) => {
    expect(classify(error)).toMatchObject({ kind, class: errorClass });
  });

  test('an open breaker is its own meaning', () => {
    expect(classify(new DependencyDownError('hosts', 'a'))).toEqual({
      kind: 'dependency-down',
      dependency: 'hosts',
      key: 'a',
    });
  });

  test('causes that go in a circle end', () => {
    const error = new Error('round');
    error.cause = error;
    expect(classify(error)).toMatchObject({ kind: 'retry', class: 'poison' });
  });

  test('only what says something about the callee counts against it', () => {
    expect(isTransient(withFields({ code: 'ECONNREFUSED' }))).toBe(true);
    expect(isTransient(withFields({ status: 404 }))).toBe(false);
    expect(isTransient(new TypeError('bug'))).toBe(false);
  });

  test('the line for headers and logs has no secrets', () => {
    const line = errorLine(new Error('GET https://u:p@host/x?sig=abc failed', { cause: new Error('token=hunter2') }));
    expect(line).not.toMatch(/u:p|sig=abc|hunter2/);
    expect(line).toContain('https://host/x');
  });
});
