import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { pathToFileURL } from 'node:url';
import { xactAttachments } from '@weir/contracts';
import { openTable, readRows, type Table } from '@weir/lake';
import { appending } from '@weir/lake/testing';
import { testWorker } from '@weir/sdk/testing';
import { type ObjectStore, openStore, StoreUnavailableError } from '@weir/storage';
import { TableSink } from '@weir/table-sink';
import { Registry } from 'prom-client';
import { describe, expect, test } from 'vitest';
import { resultOf } from './result.fixture.ts';
import { resultProcessor } from './worker.ts';

interface World extends AsyncDisposable {
  readonly url: string;
  readonly store: ObjectStore;
  readonly table: Table;
  /** What the worker opens, with appends that are the test's. */
  appending(append: Parameters<typeof appending>[1]): TableSink;
}

async function world(): Promise<World> {
  const folder = await mkdtemp(join(tmpdir(), 'weir-results-'));
  const url = pathToFileURL(folder).href;
  const store = await openStore(url, { create: true });
  const table = await openTable({ store, path: xactAttachments.name, spec: xactAttachments, createIfMissing: true });
  return {
    url,
    store,
    table,
    appending: (append) => new TableSink({ store, table: appending(table, append), registry: new Registry() }),
    async [Symbol.asyncDispose]() {
      await table.close();
      await store.close();
      await rm(folder, { recursive: true, force: true });
    },
  };
}

describe('the result processor', () => {
  test('writes completed and failed alike, one row for each attachment', async () => {
    await using w = await world();
    await using worker = await testWorker(resultProcessor, { env: { TABLES_URL: w.url } });
    for (let index = 0; index < 20; index++) {
      const failed = index % 5 === 0 ? { status: 'failed', bytesDownloaded: 0, sha256: undefined } : {};
      await worker.send(resultOf({ mediaId: `m-${index}`, ...failed }), { wait: false });
    }
    await worker.advance('6s');
    const rows = await readRows(w.table);
    expect(rows).toHaveLength(20);
    expect(rows.filter((row) => row.status === 'failed')).toHaveLength(4);
  });

  test('drops a result that was produced twice, and keeps the one of a replay', async () => {
    await using w = await world();
    await using worker = await testWorker(resultProcessor, { env: { TABLES_URL: w.url } });
    await worker.send(resultOf(), { wait: false });
    await worker.advance('6s');
    await worker.send(resultOf({ attempts: 2 }), { wait: false });
    await worker.send(resultOf({ replays: 1 }), { wait: false });
    await worker.advance('6s');
    expect((await readRows(w.table)).map((row) => row.replays).sort()).toEqual([0, 1]);
  });

  test('a partial batch does not wait for the shutdown', async () => {
    await using w = await world();
    await using worker = await testWorker(resultProcessor, { env: { TABLES_URL: w.url } });
    await worker.send(resultOf(), { wait: false });
    await worker.advance('6s');
    expect(await readRows(w.table)).toHaveLength(1);
  });

  test('one result that does not fit the table fails alone', async () => {
    await using w = await world();
    await using worker = await testWorker(resultProcessor, { env: { TABLES_URL: w.url } });
    await worker.send(resultOf({ mediaId: 'good' }), { wait: false });
    await worker.send(resultOf({ mediaId: 'bad', attempts: 2 ** 40 }), { wait: false });
    await worker.advance('6s');
    expect((await readRows(w.table)).map((row) => row.media_id)).toEqual(['good']);
    expect(worker.deadLetters().map((letter) => letter.errorClass)).toEqual(['poison']);
  });

  test('a store that is away for a minute costs no attempt and no row', async () => {
    await using w = await world();
    let away = true;
    await using worker = await testWorker(resultProcessor, {
      resources: w.appending((real) => (away ? Promise.reject(new StoreUnavailableError('s3://b', 'put')) : real())),
    });
    for (let index = 0; index < 10; index++) await worker.send(resultOf({ mediaId: `m-${index}` }), { wait: false });
    const pass = async (seconds: number) => {
      for (let half = 0; half < seconds * 2; half++) {
        await worker.clock.advance(500);
        await new Promise((resolve) => setImmediate(resolve));
      }
    };
    await pass(60);
    expect(worker.retries()).toEqual([]);
    away = false;
    await pass(60);
    await worker.settle();
    expect(await readRows(w.table)).toHaveLength(10);
    expect(worker.retries()).toEqual([]);
    expect(worker.deadLetters()).toEqual([]);
  });

  test('a result is done when its row is in the table, however long that takes', async () => {
    await using w = await world();
    const store = Promise.withResolvers<void>();
    await using worker = await testWorker(resultProcessor, {
      resources: w.appending((real) => store.promise.then(real)),
    });
    await worker.send(resultOf(), { partition: 0, wait: false });
    await worker.advance('50s');
    expect(worker.kafka.committed('xact.downloads.results', 0)).toBeLessThan(1);
    store.resolve();
    await worker.settle();
    await worker.advance('6s');
    expect(worker.kafka.committed('xact.downloads.results', 0)).toBe(1);
    expect(await readRows(w.table)).toHaveLength(1);
  });
});
