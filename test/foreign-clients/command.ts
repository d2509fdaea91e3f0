/** Runs a foreign program beside a test: its output by line, a deadline, and never left behind. */
import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { createInterface } from 'node:readline';

export interface Finished {
  readonly code: number | null;
  readonly stdout: string;
  readonly stderr: string;
}

/** Runs to the end. @throws when it cannot be started or does not end in time */
export async function run(
  program: string,
  args: readonly string[],
  options: { input?: string; timeoutMs?: number } = {},
): Promise<Finished> {
  const child = spawn(program, args, { timeout: options.timeoutMs ?? 30_000, killSignal: 'SIGKILL' });
  let stdout = '';
  let stderr = '';
  child.stdout.on('data', (chunk: Buffer) => {
    stdout += chunk.toString('utf8');
  });
  child.stderr.on('data', (chunk: Buffer) => {
    stderr += chunk.toString('utf8');
  });
  child.stdin.on('error', () => undefined);
  child.stdin.end(options.input ?? '');
  const [code, signal] = (await once(child, 'close')) as [number | null, string | null];
  if (signal === 'SIGKILL')
    throw new Error(`${program} ${args.join(' ')} did not end in time; it said: ${stdout}${stderr}`);
  return { code, stdout, stderr };
}

/** Whether a program can be started and answers well. */
export async function works(program: string, args: readonly string[]): Promise<boolean> {
  try {
    return (await run(program, args, { timeoutMs: 15_000 })).code === 0;
  } catch {
    return false;
  }
}

/** A program that goes on while the test looks at its lines. */
export class Running {
  readonly #child: ChildProcess;
  readonly #lines: string[] = [];
  #stderr = '';
  #ended = false;
  readonly #watchers = new Set<() => void>();

  constructor(program: string, args: readonly string[]) {
    const child = spawn(program, args, { stdio: ['pipe', 'pipe', 'pipe'] });
    this.#child = child;
    createInterface({ input: child.stdout }).on('line', (line) => {
      this.#lines.push(line);
      this.#changed();
    });
    child.stderr.on('data', (chunk: Buffer) => {
      this.#stderr += chunk.toString('utf8');
    });
    child.on('error', () => this.#changed());
    child.on('close', () => {
      this.#ended = true;
      this.#changed();
    });
  }

  get lines(): readonly string[] {
    return this.#lines;
  }

  /** Resolves with what `find` finds in the lines so far. @throws after `timeoutMs`, or when the program ended */
  async until<T>(find: (lines: readonly string[]) => T | undefined, what: string, timeoutMs = 20_000): Promise<T> {
    const deadline = AbortSignal.timeout(timeoutMs);
    for (;;) {
      const found = find(this.#lines);
      if (found !== undefined) return found;
      if (this.#ended || deadline.aborted) {
        const state = this.#ended ? 'ended' : `waited ${timeoutMs} ms`;
        throw new Error(`no ${what} (${state}); lines: ${this.#lines.join(' | ')}; errors: ${this.#stderr}`);
      }
      await new Promise<void>((resolve) => {
        const done = () => {
          this.#watchers.delete(done);
          deadline.removeEventListener('abort', done);
          resolve();
        };
        this.#watchers.add(done);
        deadline.addEventListener('abort', done, { once: true });
      });
    }
  }

  /** Ends it with a signal and waits until it is gone. */
  async end(signal: NodeJS.Signals = 'SIGTERM'): Promise<void> {
    if (this.#ended) return;
    const closed = once(this.#child, 'close');
    this.#child.kill(signal);
    await closed;
  }

  #changed(): void {
    for (const watcher of [...this.#watchers]) watcher();
  }
}
