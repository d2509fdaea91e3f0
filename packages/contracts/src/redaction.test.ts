import fc from 'fast-check';
import { expect, test } from 'vitest';
import { redactUrlsIn, redactValue } from './redaction.ts';

const secret = 'X-Amz-Signature=TOPSECRET';

test('no depth, key, nested JSON text or JSON escape hides a query string', () => {
  const event = {
    [`https://h.example/k?${secret}`]: 1,
    data: JSON.stringify({ attachments: [`https://h.example/a.pdf?${secret}`] }).replaceAll('/', '\\/'),
    escaped: `{"u":"https://h.example/a\\u003f${secret}"}`,
    blank: `https://h.example/photo 1 of 2.jpg?x=1&${secret}`,
    bare: `//h.example/e?${secret}`,
    list: [[{ note: `see https://u:TOPSECRET@h.example/b#TOPSECRET, and https://h.example/c?${secret}` }]],
    twice: JSON.stringify({ inner: JSON.stringify({ u: `https://h.example/d?${secret}` }) }),
  };
  const redacted = JSON.stringify(redactValue(event));
  expect(redacted).not.toContain('TOPSECRET');
  expect(redacted).toContain('https://h.example/c?[redacted]');
});

test('values without a URL come back as they were', () => {
  fc.assert(
    fc.property(fc.jsonValue(), (value) => {
      fc.pre(!/\/\/|=/.test(JSON.stringify(value)) && !/"\s*[{[]/.test(JSON.stringify(value)));
      expect(JSON.stringify(redactValue(value))).toBe(JSON.stringify(value));
    }),
  );
});

test('something nested without end is cut, not followed', () => {
  let deep: unknown = `https://h.example/?${secret}`;
  for (let level = 0; level < 5000; level++) deep = [deep];
  expect(JSON.stringify(redactValue(deep))).not.toContain('TOPSECRET');
});

test('text that only looks a little like a query stays', () => {
  for (const text of ['why? because=', 'a & b = c', 'R&D', 'is x=1?', '1 + 1 = 2'])
    expect(redactUrlsIn(text)).toBe(text);
});

test('text around a URL stays', () => {
  expect(redactUrlsIn('see https://h.example/a?b=c for more')).toBe('see https://h.example/a?[redacted] for more');
});
