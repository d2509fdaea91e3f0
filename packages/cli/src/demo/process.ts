/**
 * One service as an operating-system process: its output goes to a log file, its metrics port is read from the line that
 * it logs when its server listens, and it dies with us (leash.ts).
 */
import { type ChildProcess, spawn } from 'node:child_process';
import { createWriteStream } from 'node:fs';
import { fileURLToPath } from 'node:url';
import type { Exit, ManagedProcess } from './supervisor.ts';

/** The JSON line in which a service says where its server listens; 0 was asked for, so only it knows. */
function portIn(line: string): number | undefined {
  if (!line.startsWith('{')) return undefined;
  try {
    const { msg, port, httpPort } = JSON.parse(line) as Record<string, unknown>;
    const found = msg === 'listening' || msg === 'scaler started' ? (port ?? httpPort) : undefined;
    return typeof found === 'number' && found > 0 ? found : undefined;
  } catch {
    return undefined;
  }
}

const LEASH = new URL(import.meta.url.endsWith('.ts') ? './leash.ts' : './leash.js', import.meta.url);

/** Every child, so that none is left when this process ends in a hurry. */
const alive = new Set<ChildProcess>();
process.once('exit', () => {
  for (const child of alive) child.kill('SIGKILL');
});

export function startProcess(options: {
  /** For Node: the service's main, and what it needs before it. */
  args: readonly string[];
  env: Readonly<Record<string, string>>;
  logPath: string;
}): ManagedProcess {
  const child = spawn(
    process.execPath,
    ['--disable-warning=ExperimentalWarning', '--import', LEASH.href, ...options.args],
    { env: options.env, stdio: ['ignore', 'pipe', 'pipe', 'ipc'], cwd: fileURLToPath(new URL('.', import.meta.url)) },
  );
  alive.add(child);
  const log = createWriteStream(options.logPath, { flags: 'a' });
  let metricsPort: number | undefined;
  let rest = '';
  const seek = (chunk: Buffer) => {
    const lines = `${rest}${chunk.toString('utf8')}`.split('\n');
    rest = lines.pop()!.slice(-65_536);
    metricsPort = lines.map(portIn).find((port) => port !== undefined);
    if (metricsPort !== undefined) child.stdout!.off('data', seek);
  };
  child.stdout!.on('data', seek);
  child.stdout!.pipe(log, { end: false });
  child.stderr!.pipe(log, { end: false });
  const exited = new Promise<Exit>((resolve) => {
    child.once('error', (error) => resolve({ code: null, signal: null, detail: error.message }));
    child.once('close', (code, signal) => resolve({ code, signal, detail: '' }));
  });
  void exited.then(() => {
    alive.delete(child);
    log.end();
  });
  return {
    pid: child.pid,
    logPath: options.logPath,
    get metricsPort() {
      return metricsPort;
    },
    exited,
    terminate: () => void child.kill('SIGTERM'),
    kill: () => void child.kill('SIGKILL'),
  };
}
