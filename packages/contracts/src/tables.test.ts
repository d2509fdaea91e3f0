import { expect, test } from 'vitest';
import { deadLetters, TABLES, xactAttachments, xactEvents } from './tables.ts';

test.each(
  TABLES.map((table) => [table.name, table] as const),
)('%s: key and partition columns exist and are never null', (_, table) => {
  const required = new Set(table.columns.filter((column) => !column.nullable).map((column) => column.name));
  for (const name of [...table.key, ...table.partitionBy]) expect(required, name).toContain(name);
  expect(new Set(table.columns.map((column) => column.name)).size).toBe(table.columns.length);
});

test('the keys are what docs/contracts.md says', () => {
  expect(xactEvents.key).toEqual(['event_id']);
  expect(xactAttachments.key).toEqual(['media_id', 'replays']);
});

test('a change of a dead letter’s state, and its next life, are rows of their own', () => {
  expect(deadLetters.key).toEqual(expect.arrayContaining(['state', 'replays', 'worker']));
});
