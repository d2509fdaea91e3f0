import { expect, test } from 'vitest';
import { fixedTuner } from './tuner.ts';

test('a fixed tuner keeps its limit and counts as settled, whatever it sees', () => {
  const tuner = fixedTuner(7);
  for (let at = 0; at < 100; at++) tuner.observe(1, 10, at % 2 === 0);
  expect(tuner).toMatchObject({ limit: 7, proven: true });
});
