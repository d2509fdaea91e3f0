/** What every command shares: the environment, a logger for people, Ctrl-C as an AbortSignal, a Kafka connection. */
import {
  type Clock,
  createLogger,
  type Logger,
  type LogLevel,
  type Random,
  systemClock,
  systemRandom,
} from '@weir/core';
import { type Admin, type KafkaPort, resolveKafka } from '@weir/sdk';
import { kafkajsPort } from '@weir/sdk/runtime';

export type Environment = Readonly<Record<string, string | undefined>>;

export interface Session {
  readonly env: Environment;
  readonly clock: Clock;
  readonly random: Random;
  readonly log: Logger;
  /** One line to standard output. */
  readonly print: (line: string) => void;
  /** Aborts at the first Ctrl-C or SIGTERM; the second ends the process at once. */
  readonly signal: AbortSignal;
}

export function openSession(options: { verbose: boolean }): Session {
  const stop = new AbortController();
  const onSignal = (name: NodeJS.Signals) => {
    if (stop.signal.aborted) process.exit(130);
    stop.abort(new Error(`stopped by ${name}`));
  };
  process.on('SIGINT', onSignal);
  process.on('SIGTERM', onSignal);
  process.on('SIGHUP', onSignal);
  const level: LogLevel = options.verbose ? 'debug' : 'silent';
  return {
    env: process.env,
    clock: systemClock,
    random: systemRandom,
    // Standard output belongs to what the command says; logs go beside it.
    log: createLogger({ name: 'weir', level, destination: { write: (line) => void process.stderr.write(line) } }),
    print: (line) => void process.stdout.write(`${line}\n`),
    signal: stop.signal,
  };
}

/** The environment with `--brokers` and `--prefix` over it. */
export function withKafka(env: Environment, options: { brokers?: string; prefix?: string }): Environment {
  return {
    ...env,
    ...(options.brokers === undefined ? {} : { KAFKA_BROKERS: options.brokers }),
    ...(options.prefix === undefined ? {} : { WEIR_TOPIC_PREFIX: options.prefix }),
  };
}

export function connect(env: Environment, session: Session): { kafka: KafkaPort; prefix: string } {
  const { kafka, prefix, warnings } = resolveKafka(env, { name: 'weir' });
  for (const warning of warnings) session.log.warn({}, warning);
  return { kafka: kafkajsPort({ settings: kafka, log: session.log, clock: session.clock }), prefix };
}

/** Runs `work` with an admin client, and closes it whatever happens. */
export async function withAdmin<T>(kafka: KafkaPort, work: (admin: Admin) => Promise<T>): Promise<T> {
  const admin = kafka.admin();
  try {
    await admin.start();
    return await work(admin);
  } finally {
    await admin.stop().catch(() => undefined);
  }
}
