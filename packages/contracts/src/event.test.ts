import { describe, expect, test } from 'vitest';
import { dataOf, Event, statusSubtypeOf } from './event.ts';

const least = { type: 'a.b.c', version: 1, utcDateTime: '2026-11-21T12:00:00Z', traceId: 't-1' };

describe('the event schema', () => {
  test('takes the least an event must have and keeps what it does not know', () => {
    expect(Event.parse({ ...least, extra: { deep: [1] } })).toEqual({ ...least, extra: { deep: [1] } });
  });

  test('trims text, and takes blank and null for missing', () => {
    const parsed = Event.parse({ ...least, traceId: ' t-1 ', eventId: '  ', data: null });
    expect(parsed.traceId).toBe('t-1');
    expect(parsed.eventId).toBeUndefined();
    expect(Event.parse({ ...least, eventId: null }).eventId).toBeUndefined();
  });

  test.each(['type', 'version', 'utcDateTime', 'traceId'])('refuses an event without %s, and names it', (field) => {
    const without = Event.safeParse({ ...least, [field]: undefined });
    const blank = Event.safeParse({ ...least, [field]: ' ' });
    expect(without.error?.issues[0]?.path).toEqual([field]);
    expect(blank.error?.issues[0]?.path).toEqual([field]);
  });

  test('refuses data that is neither an object nor text', () => {
    expect(Event.safeParse({ ...least, data: [1] }).success).toBe(false);
    expect(Event.safeParse({ ...least, data: 7 }).success).toBe(false);
  });
});

describe('data', () => {
  test('is the same as an object and as JSON text', () => {
    expect(dataOf({ data: '{"assignmentId":"A"}' })).toEqual(dataOf({ data: { assignmentId: 'A' } }));
  });

  test('may be absent, null or blank', () => {
    expect([dataOf({}), dataOf({ data: null }), dataOf({ data: ' ' }), dataOf({ data: 'null' })]).toEqual([
      {},
      {},
      {},
      {},
    ]);
  });

  test.each(['{"a":', 'hello', '[1]', '7'])('%s as text is poison', (data) => {
    expect(() => dataOf({ data })).toThrow(expect.objectContaining({ code: 'WEIR_PERMANENT', class: 'poison' }));
  });
});

test.each([
  ['verisk.claims.property.xn.documentsReceived', 'documentsReceived'],
  ['plain', 'plain'],
  ['ends.with.', 'with'],
  ['...', 'unknown'],
])('status subtype of %s is %s', (type, subtype) => {
  expect(statusSubtypeOf(type)).toBe(subtype);
});
