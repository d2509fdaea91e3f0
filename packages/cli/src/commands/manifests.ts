/**
 * `weir manifests`: the Kubernetes files of the declarations, written to a folder or compared with it. Nothing of this
 * machine's environment gets into them: the same declarations and options give the same bytes anywhere, so that
 * `--check` can tell that checked-in files are stale.
 */
import { mkdir, readdir, readFile, rm, writeFile } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { type Command, Option } from 'commander';
import { UsageError } from '../errors.ts';
import type { Session } from '../session.ts';

interface ManifestFlags {
  all: boolean;
  out: string;
  signal: 'external' | 'metrics-api';
  namespace: string;
  image: string;
  set: Readonly<Record<string, string>>;
  check: boolean;
}

export const MANIFEST_DEFAULTS = { signal: 'external', namespace: 'weir', image: 'weir/{service}:0.1.0' } as const;

export function addManifests(program: Command, open: () => Session): void {
  program
    .command('manifests')
    .description('write the Kubernetes files that follow from the declarations')
    .argument('[worker...]', 'only the files of these workers')
    .option('--all', 'every worker, and what they share', false)
    .option('--out <folder>', 'where to', join('deploy', 'k8s'))
    .addOption(
      new Option(
        '--signal <source>',
        'where KEDA reads how many are wanted: the scaler service, or /scaling of the workers',
      )
        .choices(['external', 'metrics-api'])
        .default(MANIFEST_DEFAULTS.signal),
    )
    .option('--namespace <name>', 'of everything', MANIFEST_DEFAULTS.namespace)
    .option('--image <pattern>', '{service} stands for the service', MANIFEST_DEFAULTS.image)
    .option(
      '--set <name=value>',
      'a variable for all, such as KAFKA_BROKERS=kafka:9092; may be repeated',
      addSetting,
      {},
    )
    .option('--check', 'write nothing; say which files are stale, and fail when any is', false)
    .action(async (workers: string[], flags: ManifestFlags) => {
      const session = open();
      if (workers.length === 0 && !flags.all) throw new UsageError('name workers, or say --all');
      const files = await manifestFiles(flags, flags.all ? undefined : workers);
      if (flags.check) {
        const stale = await staleFiles(flags.out, files, flags.all);
        for (const { name, why } of stale) session.print(`${join(flags.out, name)}: ${why}`);
        session.print(stale.length === 0 ? `${files.size} files are up to date` : 'write them anew without --check');
        process.exitCode = stale.length === 0 ? 0 : 1;
        return;
      }
      if (flags.all) {
        for (const { name, why } of await staleFiles(flags.out, files, true)) {
          if (why === NOT_OURS) await rm(join(flags.out, name));
        }
      }
      for (const [name, text] of files) {
        const path = join(flags.out, name);
        await mkdir(dirname(path), { recursive: true });
        await writeFile(path, text);
      }
      session.print(`${files.size} files written to ${flags.out}`);
    });
}

/** @returns text by file name; only those of `workers` when they are named */
export async function manifestFiles(
  options: Pick<ManifestFlags, 'signal' | 'namespace' | 'image' | 'set'>,
  workers?: readonly string[],
): Promise<Map<string, string>> {
  const { resolvePipeline } = await import('../pipeline.ts');
  const { renderManifests } = await import('../manifests.ts');
  const { resolved } = resolvePipeline(() => options.set);
  const files = renderManifests(resolved, {
    signal: options.signal,
    namespace: options.namespace,
    image: options.image,
    settings: options.set,
  });
  if (!workers) return files;
  const known = resolved.map(({ name }) => name);
  const unknown = workers.find((name) => !known.includes(name));
  if (unknown !== undefined)
    throw new UsageError(`there is no worker ${JSON.stringify(unknown)}; there are ${known.join(', ')}`);
  return new Map([...files].filter(([name]) => workers.includes(name.replace(/\.yaml$/, ''))));
}

const NOT_OURS = 'does not follow from the declarations';

/** Files that differ from what would be written: changed, missing, or (of a whole set) left over. */
export async function staleFiles(
  folder: string,
  files: ReadonlyMap<string, string>,
  whole: boolean,
): Promise<{ name: string; why: string }[]> {
  const stale: { name: string; why: string }[] = [];
  for (const [name, text] of files) {
    const found = await readFile(join(folder, name), 'utf8').catch(() => undefined);
    if (found === undefined) stale.push({ name, why: 'is missing' });
    else if (found !== text) stale.push({ name, why: 'differs' });
  }
  if (!whole) return stale;
  const there = await readdir(folder, { recursive: true }).catch(() => []);
  for (const name of there.map((each) => each.replaceAll('\\', '/'))) {
    if (name.endsWith('.yaml') && !files.has(name)) stale.push({ name, why: NOT_OURS });
  }
  return stale;
}

function addSetting(text: string, before: Readonly<Record<string, string>>): Readonly<Record<string, string>> {
  const at = text.indexOf('=');
  if (at < 1) throw new UsageError(`--set takes NAME=VALUE, not ${JSON.stringify(text)}`);
  return { ...before, [text.slice(0, at)]: text.slice(at + 1) };
}
