/**
 * What the three chaos workers share: the topics, what a record asks for, and the handler's frame, which writes the event log.
 * The runner imports the topics too; the processes get everything else by environment.
 */
import { setTimeout as wait } from 'node:timers/promises';
import {
  type AssignedPosition,
  type KafkaRecord,
  PermanentError,
  RetryableError,
  type TopicPartition,
  topic,
} from '@weir/sdk';
import { z } from 'zod';
import { EventLog, type RecordPlace } from './event-log.ts';

export const Work = z.object({
  id: z.string(),
  key: z.string(),
  /** How long the handler takes. */
  ms: z.number(),
  /** The handler does not listen to its signal. */
  deaf: z.boolean(),
  /** So many first attempts fail; -1: every attempt, for good. */
  failures: z.number(),
});
export type Work = z.output<typeof Work>;

export const Outcome = z.object({ id: z.string(), from: z.string() });

export const PARTITIONS = 4;
const keyOf = (value: { key: string }) => value.key;
export const TOPICS = {
  tasks: topic('tasks', Work, { partitions: PARTITIONS, key: keyOf }),
  tasksDone: topic('tasks.done', Outcome, { partitions: 2, key: ({ id }) => id }),
  keys: topic('keys', Work, { partitions: PARTITIONS, key: keyOf }),
  keysDone: topic('keys.done', Outcome, { partitions: 2, key: ({ id }) => id }),
  rows: topic('rows', Work, { partitions: PARTITIONS, key: keyOf }),
  rowsDone: topic('rows.done', Outcome, { partitions: 2, key: ({ id }) => id }),
};

export const ID_HEADER = 'id';

/** The runner's own end, however it comes, ends its workers. */
export function onLeash(): void {
  process.once('disconnect', () => process.kill(process.pid, 'SIGKILL'));
  process.channel?.unref();
}

export function openLog(): EventLog {
  const path = process.env.CHAOS_LOG;
  if (path === undefined) throw new Error('CHAOS_LOG is not set: this worker is started by test/chaos/main.ts');
  return new EventLog(path);
}

export function ownership(log: EventLog) {
  return {
    async assigned(partitions: readonly AssignedPosition[]) {
      for (const { topic, partition, committed } of partitions)
        log.write({ e: 'assigned', topic, partition, committed });
    },
    revoked(partitions: readonly TopicPartition[]) {
      for (const { topic, partition } of partitions) log.write({ e: 'revoked', topic, partition });
    },
  };
}

export function placeOf(record: KafkaRecord): RecordPlace {
  const { topic, partition, offset, key } = record;
  return { id: record.headers[ID_HEADER] ?? '', topic, partition, offset, key };
}

/**
 * Begin and end of one call in the log, around the work itself.
 * @param work  puts the records that it fails one by one into the set
 */
export async function logged(
  log: EventLog,
  records: readonly KafkaRecord[],
  work: (failed: Set<KafkaRecord>) => Promise<void>,
): Promise<void> {
  const call = log.nextCall();
  for (const record of records) log.write({ e: 'begin', call, attempt: record.attempt, ...placeOf(record) });
  const failed = new Set<KafkaRecord>();
  try {
    await work(failed);
  } catch (error) {
    const text = error instanceof Error ? error.message : String(error);
    for (const record of records) log.write({ e: 'failed', call, error: text, ...placeOf(record) });
    throw error;
  }
  for (const record of records)
    if (failed.has(record)) log.write({ e: 'failed', call, error: 'failed alone', ...placeOf(record) });
    else log.write({ e: 'done', call, ...placeOf(record) });
}

/** Takes the time that the record asks for, then fails if it asks for that. */
export async function toil({ ms, deaf, failures }: Work, attempt: number, signal: AbortSignal): Promise<void> {
  if (ms > 0) await wait(ms, undefined, deaf ? {} : { signal });
  const error = failureOf(failures, attempt);
  if (error !== undefined) throw error;
}

/** How this attempt is to fail, if it is. */
export function failureOf(failures: number, attempt: number): Error | undefined {
  if (failures < 0) return new PermanentError('asked to fail for good');
  return attempt < failures ? new RetryableError(`asked to fail ${failures} time(s)`) : undefined;
}

export function fromOf({ topic, partition, offset }: TopicPartition & { readonly offset: number }): string {
  return `${topic}/${partition}/${offset}`;
}
