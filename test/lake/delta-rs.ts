/**
 * delta-rs, the reader that Weir's tables must be right for: Python's `deltalake` and `pyarrow` in a virtual environment
 * that is made once under ~/.cache/weir. Without Python or PyPI the tests are skipped with one loud line, or fail when
 * WEIR_REQUIRE_REAL=1.
 */
import { execFile, spawn } from 'node:child_process';
import { mkdir, mkdtemp, rename, rm, stat } from 'node:fs/promises';
import { homedir } from 'node:os';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { lock } from '../support/lock.ts';

const run = promisify(execFile);

const PACKAGES = ['deltalake==1.6.6', 'pyarrow==26.0.1'];
const CACHE = join(homedir(), '.cache', 'weir');
const ENVIRONMENT = join(CACHE, 'delta-rs-1.6.6');
/** Longer than any install takes. */
const LOCK_STALE_MS = 480_000;
const PYTHON = join(ENVIRONMENT, 'bin', 'python');

/** PyArrow's threads sometimes abort an interpreter that ends in the usual way. */
const LEAVE = '\nimport os, sys\nsys.stdout.flush()\nos._exit(0)\n';

export interface DeltaRs {
  /** Runs a program with `input` as JSON on its standard input; what it prints must be JSON. */
  run(program: string, input: unknown): Promise<unknown>;
}

export async function startDeltaRs(): Promise<DeltaRs | undefined> {
  try {
    await install();
  } catch (error) {
    const reason = error instanceof Error ? error.message.trim().split('\n')[0] : String(error);
    if (process.env.WEIR_REQUIRE_REAL === '1')
      throw new Error(`delta-rs is required here: ${reason}`, { cause: error });
    console.warn(`SKIPPED: no delta-rs for these tests (${reason}); install Python 3.10 or later with pip and PyPI`);
    return undefined;
  }
  return { run: runProgram };
}

function runProgram(program: string, input: unknown): Promise<unknown> {
  return new Promise((resolve, reject) => {
    const python = spawn(PYTHON, ['-c', program + LEAVE], { stdio: ['pipe', 'pipe', 'pipe'] });
    let printed = '';
    let complaints = '';
    python.stdout.on('data', (data: Buffer) => {
      printed += data.toString();
    });
    python.stderr.on('data', (data: Buffer) => {
      complaints += data.toString();
    });
    python.once('error', reject);
    python.once('close', (code) => {
      if (code === 0) resolve(JSON.parse(printed));
      else reject(new Error(`python ended with ${code}: ${complaints.slice(-2_000)}`));
    });
    python.stdin.end(JSON.stringify(input));
  });
}

const exists = (path: string) =>
  stat(path).then(
    () => true,
    () => false,
  );

async function install(): Promise<void> {
  if (await exists(join(ENVIRONMENT, 'complete'))) return;
  await mkdir(CACHE, { recursive: true });
  const unlock = await lock(`${ENVIRONMENT}.lock`, LOCK_STALE_MS);
  try {
    if (await exists(join(ENVIRONMENT, 'complete'))) return;
    await rm(ENVIRONMENT, { recursive: true, force: true });
    // An environment remembers its path: it is made in place, and counts once the mark is there.
    await run('python3', ['-m', 'venv', ENVIRONMENT], { timeout: 120_000 });
    await run(PYTHON, ['-m', 'pip', 'install', '-q', '--disable-pip-version-check', ...PACKAGES], { timeout: 300_000 });
    const mark = await mkdtemp(join(ENVIRONMENT, 'mark-'));
    await rename(mark, join(ENVIRONMENT, 'complete'));
  } finally {
    await unlock();
  }
}
