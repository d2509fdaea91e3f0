import { eventIdOf as pipelineEventIdOf, mediaIdOf as pipelineMediaIdOf } from '@weir/contracts';
import { describe, expect, test } from 'vitest';
import { eventIdOf, mediaIdOf, uuidV5 } from './identity.ts';

describe('identities of the oracle', () => {
  test('the example of RFC 9562 comes out', () => {
    expect(uuidV5('6ba7b810-9dad-11d1-80b4-00c04fd430c8', 'www.example.com')).toBe(
      '2ed6657d-e927-568b-95e1-2665a8aea6a2',
    );
  });

  test('the pipeline, written by others, agrees', () => {
    const url = 'http://127.0.0.2:4000/a/7/Pr%C3%BCfbericht.pdf?signature=1';
    expect(pipelineEventIdOf('trace-1')).toBe(eventIdOf('trace-1'));
    expect(pipelineMediaIdOf('trace-1', url)).toBe(mediaIdOf('trace-1', url));
  });
});
