import { deadLetters } from '@weir/contracts';
import { HEADER } from '@weir/sdk';
import { describe, expect, test } from 'vitest';
import { letterId, letterOf, parseLetterId, parsePlace } from './letter.ts';
import { letterFromRow, letterRow } from './row.ts';

const record = { topic: 'xact.a.dlq', partition: 2, offset: 9, key: 'k', value: Buffer.from('abc'), timestamp: 5_000 };
const story = {
  [HEADER.origin]: 'xact.one/1/42',
  [HEADER.replays]: '3',
  [HEADER.errorClass]: 'expired',
  [HEADER.error]: 'see https://h.example/x?sig=TOPSECRET',
  [HEADER.attempt]: '5',
  [HEADER.firstSeen]: '4000',
};

describe('a letter', () => {
  test('tells the story of its headers, without secrets', () => {
    expect(letterOf(record, 'a', story)).toEqual({
      id: 'a:xact.one/1/42#3',
      worker: 'a',
      origin: { topic: 'xact.one', partition: 1, offset: 42 },
      dlq: { topic: 'xact.a.dlq', partition: 2, offset: 9 },
      replays: 3,
      state: 'dead',
      errorClass: 'expired',
      error: 'see https://h.example/x?[redacted]',
      attempts: 5,
      firstSeen: 4_000,
      failedAt: 5_000,
      changedAt: 5_000,
      key: 'k',
      bytes: 3,
    });
  });

  test('without headers, or with nonsense in them, is known by its own place', () => {
    const expected = { id: 'a:xact.a.dlq/2/9#0', errorClass: 'poison', attempts: 0, firstSeen: 5_000 };
    expect(letterOf(record, 'a', {})).toMatchObject(expected);
    const nonsense = Object.fromEntries(Object.keys(story).map((name) => [name, '../../-1']));
    expect(letterOf(record, 'a', nonsense)).toMatchObject(expected);
  });

  test('with counts beyond 32 bits still fits the table', () => {
    const huge = letterOf(record, 'a', {
      ...story,
      [HEADER.attempt]: '999999999999',
      [HEADER.replays]: '999999999999',
    });
    expect(huge).toMatchObject({ attempts: 0x7fffffff, replays: 0x7fffffff });
  });

  test('becomes a row with every column and comes back the same', () => {
    const letter = letterOf(record, 'a', story);
    const row = letterRow(letter);
    expect(new Set(Object.keys(row))).toEqual(new Set(deadLetters.columns.map((column) => column.name)));
    expect(letterFromRow(row)).toEqual(letter);
    const read = { ...row, first_seen: new Date(4_000), failed_at: new Date(5_000), changed_at: new Date(5_000) };
    expect(letterFromRow(read)).toEqual(letter);
  });
});

test('an id names worker, origin and life, and is read back', () => {
  const origin = { topic: 'xact.one', partition: 1, offset: 42 };
  expect(parseLetterId(letterId('a', origin, 3))).toEqual({ worker: 'a', origin, replays: 3 });
  for (const id of ['', 'a', 'a:b', 'a:b/1#0', 'a:b/1/2', 'A:b/1/2#0', 'a:b/x/2#0']) {
    expect(() => parseLetterId(id), id).toThrow(expect.objectContaining({ code: 'WEIR_DEAD_LETTER_ID_INVALID' }));
  }
});

test('a place is topic, partition and offset, and nothing else', () => {
  expect(parsePlace('a.b/1/2')).toEqual({ topic: 'a.b', partition: 1, offset: 2 });
  for (const text of [undefined, '', 'a/1', 'a/1/2/3', 'a b/1/2', 'a/-1/2', '/1/2'])
    expect(parsePlace(text)).toBeUndefined();
});
