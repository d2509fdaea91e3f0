/**
 * One writer process of the contention test: appends its partition's records in batches of its own size until all are
 * in the table, wherever it started and whoever else is writing. It may be killed at any time.
 */
import { setTimeout as wait } from 'node:timers/promises';
import { seededRandom } from '@weir/core';
import { openTable } from '@weir/lake';
import { modelSpec, sliceOf } from '@weir/lake/testing';
import { openStore } from '@weir/storage';

export interface WriterTask {
  readonly url: string;
  readonly endpoint?: string;
  readonly credentials?: { accessKeyId: string; secretAccessKey: string };
  readonly partition: number;
  readonly records: number;
  readonly seed: number;
}

/** Every tenth record is one that was produced before: the same result under a later offset. */
export const keyOf = (partition: number, offset: number): string =>
  `${partition}-${offset % 10 === 9 ? offset - 4 : offset}`;

async function write(task: WriterTask): Promise<void> {
  const { partition, records } = task;
  const random = seededRandom(task.seed);
  const store = await openStore(task.url, {
    ...(task.endpoint === undefined ? {} : { endpoint: task.endpoint }),
    ...(task.credentials === undefined ? {} : { credentials: task.credentials }),
    env: {},
  });
  const table = await openTable({ store, path: 'model', spec: modelSpec, checkpointEvery: 10 });
  await table.assign([partition]);
  const position = (await table.positions('results', [partition], 'one')).get(partition) ?? -1;
  // Kafka's committed offset lags behind the table's: some records come again.
  let next = Math.max(0, position + 1 - random.below(40));
  const took: number[] = [];
  while (next < records) {
    const last = Math.min(records - 1, next + random.below(25));
    const slice = sliceOf(partition, next, last, (offset) => keyOf(partition, offset));
    const startedAt = performance.now();
    try {
      await table.append([slice]);
      took.push(performance.now() - startedAt);
      next = last + 1;
    } catch (error) {
      if ((error as { transient?: boolean }).transient !== true) throw error;
      await wait(20);
    }
  }
  await table.close();
  process.stdout.write(JSON.stringify(took));
}

const task = process.argv[2];
if (task) await write(JSON.parse(task) as WriterTask);
