import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { pathToFileURL } from 'node:url';
import { xactEvents } from '@weir/contracts';
import { openTable, readRows } from '@weir/lake';
import { testWorker } from '@weir/sdk/testing';
import { openStore } from '@weir/storage';
import { describe, expect, test } from 'vitest';
import { eventOf } from './event.fixture.ts';
import { eventIngester } from './worker.ts';

async function start() {
  const folder = await mkdtemp(join(tmpdir(), 'weir-ingester-'));
  const url = pathToFileURL(folder).href;
  const run = () => testWorker(eventIngester, { env: { TABLES_URL: url } });
  return {
    run,
    async rows() {
      const store = await openStore(url);
      const table = await openTable({ store, path: xactEvents.name, spec: xactEvents });
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

  test('takes an event without attachments for what it is', async () => {
    await using world = await start();
    await using worker = await world.run();
    await worker.send(eventOf({ data: undefined }), { wait: false });
    await worker.advance('2s');
    expect(await world.rows()).toEqual([expect.objectContaining({ assignment_id: null, attachments: [] })]);
    expect(worker.sent('tasks')).toEqual([]);
  });
});
