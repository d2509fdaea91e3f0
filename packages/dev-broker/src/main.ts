/**
 * Runs the broker as a process of its own: `node --conditions=source packages/dev-broker/src/main.ts --port 9092`.
 * One JSON line says where it listens; SIGTERM and SIGINT end it. Logs go to standard error.
 */
import { parseArgs } from 'node:util';
import { createLogger, describeError } from '@weir/core';
import { startBroker } from './broker.ts';
import type { BrokerOptions } from './options.ts';

const USAGE = `Usage: weir broker [options]
  --port N             port of the first node, the others take the next ones (0: free ports)
  --nodes N            nodes to show (1)
  --host ADDRESS       address to listen on (127.0.0.1)
  --advertised-host H  address that clients are told
  --retention-mb N     bound on the memory of all logs (256)
  --auto-create N      partitions of topics that clients' metadata requests make (none are made)
`;

function readOptions(args: readonly string[]): BrokerOptions | 'help' {
  const { values } = parseArgs({
    args: [...args],
    options: {
      port: { type: 'string' },
      nodes: { type: 'string' },
      host: { type: 'string' },
      'advertised-host': { type: 'string' },
      'retention-mb': { type: 'string' },
      'auto-create': { type: 'string' },
      help: { type: 'boolean' },
    },
  });
  if (values.help) return 'help';
  return {
    ...(values.port === undefined ? {} : { port: Number(values.port) }),
    ...(values.nodes === undefined ? {} : { nodes: Number(values.nodes) }),
    ...(values.host === undefined ? {} : { host: values.host }),
    ...(values['advertised-host'] === undefined ? {} : { advertisedHost: values['advertised-host'] }),
    ...(values['retention-mb'] === undefined ? {} : { retentionBytes: Number(values['retention-mb']) * 1024 * 1024 }),
    ...(values['auto-create'] === undefined ? {} : { autoCreateTopics: Number(values['auto-create']) }),
  };
}

async function main(): Promise<void> {
  const options = readOptions(process.argv.slice(2));
  if (options === 'help') {
    process.stdout.write(USAGE);
    return;
  }
  const log = createLogger({ name: 'broker', destination: { write: (line) => void process.stderr.write(line) } });
  const broker = await startBroker({ ...options, log });
  const stop = () => void broker.stop().then(() => process.exit(0));
  process.once('SIGTERM', stop);
  process.once('SIGINT', stop);
  process.stdout.write(`${JSON.stringify({ brokers: broker.brokers })}\n`);
}

main().catch((error: unknown) => {
  process.stderr.write(`${describeError(error)}\n${USAGE}`);
  process.exitCode = 1;
});
