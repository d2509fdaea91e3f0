import { expect, test } from 'vitest';
import { findAheadOfLog } from './positions.ts';

const at = (partition: number, committed: number, logEnd: number, topic = 't') => ({
  topic,
  partition,
  committed,
  logStart: 0,
  logEnd,
});
const table = (offsets: Record<string, number>) => ({
  spec: { name: 'rows' },
  positions: async (topic: string, partitions: readonly number[], epoch: string) =>
    new Map(
      partitions.flatMap((each): [number, number][] => {
        const offset = offsets[`${topic}/${each}/${epoch}`];
        return offset === undefined ? [] : [[each, offset]];
      }),
    ),
});

test('a table that agrees with the log, or knows nothing of it, is fine', async () => {
  expect(await findAheadOfLog(table({}), [at(0, -1, 0), at(1, -1, 100)], 0)).toBeUndefined();
  expect(await findAheadOfLog(table({ 't/0/0': 99 }), [at(0, 50, 100)], 0)).toBeUndefined();
});

test('a table ahead of the end of the log is told: the topic was made anew', async () => {
  expect(await findAheadOfLog(table({ 't/1/0': 100 }), [at(0, 1, 5), at(1, 50, 100)], 0)).toEqual({
    table: 'rows',
    topic: 't',
    partition: 1,
    epoch: '0',
    tableOffset: 100,
    logEnd: 100,
    committed: 50,
  });
});

test('a table that knows a partition without any commit is told: the group’s offsets are gone', async () => {
  expect(await findAheadOfLog(table({ 'u/0/0': 3 }), [at(0, -1, 100), at(0, -1, 100, 'u')], 0)).toMatchObject({
    topic: 'u',
    tableOffset: 3,
    committed: undefined,
  });
});

test('another epoch starts over', async () => {
  expect(await findAheadOfLog(table({ 't/0/0': 500 }), [at(0, -1, 10)], 1)).toBeUndefined();
});
