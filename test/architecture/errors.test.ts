/**
 * Error codes are public: people search for them. Every package keeps one table (code, what to do) and one named class for
 * each code; docs/errors.md is written from those tables.
 *
 * After changing a table: `npx vitest run test/architecture/errors.test.ts --update`
 */
import { existsSync } from 'node:fs';
import { join } from 'node:path';
import type { ErrorEntry } from '@weir/core';
import { beforeAll, describe, expect, test } from 'vitest';
import { readSource } from './source-text.ts';
import { manifestOf, packageNames, ROOT, sourceFiles } from './tree.ts';

interface Thrown {
  readonly code: string;
  readonly className: string;
  readonly file: string;
}

interface Table {
  readonly package: string;
  readonly errors: Readonly<Record<string, ErrorEntry>>;
}

/** Classes that pass a code to `super(…)`, wherever in the package they stand. */
function thrownBy(packageName: string): readonly Thrown[] {
  return sourceFiles()
    .filter((file) => file.package === packageName && !file.isTest)
    .flatMap((file) => {
      const { code, text } = readSource(file.path);
      return [...code.matchAll(/\bclass\s+(\w+)[^{]*\bextends\s+\w*Error\b[^{]*\{/g)].flatMap((match) => {
        const next = /\n(?:export\s+)?(?:abstract\s+)?class\s/.exec(code.slice(match.index + match[0].length));
        const body = text.slice(match.index, next ? match.index + match[0].length + next.index : undefined);
        const literal = /\bsuper\(\s*'(WEIR_[A-Z0-9_]+)'/.exec(body)?.[1];
        return literal ? [{ code: literal, className: match[1]!, file: file.name }] : [];
      });
    });
}

const tables: Table[] = [];
beforeAll(async () => {
  for (const name of packageNames()) {
    const path = join(ROOT, 'packages', name, 'src', 'errors.ts');
    if (!existsSync(path)) continue;
    const module: { ERRORS?: Table['errors'] } = await import(path);
    tables.push({ package: name, errors: module.ERRORS ?? {} });
  }
});

function page(): string {
  const sections = tables.map(({ package: name, errors }) => {
    const thrown = thrownBy(name);
    const rows = Object.entries(errors).map(([code, { fix }]) => {
      const classes = thrown.filter((each) => each.code === code).map((each) => `\`${each.className}\``);
      return `| <a id="${code.toLowerCase()}"></a>\`${code}\` | ${classes.join(', ')} | ${fix.replaceAll('|', '\\|')} |`;
    });
    return `## ${manifestOf(name).name}\n\n| code | class | what to do |\n| --- | --- | --- |\n${rows.join('\n')}\n`;
  });
  return `# Errors

Search for the code. The message beside it says what happened, and with which record or setting; this page says what to do.
Every class extends \`WeirError\` and carries its facts as typed fields, so nothing has to parse a message; the original
error stays as \`cause\`.

This page is written from the packages' own tables (\`packages/*/src/errors.ts\`) by \`test/architecture/errors.test.ts\`.

${sections.join('\n')}`;
}

describe('errors', () => {
  test('docs/errors.md says what the tables say', async () => {
    await expect(page()).toMatchFileSnapshot(join(ROOT, 'docs', 'errors.md'));
  });

  test('a code belongs to one package', () => {
    const codes = tables.flatMap((table) => Object.keys(table.errors));
    expect(codes.filter((code, at) => codes.indexOf(code) !== at)).toEqual([]);
  });

  test('every code begins with WEIR_ and its advice is a sentence', () => {
    const odd = tables.flatMap((table) =>
      Object.entries(table.errors)
        .filter(([code, { fix }]) => !/^WEIR_[A-Z0-9_]+$/.test(code) || !/^[A-Z].{10,}[.)]$/s.test(fix))
        .map(([code, { fix }]) => `${code}: ${fix}`),
    );
    expect(odd).toEqual([]);
  });

  test('every code in a table is thrown by a class of its package, and every class’s code is in its table', () => {
    const wrong = packageNames().flatMap((name) => {
      const table = new Set(Object.keys(tables.find((each) => each.package === name)?.errors ?? {}));
      const thrown = thrownBy(name);
      return [
        ...[...table]
          .filter((code) => !thrown.some((each) => each.code === code))
          .map((code) => `packages/${name}: no class for ${code}`),
        ...thrown
          .filter((each) => !table.has(each.code))
          .map((each) => `${each.file}: ${each.className} has ${each.code}, which is not in the package's table`),
      ];
    });
    expect(wrong).toEqual([]);
  });

  test('a package with a public entry exports its table', () => {
    const hidden = tables
      .filter((table) => existsSync(join(ROOT, 'packages', table.package, 'src', 'index.ts')))
      .filter((table) => {
        const { code } = readSource(join(ROOT, 'packages', table.package, 'src', 'index.ts'));
        return !/\bERRORS\b/.test(code);
      });
    expect(hidden.map((table) => table.package)).toEqual([]);
  });
});
