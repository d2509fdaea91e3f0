// biome-ignore-all lint/suspicious/noTemplateCurlyInString: template literals are what is scanned here
import { describe, expect, test } from 'vitest';
import { scan } from './source-text.ts';

describe('what the architecture tests read', () => {
  test('every way to import is seen, with its line and whether it is a type only', () => {
    const source = scan(
      [
        "import { a } from './a.ts';",
        "import type { B } from './b.ts';",
        "import { type C, type D } from './c.ts';",
        "import { type E, f } from './e.ts';",
        "export { g } from './g.ts';",
        "import './side-effect.ts';",
        "const later = await import('./later.ts');",
        "let h: import('./h.ts').H;",
        'import {',
        '  i,',
        "} from '@weir/core';",
      ].join('\n'),
    );
    expect(
      source.imports
        .map((each) => [each.specifier, each.typeOnly, each.line])
        .sort((x, y) => Number(x[2]) - Number(y[2])),
    ).toEqual([
      ['./a.ts', false, 1],
      ['./b.ts', true, 2],
      ['./c.ts', true, 3],
      ['./e.ts', false, 4],
      ['./g.ts', false, 5],
      ['./side-effect.ts', false, 6],
      ['./later.ts', false, 7],
      ['./h.ts', true, 8],
      ['@weir/core', false, 9],
    ]);
  });

  test('comments, strings, templates and regular expressions are no code', () => {
    const source = scan(
      "// Date.now()\nconst a = 'Date.now()'; /* Date.now() */ const b = `Date.now() ${Date.now()} ${`x${1}`} Date.now()`;\nconst c = /Date.now()['\"]/.test(a); const d = 4 / 2 / Date.now();",
    );
    expect(source.code.match(/Date\.now/g)).toHaveLength(2);
    expect(source.code).toHaveLength(source.text.length);
  });

  test('an import inside a comment or a string is none', () => {
    expect(scan("// import { a } from './a.ts'\nconst text = \"import { b } from './b.ts'\";").imports).toEqual([]);
  });

  test('a quote in a regular expression opens no string', () => {
    const source = scan("const quote = /['\"]/g;\nimport { a } from './a.ts';");
    expect(source.imports.map((each) => each.specifier)).toEqual(['./a.ts']);
  });
});
