/** Runs one measurement in a fresh process, so that no path warms up, or litters, another's heap. */
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { fileURLToPath } from 'node:url';

export interface Reading {
  readonly records: number;
  readonly seconds: number;
  readonly cpuSeconds: number;
  readonly rssMb: number;
}

let groups = 0;

export async function consume(options: {
  path: string;
  brokers: readonly string[];
  prefix: string;
  topic: string;
  partitions: number;
  records: number;
  /** Further arguments for node, e.g. --cpu-prof. */
  nodeArguments?: readonly string[];
}): Promise<Reading> {
  const child = spawn(
    process.execPath,
    [
      '--conditions=source',
      ...(options.nodeArguments ?? []),
      fileURLToPath(new URL('./consume.ts', import.meta.url)),
      options.path,
      options.brokers.join(','),
      options.prefix,
      options.topic,
      String(options.partitions),
      String(options.records),
      // a group of its own: each reads from the start
      `bench-${process.pid}-${groups++}`,
    ],
    { stdio: ['ignore', 'pipe', 'inherit'] },
  );
  const killer = setTimeout(() => child.kill('SIGKILL'), 180_000);
  let out = '';
  child.stdout.on('data', (data: Buffer) => {
    out += data.toString();
  });
  const [code, signal] = (await once(child, 'close')) as [number | null, NodeJS.Signals | null];
  clearTimeout(killer);
  const line = out.split('\n').find((each) => each.startsWith('{"records"'));
  if (line === undefined || code !== 0)
    throw new Error(`${options.path}: no reading (exit code ${code}, signal ${signal})\n${out.slice(-2000)}`);
  return JSON.parse(line) as Reading;
}
