/** A worker in a process of its own (worker.ts), and what it weighs. */
import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { readFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { Kafka, logLevel } from 'kafkajs';

const WORKER = fileURLToPath(new URL('./worker.ts', import.meta.url));
const LADDER = ['retry.5m', 'retry.10m', 'retry.20m', 'retry.40m', 'dlq'];

/** Resident memory of a process, in MB. */
export function residentMb(pid: number): number {
  const status = readFileSync(`/proc/${pid}/status`, 'utf8');
  return (Number(/VmRSS:\s+(\d+)/.exec(status)![1]) * 1024) / 1e6;
}

export class ChildWorker {
  /** The last number that it printed: calls begun or handled. */
  calls = 0;
  readonly #child: ChildProcess;
  #failed: Error | undefined;

  private constructor(child: ChildProcess) {
    this.#child = child;
    child.stdout!.on('data', (data: Buffer) => {
      const told = data
        .toString()
        .trim()
        .match(/(\d+)$/);
      if (told) this.calls = Number(told[1]);
    });
    child.on('exit', (code, signal) => {
      this.#failed = new Error(`the worker ended (exit code ${code}, signal ${signal})`);
    });
  }

  static async start(options: {
    kind: 'stuck' | 'no-op';
    brokers: readonly string[];
    prefix: string;
    topic: string;
    partitions: number;
  }): Promise<ChildWorker> {
    const { kind, brokers, prefix, topic, partitions } = options;
    const admin = new Kafka({ brokers: [...brokers], logLevel: logLevel.NOTHING }).admin();
    await admin.connect();
    // its retry topics and dead letters: a worker does not start without them
    await admin.createTopics({
      topics: LADDER.map((rung) => ({ topic: `${prefix}.memory.${rung}`, numPartitions: 1 })),
    });
    await admin.disconnect();
    const child = spawn(
      process.execPath,
      ['--conditions=source', WORKER, kind, brokers.join(','), prefix, topic, String(partitions)],
      { stdio: ['ignore', 'pipe', 'inherit'] },
    );
    return new ChildWorker(child);
  }

  /** @throws when it has ended */
  get residentMb(): number {
    if (this.#failed) throw this.#failed;
    return residentMb(this.#child.pid!);
  }

  async kill(): Promise<void> {
    if (this.#failed) return;
    this.#child.kill('SIGKILL');
    await once(this.#child, 'exit');
  }
}
