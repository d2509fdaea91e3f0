/**
 * `weir dlq list|view|replay|resolve`: dead letters for people. What is done to them is the dlq-handler's own desk; here
 * are only options and output. Needs KAFKA_BROKERS and TABLES_URL as the dlq-handler has them; the topology comes from
 * WEIR_TOPOLOGY, or from the declarations.
 */
import { writeFile } from 'node:fs/promises';
import { isDuration, parseDuration } from '@weir/core';
import type { DeadLetterDesk, Letter, LetterFilter } from '@weir/dlq-handler/worker';
import { ERROR_CLASSES, type ErrorClass, readTopology } from '@weir/sdk';
import { type Command, Option } from 'commander';
import { UsageError } from '../errors.ts';
import { brokerList, positiveNumber } from '../options.ts';
import { connect, type Session, withKafka } from '../session.ts';

interface DlqFlags {
  brokers?: string;
  prefix?: string;
  tables?: string;
  worker?: string;
  topic?: string;
  class?: ErrorClass;
  state?: 'dead' | 'replayed' | 'resolved';
  since?: string;
  json?: boolean;
  all?: boolean;
  dryRun?: boolean;
  rate?: number;
  out?: string;
}

const STATES = ['dead', 'replayed', 'resolved'] as const;

export function addDlq(program: Command, open: () => Session): void {
  const dlq = program.command('dlq').description('dead letters: list, view, replay, resolve');
  const place = (command: Command) =>
    command
      .option('--brokers <list>', 'host:port, separated by commas; else KAFKA_BROKERS', brokerList)
      .option('--prefix <prefix>', 'of topics and groups; else WEIR_TOPIC_PREFIX, else xact')
      .option('--tables <url>', 'where the tables are; else TABLES_URL');
  const filters = (command: Command) =>
    place(command)
      .option('--worker <name>', 'of this worker only')
      .option('--topic <name>', 'that came from this topic only')
      .addOption(new Option('--class <class>', 'of this error class only').choices(ERROR_CLASSES))
      .addOption(new Option('--state <state>', 'in this state only').choices(STATES))
      .option('--since <duration>', 'that failed within this time only, such as 2h');

  filters(dlq.command('list'))
    .description('what there is, the latest failure first')
    .option('--json', 'a JSON line each')
    .action((flags: DlqFlags) =>
      atDesk(open(), flags, async (desk, session) => {
        const letters = await desk.list(filterOf(flags, session));
        for (const letter of letters) session.print(flags.json ? JSON.stringify(letter) : letterLine(letter));
        if (!flags.json) session.print(`${letters.length} dead letters`);
      }),
    );

  place(dlq.command('view'))
    .description('one, with its headers and its original bytes')
    .argument('<id>', 'as the list has it')
    .option('--out <file>', 'write the bytes to a file instead of showing them')
    .action((id: string, flags: DlqFlags) =>
      atDesk(open(), flags, async (desk, session) => {
        const { letter, headers, key, value } = await desk.view(id, { signal: session.signal });
        session.print(letterLine(letter));
        session.print(
          `  first seen ${time(letter.firstSeen)}, failed ${time(letter.failedAt)}, ${letter.attempts} attempts`,
        );
        session.print(`  bytes at ${letter.dlq.topic}/${letter.dlq.partition}/${letter.dlq.offset}`);
        session.print(`  key ${key === null ? 'none' : JSON.stringify(key.toString('utf8'))}`);
        for (const [name, text] of Object.entries(headers)) session.print(`  ${name}: ${visible(text)}`);
        if (flags.out !== undefined) {
          await writeFile(flags.out, value ?? new Uint8Array());
          session.print(`  ${value?.length ?? 0} bytes written to ${flags.out}`);
        } else session.print(value === null ? '  no value (a tombstone)' : `\n${visible(value.toString('utf8'))}`);
      }),
    );

  filters(dlq.command('replay'))
    .description('send the original bytes back to where they came from')
    .argument('[id...]', 'these; or filters with --all')
    .option('--all', 'every dead letter that matches the filters and is neither replayed nor resolved', false)
    .option('--dry-run', 'say what would happen', false)
    .option('--rate <rate>', 'at most so many a second', positiveNumber('--rate'))
    .action((ids: string[], flags: DlqFlags) =>
      atDesk(open(), flags, async (desk, session) => {
        const letters = await chosen(desk, ids, flags, session);
        let wrong = 0;
        const options = {
          dryRun: flags.dryRun ?? false,
          signal: session.signal,
          ...(flags.rate === undefined ? {} : { ratePerSecond: flags.rate }),
        };
        for await (const { letter, outcome, to, error } of desk.replay(letters, options)) {
          if (outcome === 'failed' || outcome === 'gone') wrong++;
          session.print(`${outcome.padEnd(13)} ${letter.id}${to ? ` -> ${to}` : ''}${error ? `: ${error}` : ''}`);
        }
        session.print(`${letters.length - wrong} of ${letters.length} done`);
        if (wrong > 0) process.exitCode = 1;
      }),
    );

  filters(dlq.command('resolve'))
    .description('mark as dealt with; nothing is deleted')
    .argument('[id...]', 'these; or filters with --all')
    .option('--all', 'every dead letter that matches the filters', false)
    .action((ids: string[], flags: DlqFlags) =>
      atDesk(open(), flags, async (desk, session) => {
        const resolved = await desk.resolve(await chosen(desk, ids, flags, session));
        for (const { id } of resolved) session.print(`resolved ${id}`);
        session.print(`${resolved.length} resolved`);
      }),
    );
}

async function atDesk(
  session: Session,
  flags: DlqFlags,
  work: (desk: DeadLetterDesk, session: Session) => Promise<void>,
): Promise<void> {
  const { deadLetters } = await import('@weir/contracts');
  const { DeadLetterDesk } = await import('@weir/dlq-handler/worker');
  const { openTable } = await import('@weir/lake');
  const { openStore } = await import('@weir/storage');
  const { clock, random, log } = session;
  const env = withKafka(session.env, flags);
  const tables = flags.tables ?? env.TABLES_URL;
  if (!tables) throw new UsageError('say where the tables are: --tables or TABLES_URL, as the dlq-handler has it');
  const { kafka } = connect(env, session);
  const topology = env.WEIR_TOPOLOGY?.trim()
    ? readTopology(env.WEIR_TOPOLOGY.trim())
    : (await import('../pipeline.ts')).resolvePipeline(() => env).topology;
  const store = await openStore(tables, { env, clock, log });
  try {
    const table = await openTable({ store, path: deadLetters.name, spec: deadLetters, clock, random, log });
    try {
      await work(new DeadLetterDesk({ table, kafka, topology, clock, random }), session);
    } finally {
      await table.close();
    }
  } finally {
    await store.close();
  }
}

async function chosen(
  desk: DeadLetterDesk,
  ids: readonly string[],
  flags: DlqFlags,
  session: Session,
): Promise<readonly Letter[]> {
  if (ids.length > 0 && flags.all) throw new UsageError('name letters, or say --all: not both');
  if (ids.length > 0) return desk.find(ids);
  if (!flags.all) throw new UsageError('name letters, or say --all (filters narrow it)');
  return desk.list({ state: 'dead', ...filterOf(flags, session) });
}

export function filterOf(flags: DlqFlags, { clock }: Pick<Session, 'clock'>): LetterFilter {
  if (flags.since !== undefined && !isDuration(flags.since))
    throw new UsageError(`--since takes a duration such as 30m or 2h, not ${JSON.stringify(flags.since)}`);
  return {
    ...(flags.worker === undefined ? {} : { worker: flags.worker }),
    ...(flags.topic === undefined ? {} : { topic: flags.topic }),
    ...(flags.class === undefined ? {} : { errorClass: flags.class }),
    ...(flags.state === undefined ? {} : { state: flags.state }),
    ...(flags.since === undefined ? {} : { since: clock.now() - parseDuration(flags.since) }),
  };
}

export function letterLine({ id, state, errorClass, failedAt, error, key }: Letter): string {
  return `${id}  ${state}  ${errorClass}  ${time(failedAt)}  key ${visible(key ?? '-')}  ${visible(error)}`;
}

function time(at: number): string {
  return new Date(at).toISOString();
}

/** A dead letter is bytes from anywhere: control characters must not steer the terminal. */
export function visible(text: string): string {
  return text.replace(/[^\P{Cc}\n\t]/gu, (character) => `\\x${character.charCodeAt(0).toString(16).padStart(2, '0')}`);
}
