import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { pathToFileURL } from 'node:url';
import { xactEvents } from '@weir/contracts';
import { openTable, readRows } from '@weir/lake';
import { appending } from '@weir/lake/testing';
import { testWorker } from '@weir/sdk/testing';
import { openStore, StoreUnavailableError } from '@weir/storage';
import { TableSink } from '@weir/table-sink';
import { Registry } from 'prom-client';
import { describe, expect, test } from 'vitest';
import { eventOf } from './event.fixture.ts';
import { createMetrics } from './metrics.ts';
import { eventIngester } from './worker.ts';

async function start() {
  const folder = await mkdtemp(join(tmpdir(), 'weir-ingester-'));
  const url = pathToFileURL(folder).href;
  const run = () => testWorker(eventIngester, { env: { TABLES_URL: url } });
  return {
    run,
    async open() {
      const store = await openStore(url);
      return {
        store,
        table: await openTable({ store, path: xactEvents.name, spec: xactEvents, createIfMissing: true }),
      };
    },
    async rows() {
      const { store, table } = await this.open();
      const rows = await readRows(table);
      await table.close();
      await store.close();
      return rows;
    },
    async [Symbol.asyncDispose]() {
      await rm(folder, { recursive: true, force: true });
    },
  };
}

describe('the ingester', () => {
  test('writes each event once and sends one task per attachment', async () => {
    await using world = await start();
    await using worker = await world.run();
    for (let index = 0; index < 5; index++) {
      await worker.send(eventOf({ traceId: `trace-${index}` }), { wait: false });
    }
    await worker.advance('2s');
    expect(worker.sent('tasks')).toHaveLength(10);
    const rows = await world.rows();
    expect(rows.map((row) => row.trace_id).sort()).toEqual([0, 1, 2, 3, 4].map((index) => `trace-${index}`));
    expect(JSON.stringify(rows, (_, value) => (typeof value === 'bigint' ? String(value) : value))).not.toContain(
      'TOPSECRET',
    );
    expect(worker.deadLetters()).toEqual([]);
  });

  test('sets one bad record aside and writes the other records of its batch', async () => {
    await using world = await start();
    await using worker = await world.run();
    await worker.send(eventOf({ traceId: 'good-1' }), { wait: false });
    await worker.send(eventOf({ traceId: 'bad-date', utcDateTime: 'yesterday' }), { wait: false });
    await worker.send(eventOf({ traceId: 'bad-data', data: '{"a":' }), { wait: false });
    await worker.sendRaw('{"type": "x"', { wait: false });
    await worker.sendRaw('{"type": "x"}', { wait: false });
    await worker.send(eventOf({ traceId: 'good-2' }), { wait: false });
    await worker.advance('2s');
    expect((await world.rows()).map((row) => row.trace_id).sort()).toEqual(['good-1', 'good-2']);
    expect(worker.deadLetters().map((letter) => letter.errorClass)).toEqual(['poison', 'poison', 'poison', 'poison']);
    expect(worker.sent('tasks')).toHaveLength(4);
  });

  test('writes an event that comes twice once, and sends its tasks again', async () => {
    await using world = await start();
    await using worker = await world.run();
    await worker.send(eventOf(), { wait: false });
    await worker.advance('2s');
    await worker.send(eventOf(), { wait: false });
    await worker.advance('2s');
    expect(await world.rows()).toHaveLength(1);
    const ids = worker.sent('tasks').map((task) => task.mediaId);
    expect(ids).toHaveLength(4);
    expect(new Set(ids).size).toBe(2);
  });

  describe('sends no task before its row is in the table', () => {
    /** A worker whose appends are the test's. */
    async function startWith(append: Parameters<typeof appending>[1]) {
      const world = await start();
      const { table, store } = await world.open();
      const resources = {
        sink: new TableSink({ store, table: appending(table, append), registry: new Registry() }),
        metrics: createMetrics(new Registry()),
      };
      const worker = await testWorker(eventIngester, { resources });
      return {
        worker,
        table,
        committed: () => worker.kafka.committed('xact.events.raw', 0),
        async [Symbol.asyncDispose]() {
          await worker.stop();
          await table.close();
          await store.close();
          await world[Symbol.asyncDispose]();
        },
      };
    }

    test('while the store is away', async () => {
      let away = true;
      await using w = await startWith((real) =>
        away ? Promise.reject(new StoreUnavailableError('s3://b', 'put')) : real(),
      );
      await w.worker.send(eventOf(), { partition: 0, wait: false });
      await w.worker.advance('3s');
      expect(w.worker.sent('tasks')).toEqual([]);
      expect(w.committed()).toBeLessThan(1);
      away = false;
      await w.worker.advance('2s');
      await w.worker.settle();
      expect(w.worker.sent('tasks')).toHaveLength(2);
      expect(w.worker.retries()).toEqual([]);
    });

    test('however long the append takes', async () => {
      const store = Promise.withResolvers<void>();
      await using w = await startWith((real) => store.promise.then(real));
      await w.worker.send(eventOf(), { partition: 0, wait: false });
      await w.worker.advance('50s');
      expect(w.worker.sent('tasks')).toEqual([]);
      expect(w.committed()).toBeLessThan(1);
      store.resolve();
      await w.worker.settle();
      await w.worker.advance('6s');
      expect(w.worker.sent('tasks')).toHaveLength(2);
      expect(w.committed()).toBe(1);
      expect(await readRows(w.table)).toHaveLength(1);
    });

    test('nor after an append that has failed for good: the event is tried again as a whole', async () => {
      let failures = 1;
      await using w = await startWith(async (real) => {
        await new Promise((resolve) => setImmediate(resolve));
        if (failures-- > 0) throw new TypeError('undefined is not a function');
        return real();
      });
      await w.worker.send(eventOf(), { partition: 0, wait: false });
      await w.worker.advance('2s');
      expect(w.worker.sent('tasks')).toEqual([]);
      expect(w.worker.retries()).toHaveLength(1);
      await w.worker.advance('5m');
      await w.worker.advance('2s');
      await w.worker.settle();
      expect(w.worker.sent('tasks')).toHaveLength(2);
      expect(await readRows(w.table)).toHaveLength(1);
    });
  });

  test('takes an event without attachments for what it is', async () => {
    await using world = await start();
    await using worker = await world.run();
    await worker.send(eventOf({ data: undefined }), { wait: false });
    await worker.advance('2s');
    expect(await world.rows()).toEqual([expect.objectContaining({ assignment_id: null, attachments: [] })]);
    expect(worker.sent('tasks')).toEqual([]);
  });
});
