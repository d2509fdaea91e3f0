import { describe, expect, test } from 'vitest';
import { cutBytes, failureHeaders, HEADER, plainHeaders, readStory, storyHeaders } from './headers.ts';

describe('story', () => {
  const headers = failureHeaders({
    group: 'xact-w',
    attempt: 2,
    replays: 1,
    parked: 3,
    firstSeen: 1_700_000_000_000,
    origin: 'xact.t/1/42',
    errorClass: 'transient',
    error: 'busy',
    dueAt: 1_700_000_300_000,
  });

  test('what is written is read back, as text or as bytes', () => {
    const bytes = Object.fromEntries(Object.entries(headers).map(([name, text]) => [name, Buffer.from(text)]));
    for (const form of [headers, bytes])
      expect(readStory(form)).toEqual({
        group: 'xact-w',
        attempt: 2,
        replays: 1,
        parked: 3,
        firstSeen: 1_700_000_000_000,
        origin: 'xact.t/1/42',
      });
  });

  test('numbers that are none count as nothing told', () => {
    expect(
      readStory({ [HEADER.group]: 'g', [HEADER.attempt]: '-1', [HEADER.replays]: '1e9', [HEADER.firstSeen]: 'x' }),
    ).toMatchObject({ attempt: 0, replays: 0, firstSeen: undefined });
  });

  test('plain headers and story headers share nothing', () => {
    const mixed = { ...headers, traceparent: '00-1', mine: ['a', 'b'] };
    expect(plainHeaders(mixed)).toEqual({ traceparent: '00-1', mine: 'a' });
    expect(Object.keys(storyHeaders(mixed))).toHaveLength(Object.keys(headers).length);
  });

  test('a long error is cut within 1 KiB and never within a character', () => {
    const cut = cutBytes('é'.repeat(1000), 1023);
    expect(Buffer.byteLength(cut)).toBe(1022);
    expect(cut).not.toContain('\ufffd');
  });
});
