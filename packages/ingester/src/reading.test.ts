import { eventIdOf } from '@weir/contracts';
import { describe, expect, test } from 'vitest';
import { eventOf } from './event.fixture.ts';
import { readEvent } from './reading.ts';

describe('an event read', () => {
  test('has its time in UTC, its day, its subtype and an id of its own', () => {
    const reading = readEvent(eventOf());
    expect(reading).toMatchObject({
      happenedAt: Date.UTC(2026, 10, 22, 1, 30, 0, 123),
      day: '2026-11-22',
      statusSubtype: 'documentsReceived',
      eventId: eventIdOf('trace-1'),
      assignmentId: 'A-1',
    });
    expect(readEvent(eventOf({ eventId: 'mine' })).eventId).toBe('mine');
  });

  test('takes data as JSON text like data as an object', () => {
    const data = { assignmentId: 'A-1', attachments: ['https://h.example/a'] };
    const { event: _, ...asText } = readEvent(eventOf({ data: JSON.stringify(data) }));
    const { event: __, ...asObject } = readEvent(eventOf({ data }));
    expect(asText).toEqual(asObject);
  });

  test('may have neither attachments nor assignment', () => {
    expect(readEvent(eventOf({ data: undefined }))).toMatchObject({ attachments: [], skipped: [] });
    expect(readEvent(eventOf({ data: { attachments: null, assignmentId: ' ' } })).assignmentId).toBeUndefined();
  });

  test('counts each attachment that makes no task, and why', () => {
    const attachments = ['https://h.example/a', ' https://h.example/a ', 7, null, '', 'https://h.example/b'];
    const withAssignment = readEvent(eventOf({ data: { assignmentId: 'A', attachments } }));
    expect(withAssignment.attachments).toEqual(['https://h.example/a', 'https://h.example/b']);
    expect(withAssignment.skipped).toEqual(['duplicate', 'not-text', 'not-text']);
    const without = readEvent(eventOf({ data: { attachments } }));
    expect(without.skipped.filter((reason) => reason === 'no-assignment')).toHaveLength(2);
  });

  test('takes one URL that is not in a list for a list of one', () => {
    expect(readEvent(eventOf({ data: { attachments: 'https://h.example/a' } })).attachments).toHaveLength(1);
  });
});

test.each([
  ['an unreadable date', { utcDateTime: 'yesterday' }, 'utcDateTime'],
  ['data that is not JSON', { data: '{"a":' }, 'data'],
  ['data that is a list', { data: '[1]' }, 'data'],
])('%s is poison and names the field', (_, over, field) => {
  expect(() => readEvent(eventOf(over))).toThrow(
    expect.objectContaining({ class: 'poison', message: expect.stringContaining(field) }),
  );
});
