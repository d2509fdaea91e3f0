/** The repository as it is committed: nothing in it belongs to one machine, one registry or one moment. */
import { execFileSync } from 'node:child_process';
import { existsSync, readFileSync } from 'node:fs';
import { basename, dirname, join } from 'node:path';
import { describe, expect, test } from 'vitest';
import { ROOT } from './tree.ts';

const tracked = execFileSync('git', ['ls-files', '-z'], { cwd: ROOT, encoding: 'utf8' })
  .split('\0')
  .filter((name) => name !== '' && existsSync(join(ROOT, name)));
const texts = tracked
  .filter((name) => name !== 'package-lock.json' && name !== 'LICENSE')
  .map((name) => ({ name, text: readFileSync(join(ROOT, name), 'latin1') }))
  .filter(({ text }) => !text.includes('\0'));

function mentions(pattern: RegExp, except: readonly string[] = []): string[] {
  return texts
    .filter(({ name }) => !except.includes(name))
    .flatMap(({ name, text }) =>
      text
        .split('\n')
        .map((line, index) => ({ line, at: index + 1 }))
        .filter(({ line }) => pattern.test(line))
        .map(({ line, at }) => `${name}:${at} ${line.trim().slice(0, 120)}`),
    );
}

const THIS_FILE = 'test/architecture/repository.test.ts';

describe('what is committed', () => {
  test('no path of anybody’s machine', () => {
    expect(mentions(/(?<![\w.$}])\/(?:root|home\/(?!node\b)\w+|work|Users\/\w+)\//, [THIS_FILE])).toEqual([]);
  });

  test('no address of a package registry in the lock file', () => {
    const lock = readFileSync(join(ROOT, 'package-lock.json'), 'utf8');
    expect([...lock.matchAll(/"resolved": "(?!packages\/)[^"]*"/g)].map((match) => match[0])).toEqual([]);
  });

  test('the lock file has every workspace', () => {
    const lock = JSON.parse(readFileSync(join(ROOT, 'package-lock.json'), 'utf8')) as {
      packages: Record<string, unknown>;
    };
    const manifests = tracked.filter((name) => /^packages\/[^/]+\/package\.json$/.test(name));
    expect(
      manifests.map((name) => name.replace('/package.json', '')).filter((name) => !(name in lock.packages)),
    ).toEqual([]);
  });

  test('nothing that is built or installed', () => {
    expect(tracked.filter((name) => /(^|\/)(node_modules|dist|coverage)\/|\.tsbuildinfo$|\.log$/.test(name))).toEqual(
      [],
    );
  });

  test('no file is larger than a megabyte', () => {
    expect(texts.filter(({ text }) => text.length > 1_000_000).map(({ name }) => name)).toEqual([]);
  });

  test('no merge marker and no unfinished note', () => {
    expect(mentions(/^(?:<{7}|>{7}) |\b(?:TODO|FIXME)\b/, [THIS_FILE, 'test/architecture/files.test.ts'])).toEqual([]);
  });

  test('links between documents lead somewhere, and every page of docs/ is in its index', () => {
    const dead = texts
      .filter(({ name }) => name.endsWith('.md'))
      .flatMap(({ name, text }) =>
        [...text.replace(/```[\s\S]*?```/g, '').matchAll(/\]\((?!https?:|mailto:|#)([^)\s#]+)[^)]*\)/g)]
          .map((match) => match[1]!)
          .filter((target) => !existsSync(join(ROOT, dirname(name), target)))
          .map((target) => `${name}: ${target}`),
      );
    expect(dead).toEqual([]);
    const index = readFileSync(join(ROOT, 'docs', 'README.md'), 'utf8');
    const pages = tracked.filter((name) => /^docs\/(?!README)[^/]+\.md$/.test(name)).map((name) => basename(name));
    expect(pages.filter((page) => !index.includes(`(${page})`))).toEqual([]);
  });
});
