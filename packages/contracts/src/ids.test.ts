import { expect, test } from 'vitest';
import { eventIdOf, mediaIdOf } from './ids.ts';

// Computed with Python: uuid.uuid5(uuid.uuid5(uuid.NAMESPACE_URL, namespace), name).
test('ids are what any UUIDv5 of the same namespace gives', () => {
  expect(eventIdOf('trace-1')).toBe('6aa189c7-15ce-5ff8-a52a-bda96df0a8bb');
  expect(mediaIdOf('trace-1', 'https://h.example/ä.pdf?x=1')).toBe('06cc9a34-ac58-51d6-a51a-e0cc3890c9a5');
});

test('the query is part of an attachment’s identity', () => {
  expect(mediaIdOf('t', 'https://h.example/a?v=1')).not.toBe(mediaIdOf('t', 'https://h.example/a?v=2'));
});
