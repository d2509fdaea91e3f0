/** `weir demo`: options of the run; what happens is demo/demo.ts. */
import { join } from 'node:path';
import { type Command, Option } from 'commander';
import { plainStage, terminalStage } from '../demo/stage.ts';
import { brokerList, positiveNumber, wholeNumber } from '../options.ts';
import type { Session } from '../session.ts';

interface DemoFlags {
  events: number;
  rate?: number;
  files?: string;
  out?: string;
  report?: string;
  faults: boolean;
  kill: number;
  seed: number;
  brokers?: string;
  patience: number;
}

export function addDemo(program: Command, open: () => Session): void {
  program
    .command('demo')
    .description('run the whole pipeline on this machine, watch it scale, and verify every row and every byte')
    .addOption(
      new Option('--events <count>', 'claim events to send; three attachments each in the mean')
        .default(500)
        .argParser(wholeNumber('--events', 1, 1_000_000)),
    )
    .option(
      '--rate <rate>',
      'events a second in the mean; chosen for about 40 seconds without',
      positiveNumber('--rate'),
    )
    .option('--files <folder>', 'use the files of a folder (any type, 50 MB each at most) instead of made ones')
    .option('--out <folder>', 'where everything goes; ./out/demo-TIME without')
    .option('--report <file>', 'write the report as JSON')
    .option('--faults', 'let attachments fail by rule, and send some poison records', false)
    .addOption(
      new Option('--kill <count>', 'kill -9 so many random workers on the way')
        .default(0)
        .argParser(wholeNumber('--kill', 0, 100)),
    )
    .addOption(
      new Option('--seed <number>', 'of the made data and of who is killed')
        .default(1)
        .argParser(wholeNumber('--seed', 0, 2 ** 32 - 1)),
    )
    .option(
      '--brokers <list>',
      'a real Kafka, host:port by commas; else KAFKA_BROKERS; else the dev broker',
      brokerList,
    )
    .addOption(
      new Option('--patience <seconds>', 'how long without any movement counts as stuck')
        .default(90)
        .argParser(wholeNumber('--patience', 10, 3600)),
    )
    .action(async (flags: DemoFlags) => {
      // Loaded when asked for: the demo needs every package, and the other commands start faster without them.
      const { runDemo } = await import('../demo/demo.ts');
      const session = open();
      const { env, clock, random, log, print, signal } = session;
      const stamp = new Date(clock.now())
        .toISOString()
        .replace(/\.\d+Z$/, '')
        .replace(/[-:]/g, '')
        .replace('T', '-');
      const report = await runDemo(
        {
          events: flags.events,
          rate: flags.rate,
          files: flags.files,
          out: flags.out ?? join('out', `demo-${stamp}`),
          report: flags.report,
          faults: flags.faults,
          kills: flags.kill,
          seed: flags.seed,
          brokers: flags.brokers ?? (env.KAFKA_BROKERS?.trim() ? env.KAFKA_BROKERS : undefined),
          patienceMs: flags.patience * 1000,
        },
        {
          env,
          clock,
          random,
          log,
          signal,
          stage: process.stdout.isTTY ? terminalStage(process.stdout, !env.NO_COLOR) : plainStage(print),
        },
      );
      process.exitCode = report.ok ? 0 : 1;
    });
}
