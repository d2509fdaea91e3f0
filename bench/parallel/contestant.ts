/**
 * Runs one measurement of any language in a process of its own. The child prints one line of JSON when its last record
 * is settled, and goes on until its standard input ends; meanwhile the group's committed offset is watched from here, so
 * that "committed" is seen by the same eye for all.
 */
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { setTimeout as sleep } from 'node:timers/promises';
import { Kafka, logLevel } from 'kafkajs';
import type { Reading } from '../measure.ts';

export interface PeerReading extends Reading {
  readonly firstEpochMs: number;
}

export interface WatchedReading extends PeerReading {
  /** From the first record in hand until the broker has the commit of all; undefined when it was not watched. */
  readonly committedSeconds: number | undefined;
}

const MOST_MS = 180_000;
const MOST_COMMIT_MS = 15_000;

export async function runContestant(
  command: readonly string[],
  watch?: { brokers: readonly string[]; group: string; topic: string; records: number },
): Promise<WatchedReading> {
  const child = spawn(command[0]!, command.slice(1), { stdio: ['pipe', 'pipe', 'inherit'] });
  const killer = setTimeout(() => child.kill('SIGKILL'), MOST_MS);
  const closed = once(child, 'close') as Promise<[number | null, NodeJS.Signals | null]>;
  // a child that is gone already has no use for the end of its input
  child.stdin.on('error', () => undefined);
  try {
    let out = '';
    const reading = await new Promise<PeerReading>((resolve, reject) => {
      child.stdout.on('data', (data: Buffer) => {
        out += data.toString();
        const line = out.split('\n').find((each) => each.startsWith('{"records"') && each.endsWith('}'));
        if (line !== undefined) resolve(JSON.parse(line) as PeerReading);
      });
      closed.then(
        ([code, signal]) =>
          reject(
            new Error(`${command.join(' ')}: no reading (exit code ${code}, signal ${signal})\n${out.slice(-2000)}`),
          ),
        reject,
      );
    });
    const committedAt = watch && (await whenCommitted(watch));
    return {
      ...reading,
      committedSeconds: committedAt === undefined ? undefined : (committedAt - reading.firstEpochMs) / 1000,
    };
  } finally {
    child.stdin.end();
    await closed.catch(() => undefined);
    clearTimeout(killer);
  }
}

async function whenCommitted(watch: {
  brokers: readonly string[];
  group: string;
  topic: string;
  records: number;
}): Promise<number> {
  const admin = new Kafka({ brokers: [...watch.brokers], logLevel: logLevel.NOTHING }).admin();
  await admin.connect();
  try {
    const deadline = performance.now() + MOST_COMMIT_MS;
    for (;;) {
      const [topic] = await admin.fetchOffsets({ groupId: watch.group, topics: [watch.topic] });
      const committed = (topic?.partitions ?? []).reduce((sum, each) => sum + Math.max(0, Number(each.offset)), 0);
      if (committed >= watch.records) return Date.now();
      if (performance.now() > deadline)
        throw new Error(`${watch.group} had committed ${committed} of ${watch.records} after ${MOST_COMMIT_MS} ms`);
      await sleep(10);
    }
  } finally {
    await admin.disconnect();
  }
}
