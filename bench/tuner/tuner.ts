/**
 * npm run bench -- tuner [--model] [--seconds 45] [--work-ms 40] [--rounds N] [--charts FOLDER]
 *
 * Does a worker find what its downstream can bear? A real worker process on the development broker makes one HTTP request
 * per record to a server that works on 25 of them at once, 40 ms each (or as told), and queues the rest; then on 12; then on 25 again.
 * Nobody tells the worker. Once it tunes its handler limit, once the same through a dependency's bulkhead.
 *
 * Of each phase the last third is measured (from 30 s after the change, with 45 s a phase): throughput within 20 % of the
 * best possible, p95 under twice what a call takes that does not wait. What counts is the median of the rounds; the table
 * has each. Writes a chart of each run of the last round. `--model` runs it on a clock that is moved by hand (model.ts).
 */
import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdirSync, writeFileSync } from 'node:fs';
import { createServer } from 'node:http';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { seededRandom, systemClock } from '@weir/core';
import { HiddenCapacity } from '../../packages/sdk/src/flow/hidden-capacity.fixture.ts';
import { freePorts } from '../../test/support/kafka.ts';
import { type BrokerUnderTest, fill, startDevBroker } from '../load.ts';
import { median, table, type Verdict, verdict } from '../rounds.ts';
import { chart, type Phase, type Sample } from './chart.ts';
import { runOnModel } from './model.ts';

const SLOTS = [25, 12, 25];
const HEAD = ['tuned', 'hidden capacity', 'limit', 'calls/s', 'of the best', 'p95, ms', 'of the unloaded'];

type Through = 'handler' | 'bulkhead';

export interface TunerOptions {
  /** Of one phase. */
  readonly seconds: number;
  readonly workMs: number;
  readonly rounds: number;
  readonly model: boolean;
  /** Folder for the charts; none are drawn without. */
  readonly charts: string | undefined;
}

interface World {
  readonly options: TunerOptions;
  readonly phases: readonly Phase[];
  readonly downstream: HiddenCapacity;
  readonly url: string;
  readonly broker: BrokerUnderTest;
}

export async function tuner(options: TunerOptions): Promise<{ verdicts: readonly Verdict[]; text: string }> {
  const { seconds, workMs } = options;
  const phases: Phase[] = SLOTS.map((slots, at) => ({
    from: at * seconds,
    to: (at + 1) * seconds,
    slots,
    bestPerSecond: (slots / workMs) * 1000,
  }));
  const downstream = new HiddenCapacity({ slots: 25, workMs, clock: systemClock, random: seededRandom(1) });
  const server = createServer((_request, response) => void downstream.call().then(() => response.end('ok')));
  server.keepAliveTimeout = 60_000;
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  const url = `http://127.0.0.1:${(server.address() as { port: number }).port}/`;
  const world: World = { options, phases, downstream, url, broker: await startDevBroker() };
  const rows = [HEAD];
  const shares = new Map<string, { throughput: number[]; p95: number[] }>();
  try {
    for (let round = 0; round < options.rounds; round++) {
      for (const through of ['handler', 'bulkhead'] as const) {
        const { samples, unloadedP95Ms } = options.model
          ? await runOnModel({ phases, workMs, through })
          : await run(world, through, round);
        for (const phase of phases) {
          const { row, throughput, p95 } = judge(through, phase, seconds, samples, unloadedP95Ms);
          rows.push(row);
          const claim = `${through}, ${phase.slots} slots from ${phase.from} s`;
          const all = shares.get(claim) ?? { throughput: [], p95: [] };
          all.throughput.push(throughput);
          all.p95.push(p95);
          shares.set(claim, all);
        }
        if (options.charts && round === options.rounds - 1) draw(world, through, samples, unloadedP95Ms);
      }
    }
  } finally {
    server.close();
    server.closeAllConnections();
    await world.broker.stop();
  }
  const verdicts = [...shares].flatMap(([claim, { throughput, p95 }]) => [
    verdict(`${claim}: throughput of the best`, median(throughput), { least: 0.8 }),
    verdict(`${claim}: p95 of the unloaded`, median(p95), { under: 2 }),
  ]);
  return { verdicts, text: table(rows) };
}

function judge(through: Through, phase: Phase, seconds: number, samples: readonly Sample[], unloadedP95Ms: number) {
  const measured = samples.filter((each) => each.seconds > phase.to - seconds / 3 && each.seconds <= phase.to);
  const mean = (value: (sample: Sample) => number) =>
    measured.reduce((sum, each) => sum + value(each), 0) / measured.length;
  const throughput = mean((each) => each.perSecond) / phase.bestPerSecond;
  const p95 = mean((each) => each.p95Ms) / unloadedP95Ms;
  const row = [
    through,
    String(phase.slots),
    mean((each) => each.limit).toFixed(1),
    mean((each) => each.perSecond).toFixed(0),
    throughput.toFixed(2),
    (p95 * unloadedP95Ms).toFixed(0),
    p95.toFixed(2),
  ];
  return { row, throughput, p95 };
}

function draw({ options, phases }: World, through: Through, samples: readonly Sample[], unloadedP95Ms: number): void {
  const svg = chart({
    title: `The tuner finds a hidden capacity: ${through === 'handler' ? 'limit of the handlers' : 'bulkhead of a dependency'}`,
    subtitle: `${options.model ? 'A downstream that bears' : 'An HTTP server that bears'} ${SLOTS.join(', then ')} calls at once of ${options.workMs} ms, the rest waits; ${options.model ? 'on a clock moved by hand' : 'real processes'}; one sample a second`,
    samples,
    phases,
    unloadedP95Ms,
  });
  mkdirSync(options.charts!, { recursive: true });
  writeFileSync(join(options.charts!, `tuner-${through}.svg`), svg);
}

/** One worker's life through all phases. */
async function run(
  { options, phases, downstream, url, broker }: World,
  through: Through,
  round: number,
): Promise<{ samples: Sample[]; unloadedP95Ms: number }> {
  const topic = `calls-${through}-${round}`;
  downstream.resize(25);
  downstream.ended.length = 0;
  const records = Math.ceil(phases.reduce((sum, each) => sum + each.bestPerSecond * options.seconds, 0) * 1.2);
  await fill({ brokers: broker.brokers, topic: `bench.${topic}`, partitions: 4, records, bytes: 20 });
  const [port] = await freePorts(1);
  const child: ChildProcess = spawn(
    process.execPath,
    [
      '--conditions=source',
      join(import.meta.dirname, 'worker.ts'),
      broker.brokers.join(','),
      topic,
      url,
      through,
      String(port),
    ],
    { stdio: ['pipe', 'pipe', 'inherit'] },
  );
  const samples: Sample[] = [];
  let unloadedP95Ms = 0;
  let begunAt: number | undefined;
  try {
    for await (const line of createInterface({ input: child.stdout! })) {
      const said = JSON.parse(line) as { kind: string; calls: number; p95Ms: number };
      if (said.kind === 'unloaded') {
        unloadedP95Ms = said.p95Ms;
        continue;
      }
      if (said.calls === 0) continue;
      // The first second with calls is not a whole one.
      begunAt ??= performance.now();
      const seconds = (performance.now() - begunAt) / 1000;
      if (seconds > phases.at(-1)!.to) break;
      const phase = phases.find((each) => seconds < each.to) ?? phases.at(-1)!;
      if (downstream.slots !== phase.slots) downstream.resize(phase.slots);
      samples.push({ seconds, limit: await limitAt(port!), perSecond: said.calls, p95Ms: said.p95Ms });
    }
  } finally {
    child.stdin!.end();
    const killer = setTimeout(() => child.kill('SIGKILL'), 10_000);
    if (child.exitCode === null) await once(child, 'close');
    clearTimeout(killer);
  }
  return { samples, unloadedP95Ms };
}

async function limitAt(port: number): Promise<number> {
  const page = await (await fetch(`http://127.0.0.1:${port}/metrics`)).text();
  return Number(/^weir_concurrency_limit\{[^}]*\} (\d+)/m.exec(page)?.[1]);
}
