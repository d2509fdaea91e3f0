/**
 * Many writer processes on one table, two owners for some partitions at a time (a lost owner that does not know it), some
 * killed with SIGKILL on the way and started again. However it goes: each record's row once, none missing.
 */
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as wait } from 'node:timers/promises';
import { pathToFileURL } from 'node:url';
import { seededRandom } from '@weir/core';
import { openTable, readRows } from '@weir/lake';
import { modelSpec, rowsOf } from '@weir/lake/testing';
import { openStore } from '@weir/storage';
import { afterAll, expect, test } from 'vitest';
import { startS3 } from '../support/s3.ts';
import { keyOf, type WriterTask } from './writer.ts';

const PROGRAM = new URL('./writer.ts', import.meta.url).pathname;

type Place = Pick<WriterTask, 'url' | 'endpoint' | 'credentials'>;

/** Starts a writer; `ended` gives its append times, or undefined when it was killed. */
function startWriter(task: WriterTask) {
  const child = spawn(process.execPath, ['--conditions=source', PROGRAM, JSON.stringify(task)], {
    stdio: ['ignore', 'pipe', 'pipe'],
  });
  let printed = '';
  let complaints = '';
  child.stdout.on('data', (data: Buffer) => {
    printed += data.toString();
  });
  child.stderr.on('data', (data: Buffer) => {
    complaints += data.toString();
  });
  const ended = once(child, 'close').then(([code, signal]) => {
    if (signal === 'SIGKILL') return undefined;
    if (code !== 0) throw new Error(`writer of partition ${task.partition} ended with ${code}: ${complaints}`);
    return JSON.parse(printed) as number[];
  });
  return { child, ended };
}

async function contend(place: Place, options: { seed: number; partitions: number; records: number; kills: number }) {
  const { seed, partitions, records, kills } = options;
  const random = seededRandom(seed);
  const store = await openStore(place.url, { ...place, env: {} });
  const table = await openTable({ store, path: 'model', spec: modelSpec, createIfMissing: true, checkpointEvery: 10 });
  // Partitions 0 and 1 have two owners each.
  const tasks = Array.from({ length: partitions + 2 }, (_, index) => ({
    ...place,
    partition: index % partitions,
    records,
    seed: random.below(1e9),
  }));
  const running = tasks.map((task) => ({ task, ...startWriter(task) }));
  for (let kill = 0; kill < kills; kill++) {
    await wait(250 + random.below(600));
    const victim = running[random.below(running.length)];
    if (!victim?.child.kill('SIGKILL')) continue;
    await victim.ended;
    Object.assign(victim, startWriter({ ...victim.task, seed: random.below(1e9) }));
  }
  await Promise.all(running.map(({ ended }) => ended));
  const rows = rowsOf(await readRows(table));
  const positions = await table.positions(
    'results',
    Array.from({ length: partitions }, (_, index) => index),
    'one',
  );
  await table.close();
  await store.close();
  return { rows, positions, version: table.version };
}

function check(found: Awaited<ReturnType<typeof contend>>, partitions: number, records: number, note: string): void {
  const seen = new Map<string, number>();
  for (const { partition, offset } of found.rows) {
    seen.set(`${partition}/${offset}`, (seen.get(`${partition}/${offset}`) ?? 0) + 1);
  }
  const keys = found.rows.map(({ key }) => key);
  const wanted = Array.from({ length: partitions * records }, (_, index) => ({
    partition: Math.floor(index / records),
    offset: index % records,
  })).filter(({ partition, offset }) => keyOf(partition, offset) === `${partition}-${offset}`);
  const missing = wanted.filter(({ partition, offset }) => !seen.has(`${partition}/${offset}`));
  expect({ note, missing, duplicates: [...seen].filter(([, count]) => count > 1) }).toEqual({
    note,
    missing: [],
    duplicates: [],
  });
  expect(new Set(keys).size).toBe(keys.length);
  expect(found.rows).toHaveLength(wanted.length);
  for (let partition = 0; partition < partitions; partition++) {
    // The last record is a repeat by key: alone in its batch it moves no transaction.
    expect(found.positions.get(partition)).toBeGreaterThanOrEqual(records - 2);
  }
}

test('six writer processes, two of them without a right to their partition, three kills: each row once', async () => {
  const seed = Number(process.env.WEIR_SEED ?? 4711);
  const folder = await mkdtemp(join(tmpdir(), 'weir-writers-'));
  try {
    const options = { seed, partitions: 4, records: 500, kills: 3 };
    check(await contend({ url: pathToFileURL(folder).href }, options), 4, 500, `seed ${seed}`);
  } finally {
    await rm(folder, { recursive: true, force: true });
  }
}, 120_000);

const s3 = await startS3();
afterAll(() => s3?.stop());
if (s3) {
  test('four writer processes on S3, two of them without a right to their partition, two kills: each row once', async () => {
    const seed = Number(process.env.WEIR_SEED ?? 1729);
    const place = { url: `s3://${await s3.bucket()}/tables`, endpoint: s3.endpoint, credentials: s3.credentials };
    check(await contend(place, { seed, partitions: 2, records: 120, kills: 2 }), 2, 120, `seed ${seed}`);
  }, 120_000);
}
