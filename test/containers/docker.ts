/**
 * The docker command line, for tests of the images: the same commands that a person types. They build for minutes, so
 * they run when asked for: WEIR_CONTAINERS=1 (as `.ci/run` does), and then an engine that does not answer is a failure.
 */
import { execFile } from 'node:child_process';
import { promisify } from 'node:util';
import { ROOT } from '../architecture/tree.ts';

const run = promisify(execFile);

export const asked = process.env.WEIR_CONTAINERS === '1';
if (!asked) console.warn('SKIPPED: the containers are not built here; WEIR_CONTAINERS=1 builds and tests them');

/** @returns standard output, trimmed. @throws with what docker said */
export async function docker(...args: readonly string[]): Promise<string> {
  const { stdout } = await run('docker', args, { cwd: ROOT, maxBuffer: 64 * 1024 * 1024 });
  return stdout.trim();
}

/** Everything a container printed so far, both streams. */
export async function logsOf(container: string): Promise<string> {
  const { stdout, stderr } = await run('docker', ['logs', container], { maxBuffer: 64 * 1024 * 1024 });
  return stdout + stderr;
}

/** Runs to the end: exit code and output, whatever the code is. */
export async function runToEnd(...args: readonly string[]): Promise<{ code: number; output: string }> {
  try {
    const { stdout, stderr } = await run('docker', ['run', '--rm', ...args], { cwd: ROOT });
    return { code: 0, output: stdout + stderr };
  } catch (error) {
    const failed = error as { code?: number; stdout?: string; stderr?: string };
    return { code: failed.code ?? -1, output: `${failed.stdout ?? ''}${failed.stderr ?? ''}` };
  }
}

export const imageOf = (service: string) => `weir/${service}:test`;

/** The stages before SERVICE are the same for all: the second image takes seconds. */
export async function buildImage(service: string): Promise<string> {
  const image = imageOf(service);
  await docker('build', '--build-arg', `SERVICE=${service}`, '--tag', image, '.');
  return image;
}
