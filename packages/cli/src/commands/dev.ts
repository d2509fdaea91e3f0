/**
 * `weir dev FILE`: a worker from one file, with nothing else to start. Its topics are made on a broker in this process
 * (or on KAFKA_BROKERS), lines of standard input are sent to what it consumes, and what it sends, retries and gives up
 * is printed as it happens. When the input ends (a pipe, a file) it waits until all of it is handled, and ends.
 *
 *   echo '{"id":"o-1","total":250}' | npx weir dev sorter.ts
 */
import { createInterface } from 'node:readline';
import { pathToFileURL } from 'node:url';
import { createLogger, describeError, type Logger, silentLogger } from '@weir/core';
import {
  type Admin,
  type ConsumerListener,
  deriveTopics,
  type FetchedBatch,
  HEADER,
  type KafkaPort,
  type Producer,
  type Resolved,
  resolve,
  runWorker,
  type Worker,
} from '@weir/sdk';
import type { Command } from 'commander';
import { UsageError } from '../errors.ts';
import { connect, type Session } from '../session.ts';

const POLL_MS = 50;

/** Beside the records, which alone go to standard output. */
const note = (line: string) => void process.stderr.write(`${line}\n`);

export function addDev(program: Command, open: () => Session): void {
  program
    .command('dev')
    .description('run the worker of one file; lines of standard input are its records, what it sends is printed')
    .argument('<file>', 'a module that exports one worker')
    .option('--worker <name>', 'which one, when the file exports several')
    .option('--topic <name>', 'which consumed topic gets the input (declared name); the first unless told')
    .action(async (file: string, flags: { worker?: string; topic?: string }) => {
      const session = open();
      const worker = chosen(file, await exportsOf(file), flags.worker);
      const broker = session.env.KAFKA_BROKERS ? undefined : await startDevBroker(session);
      const brokers = broker === undefined ? session.env.KAFKA_BROKERS : broker.brokers.join(',');
      const env = { METRICS_PORT: '0', LOG_LEVEL: 'warn', ...session.env, KAFKA_BROKERS: brokers };
      const resolved = resolve(worker, env);
      const consumed = resolved.consumes.find((each) => each.topic.name === flags.topic) ?? resolved.consumes[0]!;
      if (flags.topic !== undefined && consumed.topic.name !== flags.topic)
        throw new UsageError(`--topic: ${worker.name} does not consume "${flags.topic}"`);
      const { kafka } = connect(env, session);
      const admin = kafka.admin();
      const producer = kafka.producer();
      const stop = new AbortController();
      const end = () => stop.abort(new Error('the input has ended'));
      session.signal.addEventListener('abort', end, { once: true });
      const watching = new Printer(resolved, session);
      try {
        await Promise.all([admin.start(), producer.start()]);
        await admin.createTopics(deriveTopics(resolved));
        note(`${worker.name} on ${broker ? 'a broker in this process' : brokers}; input goes to ${consumed.name}`);
        const printed = watching.start(kafka);
        const run = runWorker(worker, { env, signal: stop.signal, log: logBeside(resolved) });
        run.catch(end);
        await sendLines(producer, consumed, stop.signal);
        await producer.flush();
        await untilHandled(admin, resolved, session, stop.signal);
        end();
        await run;
        await untilPrinted(admin, watching, session);
        await (await printed).stop();
      } finally {
        end();
        await Promise.allSettled([producer.stop(), admin.stop()]);
        await broker?.stop();
      }
    });
}

/** The worker's own log, beside the records. */
function logBeside({ name, logLevel }: Resolved): Logger {
  return createLogger({ name, level: logLevel, destination: { write: (line) => void process.stderr.write(line) } });
}

async function startDevBroker(session: Session) {
  const { startBroker } = await import('@weir/dev-broker');
  return startBroker({ clock: session.clock, random: session.random, log: silentLogger });
}

async function exportsOf(file: string): Promise<Record<string, unknown>> {
  try {
    return (await import(pathToFileURL(file).href)) as Record<string, unknown>;
  } catch (error) {
    throw new UsageError(`${file} cannot be loaded: ${describeError(error)}`);
  }
}

function isWorker(value: unknown): value is Worker {
  const worker = value as Partial<Worker> | null;
  return (
    typeof worker === 'object' &&
    worker !== null &&
    typeof worker.name === 'string' &&
    Array.isArray(worker.consumes) &&
    (worker.handle !== undefined || worker.handleBatch !== undefined)
  );
}

function chosen(file: string, exported: Record<string, unknown>, name: string | undefined): Worker {
  const workers = Object.values(exported).filter(isWorker);
  const names = workers.map((worker) => worker.name).join(', ');
  if (workers.length === 0) throw new UsageError(`${file} exports no worker (what defineWorker returns)`);
  if (name === undefined && workers.length > 1)
    throw new UsageError(`${file} exports several workers; --worker is one of ${names}`);
  const worker = name === undefined ? workers[0] : workers.find((each) => each.name === name);
  if (worker === undefined) throw new UsageError(`${file} exports no worker "${name}"; there are ${names}`);
  return worker;
}

/** Each line as a record's value; the key by the topic's own rule, when the line is a value of its schema. */
async function sendLines(producer: Producer, to: Resolved['consumes'][number], signal: AbortSignal): Promise<void> {
  const lines = createInterface({ input: process.stdin, crlfDelay: Number.POSITIVE_INFINITY });
  const close = () => lines.close();
  signal.addEventListener('abort', close, { once: true });
  for await (const line of lines) {
    if (line.trim() === '') continue;
    const wait = producer.send({ topic: to.name, key: keyOf(to, line), value: Buffer.from(line) }, (error) => {
      if (error) note(`not sent: ${describeError(error)}`);
    });
    if (wait !== undefined) await wait;
  }
}

function keyOf({ topic }: Resolved['consumes'][number], line: string): string | null {
  try {
    if (!('safeParse' in topic.schema)) return null;
    const parsed = topic.schema.safeParse(JSON.parse(line));
    return parsed.success ? (topic.key?.(parsed.data as never) ?? null) : null;
  } catch {
    // No JSON: the worker is to see it as it is.
    return null;
  }
}

/** Until the group has committed everything that was sent. */
async function untilHandled(admin: Admin, resolved: Resolved, session: Session, signal: AbortSignal): Promise<void> {
  const topics = resolved.consumes.map((each) => each.name);
  while (!signal.aborted) {
    const [ends, committed] = await Promise.all([admin.offsets(topics), admin.committed(resolved.group, topics)]);
    const at = new Map(committed.map((each) => [`${each.topic}/${each.partition}`, each.offset]));
    if (ends.every(({ topic, partition, start, end }) => Math.max(start, at.get(`${topic}/${partition}`) ?? -1) >= end))
      return;
    await session.clock.sleep(POLL_MS);
  }
}

async function untilPrinted(admin: Admin, printer: Printer, session: Session): Promise<void> {
  const ends = await admin.offsets(printer.topics);
  const total = ends.reduce((sum, each) => sum + each.end - each.start, 0);
  for (let left = 100; left > 0 && printer.seen < total; left--) await session.clock.sleep(POLL_MS);
}

/** Reads what the worker produces, in a group of its own, and prints it. */
class Printer implements ConsumerListener {
  readonly #resolved: Resolved;
  readonly #session: Session;
  readonly #names: ReadonlyMap<string, string>;
  seen = 0;

  constructor(resolved: Resolved, session: Session) {
    this.#resolved = resolved;
    this.#session = session;
    this.#names = new Map([
      ...Object.values(resolved.produces).map((each) => [each.name, each.topic.name] as const),
      ...resolved.retry.map((rung) => [rung.topic, `retry in ${rung.delayMs / 1000} s`] as const),
      [resolved.deadLetters, 'dead letter'] as const,
    ]);
  }

  get topics(): string[] {
    return [...this.#names.keys()];
  }

  async start(kafka: KafkaPort): Promise<{ stop(): Promise<void> }> {
    const consumer = kafka.consumer({
      group: `${this.#resolved.group}-dev-${process.pid}`,
      topics: this.topics,
      listener: this,
      revokeWaitMs: 100,
    });
    await consumer.start();
    return consumer;
  }

  records(batch: FetchedBatch): void {
    for (const record of batch.records) {
      this.seen++;
      const value = record.raw === null ? '(no value)' : record.raw.toString('utf8');
      const error = record.rawHeaders?.[HEADER.error];
      const why = error === undefined || Array.isArray(error) ? '' : `   (${error.toString()})`;
      this.#session.print(`${this.#names.get(batch.topic) ?? batch.topic}  ${value}${why}`);
    }
  }

  async assigned(): Promise<[]> {
    return [];
  }
  async revoking(): Promise<void> {}
  async unreadable(): Promise<void> {}
  lost(): void {}
  outOfRange(): void {}
  status(): void {}
}
