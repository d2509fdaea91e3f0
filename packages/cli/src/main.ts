/**
 * The command line. Exit codes: 0 done, 1 it went wrong (a demo that is not verified, a topic that is missing), 2 it was
 * asked for in a way that cannot be. Errors are written for people; `--verbose` adds the stack and the logs.
 */
import { pathToFileURL } from 'node:url';
import { describeError, WeirError } from '@weir/core';
import { ConfigError } from '@weir/sdk';
import { Command, CommanderError } from 'commander';
import { addBroker } from './commands/broker.ts';
import { addDemo } from './commands/demo.ts';
import { addDev } from './commands/dev.ts';
import { addDlq } from './commands/dlq.ts';
import { addExplain } from './commands/explain.ts';
import { addManifests } from './commands/manifests.ts';
import { addRun } from './commands/run.ts';
import { addSource } from './commands/source.ts';
import { addTopics } from './commands/topics.ts';
import { ERRORS, ServiceUnknownError, UsageError } from './errors.ts';
import { openSession } from './session.ts';

export const EXIT = { done: 0, failed: 1, usage: 2 } as const;

export function buildProgram(): Command {
  const program = new Command('weir')
    .description('Kafka pipeline workers that know how many of themselves are needed')
    .option('-v, --verbose', 'show logs and the stack of an error')
    .showHelpAfterError('(weir --help shows what there is)')
    .exitOverride();
  const open = () => openSession({ verbose: program.opts<{ verbose?: boolean }>().verbose ?? false });
  addDemo(program, open);
  addDev(program, open);
  addRun(program);
  addSource(program, open);
  addBroker(program, open);
  addTopics(program, open);
  addExplain(program, open);
  addManifests(program, open);
  addDlq(program, open);
  return program;
}

/** @returns the exit code */
export async function main(args: readonly string[]): Promise<number> {
  const program = buildProgram();
  for (const command of program.commands) command.exitOverride();
  try {
    await program.parseAsync([...args], { from: 'user' });
    return Number(process.exitCode ?? EXIT.done);
  } catch (error) {
    if (error instanceof CommanderError) return error.exitCode === 0 ? EXIT.done : EXIT.usage;
    const usage = error instanceof UsageError || error instanceof ConfigError || error instanceof ServiceUnknownError;
    const fix = error instanceof WeirError ? (ERRORS as Record<string, { fix: string }>)[error.code]?.fix : undefined;
    const text = error instanceof ConfigError ? error.message : describeError(error);
    process.stderr.write(`weir: ${text}\n${fix ? `${fix} (${(error as WeirError).code})\n` : ''}`);
    if (program.opts<{ verbose?: boolean }>().verbose && error instanceof Error)
      process.stderr.write(`${error.stack}\n`);
    return usage ? EXIT.usage : EXIT.failed;
  }
}

const [, script] = process.argv;
// Also through bin/weir.js of a build, which imports this file.
if (
  script !== undefined &&
  (import.meta.url === pathToFileURL(script).href || script.endsWith('weir.js') || script.endsWith('weir'))
) {
  process.exitCode = await main(process.argv.slice(2));
}
