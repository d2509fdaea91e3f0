/** What a file may be called, hold and say, where neither the compiler nor the linter can tell. Reasons: STYLE rules in words. */
import { existsSync } from 'node:fs';
import { basename, join } from 'node:path';
import { describe, expect, test } from 'vitest';
import { lineAt, readSource } from './source-text.ts';
import { manifestOf, packageNames, ROOT, type SourceFile, sourceFiles } from './tree.ts';

const files = sourceFiles();
const shipped = files.filter((file) => !file.isTest);

/** Every place in code (not in comments or strings) where `pattern` occurs. */
function places(among: readonly SourceFile[], pattern: RegExp): string[] {
  return among.flatMap((file) => {
    const { code, text } = readSource(file.path);
    return [...code.matchAll(new RegExp(pattern, 'g'))].map(
      (match) => `${file.name}:${lineAt(text, match.index)} ${match[0].trim()}`,
    );
  });
}

describe('exports', () => {
  test('no `export *`: an entry names what it gives, so that removing a thing is seen', () => {
    expect(places(files, /\bexport\s*\*/)).toEqual([]);
  });

  test('no default exports: a thing has one name everywhere', () => {
    expect(places(files, /\bexport\s+default\b|\bas\s+default\b/)).toEqual([]);
  });

  test('an index is a public entry, never a barrel inside a package', () => {
    const barrels = files
      .filter((file) => basename(file.inside) === 'index.ts')
      .filter((file) => {
        const entries = JSON.stringify(manifestOf(file.package).exports ?? {});
        return !entries.includes(`./src/${file.inside}`);
      });
    expect(barrels.map((file) => file.name)).toEqual([]);
  });

  test('every entry that a package.json exports exists', () => {
    const missing = packageNames().flatMap((name) =>
      Object.values(manifestOf(name).exports ?? {})
        .map((entry) =>
          typeof entry === 'object' && entry !== null ? (entry as { source?: string }).source : undefined,
        )
        .filter((source) => source !== undefined && !existsSync(join(ROOT, 'packages', name, source)))
        .map((source) => `packages/${name}/${source}`),
    );
    expect(missing).toEqual([]);
  });
});

describe('types', () => {
  test('no `any`: `unknown` makes the reader check', () => {
    expect(places(files, /(?::|<|,|\||&|\bas|=>|=)\s*any\b(?!\s*[:(=])/)).toEqual([]);
  });

  test('erasable syntax only: files run by type stripping', () => {
    expect(
      places(files, /\b(?:export\s+|declare\s+)?(?:const\s+)?enum\s+[A-Z]\w*\s*\{|\bnamespace\s+[A-Z]\w*\s*\{/),
    ).toEqual([]);
  });

  test('relative imports end in .ts or .json: nothing resolves them at run time', () => {
    const wrong = files.flatMap((file) =>
      readSource(file.path)
        .imports.filter(({ specifier }) => specifier.startsWith('.') && !/\.(ts|json)$/.test(specifier))
        .map(({ specifier, line }) => `${file.name}:${line} ${specifier}`),
    );
    expect(wrong).toEqual([]);
  });
});

describe('time, chance and environment', () => {
  /** Where the machine's own clock and dice may be used. The key is a file, or a folder that ends in "/". */
  const MAY_READ_TIME: Readonly<Record<string, string>> = {
    'packages/core/src/clock.ts': 'the clock itself',
    'packages/core/src/random.ts': 'chance itself',
    'packages/core/src/testing/manual-clock.ts': 'lets the loop turn, no time involved',
    'packages/sdk/src/testing/test-worker.ts': 'waits in real time, bounded, for handlers that do real I/O',
    'packages/cli/src/': 'a person’s terminal, child processes and servers: real time is what they are about',
    'packages/dev-broker/src/': 'a broker of its own process; its timers are sockets’ and sessions’',
  };

  test('the wall clock, timers and chance come in as Clock and Random: a test can then move them', () => {
    const checked = shipped.filter((file) => !Object.keys(MAY_READ_TIME).some((each) => file.name.startsWith(each)));
    expect(
      places(
        checked,
        /\bDate\.now\b|\bnew Date\(\s*\)|\bperformance\.(?:now|timeOrigin)\b|\bprocess\.(?:hrtime|uptime)\b|\bMath\.random\b|\brandomInt\b|(?<![.\w])(?:setTimeout|setInterval)\s*\(|\bAbortSignal\.timeout\b/,
      ),
    ).toEqual([]);
    const timers = checked.flatMap((file) =>
      readSource(file.path)
        .imports.filter(({ specifier }) => /^node:timers/.test(specifier))
        .map(({ line }) => `${file.name}:${line} node:timers`),
    );
    expect(timers).toEqual([]);
  });

  const MAY_READ_ENVIRONMENT: Readonly<Record<string, string>> = {
    'packages/sdk/src/run.ts': 'the process of every worker: hands the environment to `resolve`',
    'packages/scaler/src/main.ts': 'the one service that is no worker, so `run.ts` does not read it for it',
    'packages/storage/src/open.ts':
      'the S3 client reads AWS_* from the process itself; a given environment comes first',
    'packages/cli/src/': 'the command line: hands the environment on to `resolve` and to its child processes',
  };

  test('process.env is read where a process begins, and handed on as a value', () => {
    const checked = shipped.filter(
      (file) => !Object.keys(MAY_READ_ENVIRONMENT).some((each) => file.name.startsWith(each)),
    );
    expect(places(checked, /\bprocess\.env\b/)).toEqual([]);
  });

  test('nothing but a process’s own start prints or exits', () => {
    const checked = shipped.filter(
      (file) =>
        !/^packages\/(cli\/src\/|scaler\/src\/main\.ts|dev-broker\/src\/main\.ts|sdk\/src\/run\.ts)/.test(file.name),
    );
    expect(places(checked, /\bconsole\.\w+|\bprocess\.(?:exit|stdout|stderr)\b/)).toEqual([]);
  });
});

describe('files', () => {
  test('no file or folder is named after a kind of thing: a concept has a name', () => {
    const kinds = /^(?:utils?|helpers?|lib|common|misc|types|interfaces|constants|shared)(?:\.test)?(?:\.ts)?$/;
    expect(
      files.filter((file) => file.inside.split('/').some((part) => kinds.test(part))).map((file) => file.name),
    ).toEqual([]);
  });

  test('a file opens with prose: what it is and why, before any code', () => {
    const silent = shipped.filter((file) => {
      if (/(^|\/)(index|main)\.ts$/.test(file.inside)) return false;
      const { text, comments } = readSource(file.path);
      const first = text.search(/\S/);
      const start = text.startsWith('#!') ? text.indexOf('\n') + 1 : first;
      return comments[0] === undefined || text.slice(start, comments[0].start).trim() !== '';
    });
    expect(silent.map((file) => file.name)).toEqual([]);
  });

  test('a file over 500 lines says in its first comment why it is still one', () => {
    const long = shipped.filter((file) => {
      const { text, comments } = readSource(file.path);
      return text.split('\n').length > 500 && !/one file|lines|long/i.test(comments[0]?.value ?? '');
    });
    expect(long.map((file) => file.name)).toEqual([]);
  });

  test('a test states a fact: its name has no "should"', () => {
    const wishes = files
      .filter((file) => file.isTest)
      .flatMap((file) => {
        const { code, text, strings } = readSource(file.path);
        return strings
          .filter(({ start }) =>
            /\b(?:test|it|describe)(?:\.\w+)*\(\s*$/.test(code.slice(Math.max(0, start - 40), start)),
          )
          .filter(({ value }) => /\bshould\b/i.test(value))
          .map(({ value, start }) => `${file.name}:${lineAt(text, start)} ${value}`);
      });
    expect(wishes).toEqual([]);
  });

  test('no TODO: an issue keeps what is left to do', () => {
    const left = files.flatMap((file) => {
      const { text, comments } = readSource(file.path);
      return comments
        .filter(({ value }) => /\b(?:TODO|FIXME|XXX|HACK)\b/.test(value))
        .map(({ start }) => `${file.name}:${lineAt(text, start)}`);
    });
    expect(left).toEqual([]);
  });
});

describe('packages', () => {
  test('every package has a README', () => {
    expect(packageNames().filter((name) => !existsSync(join(ROOT, 'packages', name, 'README.md')))).toEqual([]);
  });

  test('every service has the same files, so that knowing one is knowing all', () => {
    const expected = (name: string) => [
      'README.md',
      'src/main.ts',
      'src/config.ts',
      // the scaler observes workers and is none
      ...(name === 'scaler' ? [] : ['src/worker.ts']),
    ];
    const services = ['ingester', 'download-worker', 'result-processor', 'retry-scheduler', 'dlq-handler', 'scaler'];
    const missing = services.flatMap((name) =>
      expected(name)
        .filter((file) => !existsSync(join(ROOT, 'packages', name, file)))
        .map((file) => `packages/${name}/${file}`),
    );
    expect(missing).toEqual([]);
  });
});
