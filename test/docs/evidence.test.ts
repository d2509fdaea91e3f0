/** docs/delivery.md and docs/rebalances.md point to what shows their claims: the facts, rules and faults they name exist. */
import { execFileSync } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { expect, test } from 'vitest';
import { encodeSkipMap } from '../../packages/sdk/src/delivery/skip-map.ts';
import { METADATA_LIMIT } from '../../packages/sdk/src/metadata.ts';
import { FAULT_NAMES } from '../chaos/schedule.ts';

const root = fileURLToPath(new URL('../..', import.meta.url));
const read = (name: string) => readFileSync(join(root, name), 'utf8');
const PAGES = ['docs/delivery.md', 'docs/rebalances.md'];

/** Prose of the pages, without pictures, a line break as good as a space. */
const prose = PAGES.map((page) =>
  read(page)
    .replace(/```[\s\S]*?```/g, '')
    .replace(/\s+/g, ' '),
).join(' ');

/** Every file that has tests, as one text. */
const tests = execFileSync('git', ['ls-files', '-z', '*.test.ts', 'test/**/*.ts', 'packages/**/testing/*.ts'], {
  cwd: root,
  encoding: 'utf8',
})
  .split('\0')
  .filter((name) => name !== '' && !name.endsWith('evidence.test.ts'))
  .map(read)
  .join('\n');

test('a fact in quotation marks is the name of a test', () => {
  const quoted = [...prose.matchAll(/"([^"]*)"/g)].map((match) => match[1]!.replace(/…$/, ''));
  const facts = quoted.filter((text) => text.includes(' '));
  expect(facts.length).toBeGreaterThan(10);
  expect(facts.filter((fact) => !tests.includes(fact))).toEqual([]);
});

test('a rule of the chaos checker, or a fault, has that name', () => {
  const named = (kind: string) =>
    [...prose.matchAll(new RegExp(`\\b${kind}s? ((?:\`[\\w-]+\`(?:,| and)? ?)+)`, 'g'))].flatMap((match) =>
      [...match[1]!.matchAll(/`([\w-]+)`/g)].map((each) => each[1]!),
    );
  const rules = [...read('test/chaos/checker.ts').matchAll(/^ \* {3}([a-z-]+) {2,}\S/gm)].map((match) => match[1]!);
  expect(rules).toContain('early-commit');
  expect(named('rule').filter((rule) => !rules.includes(rule))).toEqual([]);
  expect(named('rule').length).toBeGreaterThan(5);
  expect(named('fault').filter((fault) => !FAULT_NAMES.some((name) => name === fault))).toEqual([]);
  expect(named('fault').length).toBeGreaterThan(3);
});

test('the picture of a commit has the skip map that its offsets give', () => {
  const picture = read('docs/images/watermark.svg');
  expect(picture).toContain('o=101');
  expect(picture).toContain(`k=${encodeSkipMap(101, [{ from: 103, to: 105 }], METADATA_LIMIT).text}`);
});
