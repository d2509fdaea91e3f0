import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { blobPathOf, safePart } from './blob-path.ts';
import { mediaIdOf } from './ids.ts';

const anything = fc.oneof(
  fc.string({ unit: 'binary', maxLength: 400 }),
  fc.string({ unit: 'grapheme', maxLength: 300 }),
  fc.constantFrom('..', '.', '...', '/', '\\', 'a/../b', '\u0000', ' ', '\u202Egpj.exe', '\ud800', 'x'.repeat(1000)),
);
const partOf = {
  statusSubtype: 'documentsReceived',
  assignmentId: 'A-1',
  traceId: 't-1',
  mediaId: mediaIdOf('t', 'u'),
};

describe('a blob path', () => {
  test('is subtype, assignment, trace and a unique file name', () => {
    const url = 'https://h.example/files/Roof%20photo%201.JPG?X-Amz-Signature=s';
    const mediaId = '0123abcd-0000-5000-8000-000000000000';
    expect(blobPathOf({ ...partOf, mediaId, url })).toBe('documentsReceived/A-1/t-1/0123abcd_Roof photo 1.JPG');
  });

  test('has four harmless parts whatever it is made of', () => {
    fc.assert(
      fc.property(anything, anything, anything, anything, fc.boolean(), (subtype, assignment, trace, file, asQuery) => {
        const escaped = encodeURIComponent(file.toWellFormed());
        const url = asQuery ? `https://h.example/d?filename=${escaped}` : `https://h.example/${escaped}`;
        const path = blobPathOf({
          statusSubtype: subtype,
          assignmentId: assignment,
          traceId: trace,
          mediaId: mediaIdOf(trace.toWellFormed(), url),
          url,
        });
        const parts = path.split('/');
        expect(parts).toHaveLength(4);
        for (const part of parts) {
          expect(part).not.toMatch(/^\.*$/);
          expect(part).not.toMatch(/[\\\p{Cc}\p{Cs}]/u);
          expect(part.isWellFormed()).toBe(true);
          expect(Buffer.byteLength(part)).toBeLessThanOrEqual(180);
          expect(part).toBe(part.trim());
        }
        expect(parts[3]).toMatch(/^[0-9a-f]{8}_./);
      }),
      { numRuns: 2000 },
    );
  });

  test('differs for two URLs of one file name in one event', () => {
    fc.assert(
      fc.property(fc.webUrl(), fc.webUrl(), (first, second) => {
        fc.pre(first !== second);
        const one = mediaIdOf('t', first);
        const two = mediaIdOf('t', second);
        fc.pre(one.slice(0, 8) !== two.slice(0, 8));
        const url = 'https://h.example/photo.jpg';
        expect(blobPathOf({ ...partOf, mediaId: one, url })).not.toBe(blobPathOf({ ...partOf, mediaId: two, url }));
      }),
    );
  });

  test('keeps the extension of a name that is too long', () => {
    const url = `https://h.example/${encodeURIComponent('名'.repeat(200))}.pdf`;
    const file = blobPathOf({ ...partOf, url }).split('/')[3]!;
    expect(file.endsWith('.pdf')).toBe(true);
    expect(Buffer.byteLength(file)).toBeLessThanOrEqual(180);
  });

  test('has a name for a URL that has none, and for what is no URL', () => {
    expect(blobPathOf({ ...partOf, url: 'https://h.example/' })).toMatch(/_file$/);
    expect(blobPathOf({ ...partOf, url: '??' })).toMatch(/_file$/);
  });

  test('cannot be led out by an encoded separator', () => {
    expect(blobPathOf({ ...partOf, url: 'https://h.example/..%2F..%2Fetc%2Fpasswd' })).toMatch(
      /\/[0-9a-f]{8}_\.\._\.\._etc_passwd$/,
    );
  });
});

test('a part of dots or nothing becomes underscores', () => {
  expect([safePart(''), safePart('.'), safePart('..'), safePart(' ... ')]).toEqual(['_', '_', '__', '___']);
});

test('two ways to write one character give one path', () => {
  expect(safePart('Cafe\u0301')).toBe(safePart('Caf\u00e9'));
});
