/** Starts a real Kafka as the tests do and runs a command with KAFKA_BROKERS pointing to it: with-kafka.ts COMMAND ARGUMENTS… */
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { startKafka } from '../test/support/kafka.ts';

const [command, ...rest] = process.argv.slice(2);
const kafka = await startKafka();
if (!kafka || !command) throw new Error(command ? 'there is no Kafka here' : 'no command was given');
try {
  const child = spawn(command, rest, {
    stdio: 'inherit',
    env: { ...process.env, KAFKA_BROKERS: kafka.brokers.join(',') },
  });
  const [code] = (await once(child, 'exit')) as [number | null];
  process.exitCode = code ?? 1;
} finally {
  await kafka.stop();
}
