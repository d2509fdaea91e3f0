import { storeAccessSettings, storeUrlSetting } from '@weir/contracts';
import { openTable, openTableAt, readRows, type TableSpec } from '@weir/lake';
import { appending, type TestFolder, testFolder } from '@weir/lake/testing';
import { defineWorker, PermanentError, topic } from '@weir/sdk';
import { testWorker } from '@weir/sdk/testing';
import { StoreUnavailableError } from '@weir/storage';
import { Registry } from 'prom-client';
import { expect, test } from 'vitest';
import { z } from 'zod';
import { TableSink } from './sink.ts';

const visits = topic('visits', z.object({ id: z.string() }), { partitions: 2 });

const spec: TableSpec = {
  name: 'visits',
  partitionBy: [],
  key: ['id'],
  columns: [
    { name: 'id', type: 'string', nullable: false },
    { name: 'source_partition', type: 'int', nullable: false },
  ],
};

const visitWriter = defineWorker({
  name: 'visit-writer',
  consumes: visits,
  batch: { maxRecords: 100, maxWait: '1s' },
  timeout: '1h',
  dependencies: { tables: { timeout: '60s' } },
  config: z.object({ TABLES_URL: storeUrlSetting('file:///tmp/none', 'Where the table is.'), ...storeAccessSettings }),

  open: (init) => TableSink.open(spec, init),
  close: (sink) => sink.close(),
  assigned: (partitions, { resources: sink }) => sink.assigned(partitions),
  revoked: (partitions, { resources: sink }) => sink.revoked(partitions),

  handleBatch: (records, ctx) =>
    ctx.resources.write(records, ctx, ({ value, partition }) => {
      if (value.id === 'bad') throw new PermanentError('no row can be made of this');
      return value.id === 'none' ? undefined : { id: value.id, source_partition: partition };
    }),
});

async function idsIn({ other: store }: TestFolder): Promise<string[]> {
  const table = await openTable({ store, path: spec.name, spec });
  const rows = await readRows(table);
  await table.close();
  return rows.map(({ id }) => String(id)).sort();
}

test('every record is a row, once, however often it was produced or is handed out', async () => {
  await using at = await testFolder();
  const first = await testWorker(visitWriter, { env: { TABLES_URL: at.url } });
  for (const id of ['a', 'b', 'b']) await first.send({ id }, { partition: 0, wait: false });
  await first.advance('6s');
  await first.kafka.crash();
  await using next = await testWorker(visitWriter, { env: { TABLES_URL: at.url }, kafka: first.kafka });
  await next.send({ id: 'c' }, { partition: 0, wait: false });
  await next.advance('6s');
  expect(await idsIn(at)).toEqual(['a', 'b', 'c']);
});

test('a record whose row cannot be made fails by itself; one without a row is done', async () => {
  await using at = await testFolder();
  await using worker = await testWorker(visitWriter, { env: { TABLES_URL: at.url } });
  for (const id of ['a', 'bad', 'none', 'b']) await worker.send({ id }, { partition: 0, wait: false });
  await worker.advance('1s');
  await worker.settle();
  await worker.advance('6s');
  expect(await idsIn(at)).toEqual(['a', 'b']);
  expect(worker.deadLetters().map(({ error }) => error)).toEqual(['no row can be made of this']);
  expect(worker.kafka.committed('xact.visits', 0)).toBe(4);
});

test('while the store is away nothing is committed and no attempt is burnt', async () => {
  await using at = await testFolder();
  const { store, table } = await openTableAt(at.url, { spec, create: true, createIfMissing: true });
  let away = false;
  const watched = appending(table, (real) =>
    away ? Promise.reject(new StoreUnavailableError('s3://b', 'put')) : real(),
  );
  await using worker = await testWorker(visitWriter, {
    resources: new TableSink({ store, table: watched, registry: new Registry() }),
  });
  away = true;
  await worker.send({ id: 'a' }, { partition: 0, wait: false });
  await worker.advance('4s');
  expect(worker.kafka.committed('xact.visits', 0)).toBeLessThan(1);
  away = false;
  await worker.advance('1s');
  await worker.settle();
  await worker.advance('6s');
  expect(await idsIn(at)).toEqual(['a']);
  expect(worker.retries()).toEqual([]);
  expect(worker.kafka.committed('xact.visits', 0)).toBe(1);
});

test('a table that has rows the log does not know is refused at assignment', async () => {
  await using at = await testFolder();
  const first = await testWorker(visitWriter, { env: { TABLES_URL: at.url } });
  for (const id of ['a', 'b']) await first.send({ id }, { partition: 0, wait: false });
  await first.advance('6s');
  await first.stop();
  const { store, table } = await openTableAt(at.url, { spec });
  const sink = new TableSink({ store, table, registry: new Registry() });
  const madeAnew = { topic: 'xact.visits', partition: 0, committed: 0, logStart: 0, logEnd: 1 };
  await expect(sink.assigned([madeAnew])).rejects.toThrow('set WEIR_EPOCH to a new value to start over');
  await sink.close();
});
