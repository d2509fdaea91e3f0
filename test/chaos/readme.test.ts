/** The page beside this says what there is: its tables follow the code. */
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { MUTATIONS } from './mutations.ts';
import { FAULT_NAMES, FAULTS } from './schedule.ts';
import { SUBJECT_NAMES } from './subjects.ts';

const page = readFileSync(join(import.meta.dirname, 'README.md'), 'utf8');

function section(title: string): string {
  return page.split(/^## /m).find((each) => each.startsWith(title)) ?? '';
}

function rowsOf(title: string): string[][] {
  const lines = section(title)
    .split('\n')
    .filter((line) => line.startsWith('| `'));
  return lines.map((line) =>
    line
      .split('|')
      .slice(1, -1)
      .map((cell) => cell.trim()),
  );
}

const namesIn = (text = '') => [...text.matchAll(/`(\w+)`/g)].map((match) => match[1]!);

test('every fault has its row, with whether it is gentle and whether Kafka can have it', () => {
  const rows = rowsOf('Faults');
  expect(rows.flatMap(([names]) => namesIn(names)).sort()).toEqual([...FAULT_NAMES].sort());
  for (const [names, , gentle, kafka] of rows)
    for (const name of namesIn(names))
      expect([name, gentle === 'yes', kafka === 'yes']).toEqual([
        name,
        FAULTS[name as keyof typeof FAULTS].gentle,
        FAULTS[name as keyof typeof FAULTS].kafka,
      ]);
});

test('every worker has its row', () => {
  expect(rowsOf('Who is put').flatMap(([name]) => namesIn(name))).toEqual([...SUBJECT_NAMES]);
});

test('every guarantee that is taken out on purpose is named', () => {
  const text = section('Guarantees').replaceAll(/\s+/g, ' ');
  expect(MUTATIONS.map(({ name }) => name).filter((name) => !text.includes(name))).toEqual([]);
});
