/**
 * npm run bench:floor [-- --rounds N] [--files N] [--at-once N]
 *
 * What the download worker's job costs when nothing is promised: the least that one Node process can do to fetch, hash and
 * store the bench's files from the bench's file server, in processor time, part by part (floor-client.ts). Beside it stands
 * what `bench:pipeline` measures of the worker; the difference is Kafka, checks, breakers, limits and the ledger.
 *
 * Every way has a process of its own in every round, with as many files as the worker has: warming up costs both.
 */
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { loadavg } from 'node:os';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { fileURLToPath } from 'node:url';
import { parseArgs } from 'node:util';
import { openPipeline } from '../../test/support/pipeline/pipeline.ts';
import { median, table } from '../rounds.ts';

const WAYS = [
  'undici request',
  'undici request, hash',
  'undici request, hash, file, outcome',
  'undici dispatch',
  'undici dispatch, hash',
  'undici dispatch, hash, file, outcome',
  'node:http, hash, file, outcome',
  'bare socket, hash, file, outcome',
  'the hash alone',
  'the file alone',
] as const;

interface Cost {
  readonly userUs: number;
  readonly systemUs: number;
  readonly seconds: number;
}

const { values } = parseArgs({
  options: {
    rounds: { type: 'string', default: '3' },
    files: { type: 'string', default: '15000' },
    'at-once': { type: 'string', default: '16' },
  },
});
const costs = new Map<string, Cost[]>(WAYS.map((way) => [way, []]));
const load = loadavg()[0]!.toFixed(1);
for (let round = 0; round < Number(values.rounds); round++)
  for (const way of round % 2 === 0 ? WAYS : [...WAYS].reverse()) costs.get(way)!.push(await measured(way));

const sum = ({ userUs, systemUs }: Cost) => userUs + systemUs;
process.stdout.write(
  `${values.files} files of 20 KB, load average ${load} before and ${loadavg()[0]!.toFixed(1)} after\n\n${table([
    ['way', 'CPU, µs a file', 'least', 'most', 'user', 'system'],
    ...WAYS.map((way) => {
      const all = costs.get(way)!;
      const numbers = [median(all.map(sum)), Math.min(...all.map(sum)), Math.max(...all.map(sum))];
      const parts = [median(all.map(({ userUs }) => userUs)), median(all.map(({ systemUs }) => systemUs))];
      return [way, ...[...numbers, ...parts].map((number) => number.toFixed(0))];
    }),
  ])}\n`,
);

/** Servers of its own, so that nobody inherits another's warm ones. */
async function measured(way: string): Promise<Cost> {
  const pipeline = await openPipeline();
  try {
    const client = fileURLToPath(new URL('./floor-client.ts', import.meta.url));
    const child = spawn(
      process.execPath,
      [
        '--conditions=source',
        client,
        way,
        pipeline.files.url,
        values.files,
        values['at-once'],
        join(pipeline.folder, 'floor'),
      ],
      { stdio: ['pipe', 'pipe', 'inherit'] },
    );
    const ended = once(child, 'close');
    let cost: Cost | undefined;
    for await (const line of createInterface({ input: child.stdout })) {
      if (line === 'ready') child.stdin.end('go\n');
      else cost = JSON.parse(line) as Cost;
    }
    await ended;
    if (!cost) throw new Error(`"${way}" said nothing`);
    return cost;
  } finally {
    await pipeline.stop();
  }
}
