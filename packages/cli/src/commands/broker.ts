/** `weir broker`: the dev broker in the foreground, for any Kafka client. */

import { type Command, Option } from 'commander';
import { wholeNumber } from '../options.ts';
import type { Session } from '../session.ts';

interface BrokerFlags {
  port: number;
  nodes: number;
  host: string;
  advertisedHost?: string;
  retentionMb: number;
  autoCreate?: number;
}

export function addBroker(program: Command, open: () => Session): void {
  program
    .command('broker')
    .description('run a Kafka-protocol broker in this process: in memory, for development and tests')
    .addOption(
      new Option('--port <port>', 'port of the first node; the others take the next ones; 0 picks free ones')
        .default(9092)
        .argParser(wholeNumber('--port', 0, 65_535)),
    )
    .addOption(new Option('--nodes <count>', 'nodes to show').default(1).argParser(wholeNumber('--nodes', 1, 64)))
    .option('--host <address>', 'address to listen on', '127.0.0.1')
    .option('--advertised-host <host>', 'address that clients are told')
    .addOption(
      new Option('--retention-mb <mb>', 'bound on the memory of all logs; the oldest records go first')
        .default(256)
        .argParser(wholeNumber('--retention-mb', 1, 1_000_000)),
    )
    .addOption(
      new Option('--auto-create <partitions>', 'make topics that clients ask for, with so many partitions').argParser(
        wholeNumber('--auto-create', 1, 10_000),
      ),
    )
    .action(async (flags: BrokerFlags) => {
      const { startBroker } = await import('@weir/dev-broker');
      const session = open();
      const broker = await startBroker({
        port: flags.port,
        nodes: flags.nodes,
        host: flags.host,
        retentionBytes: flags.retentionMb * 1024 * 1024,
        ...(flags.advertisedHost === undefined ? {} : { advertisedHost: flags.advertisedHost }),
        ...(flags.autoCreate === undefined ? {} : { autoCreateTopics: flags.autoCreate }),
        clock: session.clock,
        random: session.random,
        log: session.log,
      });
      session.print(
        `broker listens on ${broker.brokers.join(',')}; KAFKA_BROKERS=${broker.brokers.join(',')}; Ctrl-C ends it`,
      );
      await ended(session.signal);
      await broker.stop();
    });
}

/** Resolves when the signal aborts; keeps the process alive until then. */
export async function ended(signal: AbortSignal): Promise<void> {
  if (signal.aborted) return;
  await new Promise<void>((resolve) => signal.addEventListener('abort', () => resolve(), { once: true }));
}
