/** Where things are: every source file of every package, and the manifests, read from the disk. */
import { existsSync, globSync, readdirSync, readFileSync } from 'node:fs';
import { dirname, join, relative, sep } from 'node:path';
import { fileURLToPath } from 'node:url';

export const ROOT = join(dirname(fileURLToPath(import.meta.url)), '..', '..');

export interface Manifest {
  readonly name: string;
  readonly dependencies?: Readonly<Record<string, string>>;
  readonly devDependencies?: Readonly<Record<string, string>>;
  readonly exports?: Readonly<Record<string, unknown>>;
}

export interface SourceFile {
  /** Folder name under packages/. */
  readonly package: string;
  /** Inside the package's src, with forward slashes: `kafka/port.ts`. */
  readonly inside: string;
  /** From the repository's root, for messages. */
  readonly name: string;
  readonly path: string;
  readonly isTest: boolean;
}

export function packageNames(): readonly string[] {
  return readdirSync(join(ROOT, 'packages'), { withFileTypes: true })
    .filter((entry) => entry.isDirectory() && existsSync(join(ROOT, 'packages', entry.name, 'package.json')))
    .map((entry) => entry.name)
    .sort();
}

export function manifestOf(packageName: string): Manifest {
  return JSON.parse(readFileSync(join(ROOT, 'packages', packageName, 'package.json'), 'utf8'));
}

/** Test support sits beside tests and ships nowhere: `x.test.ts`, and files named `*.suite.ts` or `*.fixture.ts`. */
const TEST_FILE = /\.(test|suite|fixture|bench)\.ts$/;

export function sourceFiles(): readonly SourceFile[] {
  return packageNames().flatMap((name) => {
    const src = join(ROOT, 'packages', name, 'src');
    return globSync('**/*.ts', { cwd: src })
      .map((each) => each.split(sep).join('/'))
      .sort()
      .map((inside) => ({
        package: name,
        inside,
        path: join(src, inside),
        name: `packages/${name}/src/${inside}`,
        isTest: TEST_FILE.test(inside),
      }));
  });
}

/** A relative import's target inside the same `src`, or undefined when it leaves it. */
export function resolveInside(file: SourceFile, specifier: string): string | undefined {
  const src = join(ROOT, 'packages', file.package, 'src');
  const target = relative(src, join(dirname(file.path), specifier))
    .split(sep)
    .join('/');
  return target.startsWith('..') ? undefined : target;
}
