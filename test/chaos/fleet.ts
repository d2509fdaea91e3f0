/**
 * The worker processes of a run, by kind. Each has an event log and a text log of its own; a process that ends by itself is a
 * trouble, unless it said that it would.
 */
import { type ChildProcess, spawn } from 'node:child_process';
import { closeSync, existsSync, openSync, readFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { History, ProcessLog } from './history.ts';
import type { LoggedEvent } from './workers/event-log.ts';

export interface FleetOptions {
  readonly folder: string;
  readonly env: Readonly<Record<string, string>>;
  /** Given to Node before the worker's file: the mutation. */
  readonly nodeArgs: readonly string[];
  /** A process has ended that was not told to. */
  readonly onDeath: (subject: string) => void;
}

export interface Member {
  readonly name: string;
  readonly subject: string;
  readonly child: ChildProcess;
  readonly ended: Promise<{ code: number | null; signal: NodeJS.Signals | null }>;
  /** What the runner did to it: an end that was asked for is no trouble. */
  fate: 'none' | 'killed' | 'terminated' | 'frozen';
}

const STARTED = /"msg":"started"/;

export class Fleet {
  readonly #options: FleetOptions;
  readonly #members = new Set<Member>();
  readonly #started: { name: string; subject: string }[] = [];
  readonly troubles: History['troubles'][number][] = [];
  #count = 0;

  constructor(options: FleetOptions) {
    this.#options = options;
    process.once('exit', this.#killAll);
  }

  of(subject: string): Member[] {
    return [...this.#members].filter((member) => member.subject === subject && member.fate === 'none');
  }

  start(subject: string): Member {
    const name = `${subject}-${++this.#count}`;
    const { folder, env, nodeArgs } = this.#options;
    const text = openSync(join(folder, `${name}.log`), 'a');
    const child = spawn(
      process.execPath,
      [
        '--conditions=source',
        '--disable-warning=ExperimentalWarning',
        ...nodeArgs,
        join(import.meta.dirname, 'workers', `${subject}.ts`),
      ],
      {
        env: {
          PATH: process.env.PATH,
          // Most of what a start costs is reading TypeScript; a run starts some thirty processes.
          NODE_COMPILE_CACHE: join(tmpdir(), 'weir-chaos-compiled'),
          ...env,
          KAFKA_CLIENT_ID: name,
          CHAOS_LOG: join(folder, `${name}.ndjson`),
        },
        stdio: ['ignore', text, text, 'ipc'],
      },
    );
    closeSync(text);
    const ended = new Promise<{ code: number | null; signal: NodeJS.Signals | null }>((resolve) => {
      child.once('exit', (code, signal) => resolve({ code, signal }));
      child.once('error', () => resolve({ code: null, signal: null }));
    });
    const member: Member = { name, subject, child, ended, fate: 'none' };
    this.#members.add(member);
    this.#started.push({ name, subject });
    void ended.then(({ code, signal }) => {
      this.#members.delete(member);
      if (member.fate === 'killed' || (member.fate === 'terminated' && code === 0)) return;
      // Before a process has its signal handlers, SIGTERM is SIGTERM.
      if (member.fate === 'terminated' && signal === 'SIGTERM' && !this.isUp(member)) return;
      if (member.fate === 'none') this.#options.onDeath(subject);
      if (signal === 'SIGKILL' && this.#saidItWouldDie(name)) return;
      this.troubles.push({
        rule: 'crash',
        text: `${name} ended with ${code ?? signal}; see ${join(folder, `${name}.log`)}`,
      });
    });
    return member;
  }

  kill(member: Member): void {
    member.fate = 'killed';
    member.child.kill('SIGKILL');
  }

  terminate(member: Member): void {
    member.fate = 'terminated';
    member.child.kill('SIGTERM');
  }

  killAll(): void {
    for (const member of this.#members) this.kill(member);
  }

  /** Whether the process says that it runs. */
  isUp(member: Member): boolean {
    return STARTED.test(readFileSync(join(this.#options.folder, `${member.name}.log`), 'utf8'));
  }

  async stop(deadlineMs: number): Promise<void> {
    const members = [...this.#members];
    for (const member of members) {
      if (member.fate === 'frozen') member.child.kill('SIGCONT');
      if (member.fate !== 'killed') this.terminate(member);
    }
    const late = setTimeout(() => {
      for (const member of this.#members) {
        this.troubles.push({ rule: 'stuck', text: `${member.name} did not end ${deadlineMs} ms after SIGTERM` });
        this.kill(member);
      }
    }, deadlineMs);
    await Promise.all(members.map((member) => member.ended));
    clearTimeout(late);
    process.off('exit', this.#killAll);
  }

  logs(): ProcessLog[] {
    return this.#started.map(({ name, subject }) => ({ process: name, subject, events: this.#eventsOf(name) }));
  }

  #eventsOf(name: string): LoggedEvent[] {
    const path = join(this.#options.folder, `${name}.ndjson`);
    if (!existsSync(path)) return [];
    return readFileSync(path, 'utf8')
      .split('\n')
      .filter((line) => line.endsWith('}'))
      .map((line) => JSON.parse(line) as LoggedEvent);
  }

  #saidItWouldDie(name: string): boolean {
    return this.#eventsOf(name).at(-1)?.e === 'dying';
  }

  readonly #killAll = () => this.killAll();
}
