/** `weir source`: publishes claim events and serves their attachments, until Ctrl-C (workers still have to fetch them). */
import { mkdir } from 'node:fs/promises';
import { join } from 'node:path';
import { eventsRaw } from '@weir/contracts';
import { type Command, Option } from 'commander';
import { bytes } from '../demo/view.ts';
import { brokerList, positiveNumber, wholeNumber } from '../options.ts';
import { connect, type Session, withKafka } from '../session.ts';
import { FolderFiles, MadeFiles } from '../source/files.ts';
import { writeLedger } from '../source/ledger.ts';
import { planSource } from '../source/plan.ts';
import { publish } from '../source/publish.ts';
import { FileServers } from '../source/server.ts';
import { ended } from './broker.ts';

interface SourceFlags {
  events: number;
  rate?: number;
  files?: string;
  faults: boolean;
  seed?: number;
  hosts: number;
  latency: number;
  sizeLimit: number;
  out: string;
  brokers?: string;
  prefix?: string;
  exit: boolean;
}

export function addSource(program: Command, open: () => Session): void {
  program
    .command('source')
    .description('publish claim events whose attachments are served from loopback addresses of this machine')
    .addOption(
      new Option('--events <count>', 'how many').default(100).argParser(wholeNumber('--events', 0, 10_000_000)),
    )
    .option(
      '--rate <rate>',
      'events a second in the mean, as a slow start, a burst and a quiet end; all at once without',
      positiveNumber('--rate'),
    )
    .option('--files <folder>', 'serve the files of a folder (50 MB each at most) instead of made ones')
    .option('--faults', 'let URLs fail by rule, and send some poison records', false)
    .option(
      '--seed <number>',
      'the same seed makes the same events and files; random without',
      wholeNumber('--seed', 0, 2 ** 32 - 1),
    )
    .addOption(
      new Option('--hosts <count>', 'loopback addresses to serve from')
        .default(4)
        .argParser(wholeNumber('--hosts', 1, 200)),
    )
    .addOption(
      new Option('--latency <ms>', 'mean wait before a file’s first byte')
        .default(50)
        .argParser(wholeNumber('--latency', 0, 60_000)),
    )
    .addOption(
      new Option('--size-limit <bytes>', 'MAX_FILE_BYTES of the workers: oversized files are one byte larger')
        .default(50 * 1024 * 1024)
        .argParser(wholeNumber('--size-limit', 1, 2 ** 40)),
    )
    .option('--out <folder>', 'where the ledger, source.ndjson, goes', '.')
    .option('--brokers <list>', 'host:port, separated by commas; else KAFKA_BROKERS', brokerList)
    .option('--prefix <prefix>', 'of the topic; else WEIR_TOPIC_PREFIX, else xact')
    .option('--exit', 'end when everything is published, although nobody can fetch the files then', false)
    .action(async (flags: SourceFlags) => {
      const session = open();
      const { clock, random, print, signal } = session;
      const { kafka, prefix } = connect(withKafka(session.env, flags), session);
      const seed = flags.seed ?? random.below(2 ** 31);
      const files = flags.files === undefined ? new MadeFiles(seed) : await FolderFiles.open(flags.files, seed);
      const servers = new FileServers({ clock, hosts: flags.hosts, sizeLimitBytes: flags.sizeLimit });
      const producer = kafka.producer();
      try {
        await servers.start();
        const plan = await planSource({
          events: flags.events,
          seed,
          faults: flags.faults,
          files,
          hosts: flags.hosts,
          startAt: clock.now(),
          latencyMs: flags.latency,
          serve: (host, attachment) => servers.add(host, attachment),
        });
        await mkdir(flags.out, { recursive: true });
        const ledger = join(flags.out, 'source.ndjson');
        await writeLedger(ledger, plan.ledger);
        print(`seed ${seed}; ledger ${ledger}; files on ${servers.bases.join(' ')}`);
        await producer.start();
        const progress = { sent: 0 };
        await publish({
          producer,
          topic: `${prefix}.${eventsRaw.name}`,
          records: plan.records,
          ratePerSecond: flags.rate ?? 0,
          clock,
          signal,
          progress,
        });
        const { events, attachments, poison, faults } = plan.totals;
        print(
          `published ${progress.sent} records to ${prefix}.${eventsRaw.name}: ${events} events with ${attachments} attachments ` +
            `(${bytes(plan.totals.bytes)}), ${poison} poison, ${faults} faulty URLs`,
        );
        if (flags.exit) return;
        print('serving the attachments; Ctrl-C ends it');
        await ended(signal);
        print(`served ${servers.totals.requests} requests, ${bytes(servers.totals.bytes)}`);
      } finally {
        await producer.stop(AbortSignal.timeout(5_000)).catch(() => undefined);
        await servers.stop();
      }
    });
}
