import { createLogger } from '@weir/core';
import { describe, expect, test } from 'vitest';
import { Owned } from '../delivery/owned.ts';
import { Arrivals } from './arrivals.ts';

function open() {
  const there = new Map([
    ['a', 10],
    ['b', 20],
  ]);
  const held = [...there.keys()].map(
    (topic) => new Owned({ topic, partition: 0 }, { start: 0, committed: -1, order: 'none' }),
  );
  const lines: { code?: string; msg: string }[] = [];
  const arrivals = new Arrivals({
    admin: { offsets: async () => [...there].map(([topic, end]) => ({ topic, partition: 0, start: 0, end })) },
    intake: {
      get: ({ topic }) => held.find((owned) => owned.topic === topic),
      partitions: () => held.values(),
      size: held.length,
    },
    meter: { observeEnd: () => undefined },
    topics: ['a', 'b'],
    log: createLogger({ name: 'test', destination: { write: (line: string) => void lines.push(JSON.parse(line)) } }),
  });
  return { there, held, lines, arrivals };
}

describe('arrivals', () => {
  test('the end of a log is known after a look, and never falls', async () => {
    const { there, held, arrivals } = open();
    await arrivals.look();
    expect(held.map(({ end }) => end)).toEqual([10, 20]);
    there.set('a', 5);
    await arrivals.look();
    expect(held[0]!.end).toBe(10);
  });

  test('a topic that is gone at two looks is named once, with what to do', async () => {
    const { there, lines, arrivals } = open();
    await arrivals.look();
    there.delete('a');
    await arrivals.look();
    expect(lines).toEqual([]);
    for (let looks = 0; looks < 3; looks++) await arrivals.look();
    expect(lines).toHaveLength(1);
    expect(lines[0]).toMatchObject({ code: 'WEIR_TOPIC_MISSING', topics: ['a'] });
    expect(lines[0]!.msg).toContain('weir topics create');
  });

  test('one that came back and went again is named again; one that was away for a moment is not', async () => {
    const { there, lines, arrivals } = open();
    there.delete('a');
    for (let looks = 0; looks < 2; looks++) await arrivals.look();
    there.set('a', 0);
    await arrivals.look();
    there.delete('b');
    await arrivals.look();
    there.set('b', 0);
    there.delete('a');
    for (let looks = 0; looks < 2; looks++) await arrivals.look();
    expect(lines.map((line) => line.msg.includes(': a;'))).toEqual([true, true]);
  });
});
