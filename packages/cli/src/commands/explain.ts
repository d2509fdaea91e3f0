/**
 * `weir explain`: how many of each worker are wanted and why, in words and numbers, from what the groups' own offsets
 * say. Any machine that reaches Kafka gets the answer that the workers and the scaler give. `weir plan` is the same in
 * one line for each, or as JSON.
 */
import type { Admin, ScalingAnswer, TopologyWorker } from '@weir/sdk';
import { ScalingView } from '@weir/sdk/runtime';
import type { Command } from 'commander';
import { UsageError } from '../errors.ts';
import { brokerList } from '../options.ts';
import { connect, type Session, withAdmin, withKafka } from '../session.ts';

interface PlanFlags {
  brokers?: string;
  prefix?: string;
  json?: boolean;
}

interface Answered {
  readonly worker: string;
  readonly answer: ScalingAnswer | undefined;
  readonly error: string | undefined;
}

export function addExplain(program: Command, open: () => Session): void {
  const common = (command: Command) =>
    command
      .argument('[worker...]', 'only these')
      .option('--brokers <list>', 'host:port, separated by commas; else KAFKA_BROKERS', brokerList)
      .option('--prefix <prefix>', 'of the groups; else WEIR_TOPIC_PREFIX, else xact');

  common(program.command('plan'))
    .description('how many of each worker are wanted, a line each')
    .option('--json', 'the whole answers, a JSON line each')
    .action(async (workers: string[], flags: PlanFlags) => {
      const session = open();
      for (const { worker, answer, error } of await answers(session, workers, flags)) {
        if (flags.json) session.print(JSON.stringify(answer ?? { worker, error }));
        else session.print(answer ? planLine(answer) : `${worker.padEnd(18)} ${error}`);
        if (!answer) process.exitCode = 1;
      }
    });

  common(program.command('explain'))
    .description('why so many of each worker are wanted, in words and numbers')
    .action(async (workers: string[], flags: PlanFlags) => {
      const session = open();
      for (const { worker, answer, error } of await answers(session, workers, flags)) {
        for (const line of answer ? explanation(answer) : [`${worker}: no answer: ${error}`]) session.print(line);
        session.print('');
        if (!answer) process.exitCode = 1;
      }
    });
}

async function answers(session: Session, names: readonly string[], flags: PlanFlags): Promise<Answered[]> {
  const { resolvePipeline } = await import('../pipeline.ts');
  const env = withKafka(session.env, flags);
  const all = resolvePipeline(() => env).topology.workers;
  const unknown = names.find((name) => !all.some((worker) => worker.name === name));
  if (unknown !== undefined)
    throw new UsageError(
      `there is no worker ${JSON.stringify(unknown)}; there are ${all.map(({ name }) => name).join(', ')}`,
    );
  const wanted = all.filter(({ name }) => names.length === 0 || names.includes(name));
  return withAdmin(connect(env, session).kafka, (admin) =>
    Promise.all(wanted.map((worker) => ask(worker, admin, session))),
  );
}

/** One look: the view's first answer. */
async function ask(worker: TopologyWorker, admin: Admin, { clock, log }: Session): Promise<Answered> {
  const view = new ScalingView({ admin, worker, clock, log, intervalMs: 10_000 });
  await view.start();
  const reply = view.answer();
  await view.stop();
  return reply.status === 200
    ? { worker: worker.name, answer: reply.body, error: undefined }
    : { worker: worker.name, answer: undefined, error: reply.body.error };
}

export function planLine(answer: ScalingAnswer): string {
  const { worker, running, desiredReplicas, backlog, lagSeconds, reason } = answer;
  const age = lagSeconds === null || lagSeconds === 0 ? '' : `, ${lagSeconds.toFixed(1)} s old`;
  return `${worker.padEnd(18)} ${running} -> ${desiredReplicas}  ${reason}  (${backlog} waiting${age})`;
}

export function explanation(answer: ScalingAnswer): string[] {
  const rate = (value: number | null) => (value === null ? 'unknown' : `${value.toFixed(1)}/s`);
  const lines = [
    `${answer.worker}: ${answer.desiredReplicas} wanted, ${answer.running} running: ${answer.reason}`,
    `  ${answer.why}`,
    `  group ${answer.group} reads ${answer.topics.join(', ')} (${answer.partitions} partitions)`,
    `  arriving ${rate(answer.arrivalPerSecond)}; one worker manages ${rate(answer.workerPerSecond)}` +
      (answer.workerBound === null ? '' : `, bounded by its ${BOUNDS[answer.workerBound]}`),
    `  waiting ${answer.backlog} records` +
      (answer.lagSeconds === null ? '' : `, the oldest for ${answer.lagSeconds.toFixed(1)} s`),
  ];
  if (answer.heaviest !== null) {
    lines.push(
      `  with ${answer.desiredReplicas} the heaviest is at ${Math.round(answer.heaviest * 100)} % of what it can do`,
    );
  }
  if (answer.bound.length > 0) {
    const partitions = answer.bound.map(({ topic, partition }) => `${topic}/${partition}`).join(', ');
    lines.push(
      `  ${partitions} get more than one worker can do for a partition; ${answer.partitionsNeeded ?? 'more'} partitions would do`,
    );
  }
  lines.push(`  KEDA reads ${answer.signalValue} with target 1`);
  return lines;
}

const BOUNDS: Readonly<Record<NonNullable<ScalingAnswer['workerBound']>, string>> = {
  lanes: 'lanes (the order of its records)',
  limit: 'concurrency limit',
  shown: 'best rate shown so far',
};
