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
  const cache = join(process.env.XDG_CACHE_HOME ?? join(homedir(), '.cache'), 'weir');
  const home = join(cache, `venv-${pin.replaceAll(/[^a-zA-Z0-9.]+/g, '-')}`);
  const python = join(home, 'bin', 'python');
  const module = pin.split('=')[0]!;
  if (existsSync(python) && (await works(python, ['-c', `import ${module}`]))) return { python, problem: '' };
  if (!(await works('python3', ['-c', 'import venv, ensurepip']))) {
    return { python: undefined, problem: 'install Python 3 with its venv module (python3-venv)' };
  }
  await mkdir(cache, { recursive: true });
  await rm(home, { recursive: true, force: true });
  const made = await run('python3', ['-m', 'venv', home], { timeoutMs: 120_000 });
  if (made.code !== 0) return { python: undefined, problem: `python3 -m venv failed: ${made.stderr.trim()}` };
  const installed = await run(python, ['-m', 'pip', 'install', '--quiet', pin], { timeoutMs: 180_000 });
  if (installed.code === 0) return { python, problem: '' };
  await rm(home, { recursive: true, force: true });
  return { python: undefined, problem: `pip install ${pin} failed: ${installed.stderr.trim().split('\n').at(-1)}` };
}
