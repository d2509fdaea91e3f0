/**
 * A Python environment with packages from PyPI, made once per user and machine and kept in the user's cache. It counts
 * as whole when its package can be imported; a half-made one is made again.
 */
import { existsSync } from 'node:fs';
import { mkdir, rm } from 'node:fs/promises';
import { homedir } from 'node:os';
import { join } from 'node:path';
import { run, works } from './command.ts';

export interface PythonVenv {
  /** The interpreter, or undefined when there is none. */
  readonly python: string | undefined;
  /** Why there is none. */
  readonly problem: string;
}

/** @param pin  a requirement with an exact version: `aiokafka==0.12.0` */
export async function pythonVenv(pin: string): Promise<PythonVenv> {
  try {
    return { python: await make(pin), problem: '' };
  } catch (error) {
    return { python: undefined, problem: error instanceof Error ? error.message : String(error) };
  }
}

async function make(pin: string): Promise<string> {
  const cache = join(process.env.XDG_CACHE_HOME ?? join(homedir(), '.cache'), 'weir');
  const home = join(cache, `venv-${pin.replaceAll(/[^a-zA-Z0-9.]+/g, '-')}`);
  const python = join(home, 'bin', 'python');
  const module = pin.split('=')[0]!;
  if (existsSync(python) && (await works(python, ['-c', `import ${module}`]))) return python;
  if (!(await works('python3', ['-c', 'import venv, ensurepip']))) {
    throw new Error('install Python 3 with its venv module (python3-venv)');
  }
  await mkdir(cache, { recursive: true });
  await rm(home, { recursive: true, force: true });
  try {
    await must('python3', ['-m', 'venv', home]);
    await must(python, ['-m', 'pip', 'install', '--quiet', '--disable-pip-version-check', pin]);
  } catch (error) {
    await rm(home, { recursive: true, force: true });
    throw error;
  }
  return python;
}

async function must(program: string, args: readonly string[]): Promise<void> {
  const { code, stderr } = await run(program, args, { timeoutMs: 180_000 });
  if (code !== 0) throw new Error(`${program} ${args.join(' ')} failed: ${stderr.trim().split('\n').at(-1)}`);
}
