import { readdir, readFile, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { type Clock, silentLogger, systemClock } from '@weir/core';
import { ManualClock } from '@weir/core/testing';
import { PreconditionFailedError, StoreNotAtomicError, StoreUnavailableError } from '@weir/storage';
import { MemoryStore } from '@weir/storage/testing';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import {
  RowInvalidError,
  SchemaDiffersError,
  TableClosedError,
  TableCorruptError,
  TableMissingError,
} from './errors.ts';
import { type OpenTableOptions, openTable, readRows, type Table } from './table.ts';
import { keysIn, modelSpec, rowsOf, sliceOf, type TestFolder, testFolder } from './testing/index.ts';

let folder: TestFolder;
beforeEach(async () => {
  folder = await testFolder();
});
afterEach(() => folder.dispose());

const open = (options: Partial<OpenTableOptions> = {}) =>
  openTable({
    store: folder.store,
    path: 'tables/model',
    spec: modelSpec,
    createIfMissing: true,
    log: silentLogger,
    ...options,
  });
const openOther = (options: Partial<OpenTableOptions> = {}) => open({ store: folder.other, ...options });
const offsets = async (table: Table) => rowsOf(await readRows(table)).map(({ offset }) => offset);
/** The system's clock, some hours later. */
function lateClock(): Clock & { lateBy(ms: number): void } {
  let lateMs = 0;
  return Object.assign(Object.create(systemClock) as Clock, {
    now: () => systemClock.now() + lateMs,
    lateBy: (ms: number) => {
      lateMs += ms;
    },
  });
}
const upTo = (last: number, first = 0) => Array.from({ length: last - first + 1 }, (_, index) => first + index);
const parquetFiles = async () => (await keysIn(folder.other, 'tables/model/event_date')).length;

describe('appending once', () => {
  test('rows are written, and a repeat of the same batch is harmless', async () => {
    const table = await open();
    expect(await table.append([sliceOf(0, 0, 9)])).toEqual({
      version: 1,
      written: 10,
      droppedByOffset: 0,
      droppedByKey: 0,
    });
    expect(await table.append([sliceOf(0, 0, 9)])).toEqual({
      version: 1,
      written: 0,
      droppedByOffset: 10,
      droppedByKey: 0,
    });
    expect(await offsets(table)).toEqual(upTo(9));
  });

  test('several partitions go into one commit', async () => {
    const table = await open();
    const result = await table.append([sliceOf(0, 0, 4), sliceOf(3, 10, 14)]);
    expect(result).toMatchObject({ version: 1, written: 10 });
    expect(await table.positions('results', [0, 1, 3], 'one')).toEqual(
      new Map([
        [0, 4],
        [3, 14],
      ]),
    );
    expect(await table.positions('results', [0], 'two')).toEqual(new Map());
  });

  test('appends that wait for a commit share the next one, and each gets its own counts', async () => {
    const table = await open();
    const results = await Promise.all([
      table.append([sliceOf(0, 0, 4)]),
      table.append([sliceOf(1, 0, 2)]),
      table.append([sliceOf(0, 3, 7)]),
      table.append([sliceOf(2, 0, 0)]),
    ]);
    expect(results.map(({ written }) => written)).toEqual([5, 3, 3, 1]);
    expect(results[2]).toMatchObject({ droppedByOffset: 2 });
    expect(table.version).toBeLessThanOrEqual(2);
    expect(await readRows(table)).toHaveLength(12);
  });

  test('a former owner that cut the same records differently adds nothing twice', async () => {
    const [zombie, owner] = [await open(), await openOther()];
    await zombie.append([sliceOf(0, 0, 9)]);
    await owner.append([sliceOf(0, 5, 14)]);
    expect(await zombie.append([sliceOf(0, 10, 19)])).toMatchObject({ written: 5, droppedByOffset: 5 });
    expect(await owner.append([sliceOf(0, 15, 17)])).toMatchObject({ written: 0, droppedByOffset: 3 });
    expect(await offsets(owner)).toEqual(upTo(19));
  });

  test('rows of a batch that was cut again leave no orphan file', async () => {
    const [zombie, owner] = [await open(), await openOther()];
    await zombie.append([sliceOf(0, 0, 2)]);
    await owner.append([sliceOf(0, 0, 8)]);
    const before = await parquetFiles();
    await zombie.append([sliceOf(0, 3, 8)]);
    expect(await parquetFiles()).toBe(before);
  });

  test('a batch that lost the race but is still new keeps its files', async () => {
    const [one, two] = [await open(), await openOther()];
    await one.append([sliceOf(0, 0, 2)]);
    await two.append([sliceOf(1, 0, 2)]);
    const puts = folder.store.calls.put;
    await one.append([sliceOf(0, 3, 3)]);
    // One file, the version that was taken, the next one.
    expect(folder.store.calls.put - puts).toBe(3);
    expect(await readRows(one)).toHaveLength(7);
  });

  test('a batch without rows moves nothing, until it has covered many offsets', async () => {
    const table = await open();
    const empty = (lastOffset: number) => table.append([{ ...sliceOf(0, 0, -1), rows: [], lastOffset }]);
    await table.append([sliceOf(0, 0, 0)]);
    expect(await empty(5_000)).toMatchObject({ version: 1, written: 0 });
    expect(await empty(20_000)).toMatchObject({ version: 2, written: 0 });
    expect(await table.positions('results', [0], 'one')).toEqual(new Map([[0, 20_000]]));
  });

  test('a new epoch counts from the beginning; keys still keep rows apart', async () => {
    const table = await open();
    await table.append([sliceOf(0, 0, 4)]);
    const again = sliceOf(0, 0, 4, (offset) => (offset < 2 ? `0-${offset}` : `new-${offset}`));
    const result = await table.append([{ ...again, source: { ...again.source, epoch: 'two' } }]);
    expect(result).toMatchObject({ written: 3, droppedByOffset: 0, droppedByKey: 2 });
  });

  test('rows without a source are appended each time', async () => {
    const table = await open();
    const rows = sliceOf(0, 0, 0).rows.map(({ row }) => ({ row }));
    await table.append([{ rows }]);
    await table.append([{ rows }]);
    expect(await readRows(table)).toHaveLength(2);
  });

  test('a row that does not fit is named before anything is written', async () => {
    const table = await open();
    const slice = sliceOf(0, 0, 2);
    const bad = { ...slice, rows: [...slice.rows, { offset: 2, row: { id: 5 } }] };
    const error = await table.append([bad]).catch((thrown: unknown) => thrown);
    expect(error).toBeInstanceOf(RowInvalidError);
    expect(error).toMatchObject({ column: 'id', topic: 'results', partition: 0, offset: 2 });
    await expect(table.append([{ ...slice, lastOffset: 1 }])).rejects.toThrow('beyond the slice');
    expect(() => table.checkRow({ id: 5 })).toThrow(RowInvalidError);
    expect(await parquetFiles()).toBe(0);
  });
});

describe('once by key', () => {
  const same = () => 'one result';

  test('a result that was produced twice is one row', async () => {
    const table = await open();
    expect(await table.append([sliceOf(0, 0, 3, same)])).toMatchObject({ written: 1, droppedByKey: 3 });
    expect(await table.append([sliceOf(0, 4, 6, same)])).toMatchObject({ written: 0, droppedByKey: 3 });
    expect(await readRows(table)).toHaveLength(1);
  });

  test('also when its first copy was written by a process that is gone', async () => {
    await (await open()).append([sliceOf(0, 0, 3, same), sliceOf(1, 0, 3)]);
    const next = await openOther();
    await next.assign([0]);
    expect(next.keysHeld).toBe(1);
    expect(await next.append([sliceOf(0, 4, 4, same)])).toMatchObject({ written: 0, droppedByKey: 1 });
  });

  test('also without an assignment: the first append loads the keys', async () => {
    await (await open()).append([sliceOf(0, 0, 0, same)]);
    expect(await (await openOther()).append([sliceOf(0, 1, 1, same)])).toMatchObject({ droppedByKey: 1 });
  });

  test('also when a former owner wrote it after the assignment', async () => {
    const [zombie, owner] = [await open(), await openOther()];
    await zombie.append([sliceOf(0, 0, 0)]);
    await owner.assign([0]);
    await zombie.append([sliceOf(0, 1, 1, same)]);
    expect(await owner.append([sliceOf(0, 1, 1, same), sliceOf(0, 2, 2, same)])).toMatchObject({
      written: 0,
      droppedByOffset: 1,
      droppedByKey: 1,
    });
  });

  test('a key of another partition counts only when everything is assigned', async () => {
    await (await open()).append([sliceOf(0, 0, 0, same)]);
    const [apart, after] = [await openOther(), await openOther()];
    await after.assign('everything');
    expect(await after.append([sliceOf(5, 0, 0, same)])).toMatchObject({ written: 0, droppedByKey: 1 });
    expect(await apart.append([sliceOf(6, 0, 0, same)])).toMatchObject({ written: 1 });
    // What others write in the meantime counts too.
    expect(await after.append([sliceOf(7, 0, 1, (offset) => (offset ? same() : 'new'))])).toMatchObject({ written: 1 });
  });

  describe('when the topic has grown from 2 partitions to 3', () => {
    const of = { topic: 'results', epoch: 'one' };
    const grow = async () => {
      const clock = lateClock();
      const stays = await open({ clock });
      await stays.assign([0], of);
      await (await openOther({ clock })).assign([1], of);
      await stays.append([sliceOf(0, 0, 3, same)]);
      clock.lateBy(60 * 60_000);
      const arrives = await openOther({ clock });
      await arrives.assign([2], of);
      return { clock, stays, arrives };
    };

    test('the owner of the new partition knows the keys of the old ones', async () => {
      const { arrives } = await grow();
      expect(await arrives.append([sliceOf(2, 0, 1, same)])).toMatchObject({ written: 0, droppedByKey: 2 });
    });

    test('so does an owner that was there before, once its next append has met the change', async () => {
      const { stays, arrives } = await grow();
      await arrives.append([sliceOf(2, 0, 0, () => 'new')]);
      expect(await stays.append([sliceOf(0, 4, 4, () => 'new')])).toMatchObject({ written: 0, droppedByKey: 1 });
    });

    test('a day later each keeps to its own partitions again', async () => {
      const { clock, stays, arrives } = await grow();
      await arrives.append([sliceOf(2, 0, 9)]);
      await stays.append([sliceOf(0, 4, 4, () => 'own')]);
      expect(stays.keysHeld).toBe(12);
      clock.lateBy(24 * 60 * 60_000);
      await stays.append([sliceOf(0, 5, 5, () => 'later')]);
      expect(stays.keysHeld).toBeLessThanOrEqual(3);
    });
  });

  test('the members of a first start report in one after the other, and nothing has grown', async () => {
    const [first, second] = [await open(), await openOther()];
    await first.assign([0], { topic: 'results', epoch: 'one' });
    await first.append([sliceOf(0, 0, 0, same)]);
    await second.assign([1], { topic: 'results', epoch: 'one' });
    expect(await second.append([sliceOf(1, 0, 0, same)])).toMatchObject({ written: 1 });
  });

  test('released partitions take no memory and are loaded again when needed', async () => {
    const table = await open();
    await table.append([sliceOf(0, 0, 9), sliceOf(1, 0, 4)]);
    await table.release([0]);
    expect(table.keysHeld).toBe(5);
    expect(await table.append([sliceOf(0, 10, 10, () => '0-3')])).toMatchObject({ droppedByKey: 1 });
  });

  test('keys older than the bound are forgotten, by age and by number', async () => {
    const clock = new ManualClock();
    const bound = { maxKeys: 80, maxAgeMs: 60_000 };
    await (await open({ clock })).append([sliceOf(0, 0, 0, same)]);
    await clock.advance(61_000);
    expect(await (await openOther({ clock, keyIndex: bound })).append([sliceOf(0, 1, 1, same)])).toMatchObject({
      written: 1,
    });
    const busy = await openOther({ clock, keyIndex: bound });
    await busy.append([sliceOf(0, 2, 2, () => 'old')]);
    await busy.append([sliceOf(0, 3, 300)]);
    expect(busy.keysHeld).toBeLessThanOrEqual(90);
    expect(await busy.append([sliceOf(0, 301, 301, () => '0-300')])).toMatchObject({ droppedByKey: 1 });
    expect(await busy.append([sliceOf(0, 302, 302, () => 'old')])).toMatchObject({ written: 1 });
  });
});

describe('a store that fails', () => {
  const commit = /_delta_log\/0+1\.json/;

  test.each<['before' | 'after', 'parquet' | 'commit']>([
    ['before', 'parquet'],
    ['after', 'parquet'],
    ['before', 'commit'],
    ['after', 'commit'],
  ])('%s the %s is put: nothing is lost, nothing is half there, a repeat completes it', async (when, what) => {
    const table = await open();
    folder.store.fail({ operation: 'put', when, key: what === 'commit' ? commit : '.parquet' });
    const first = await table.append([sliceOf(0, 0, 8)]).then(
      () => 'written',
      (error: unknown) => error,
    );
    // A commit whose answer was lost is found by reading back; all else is passed on as transient.
    if (what === 'commit' && when === 'after') expect(first).toBe('written');
    else expect(first).toMatchObject({ transient: true });
    const seen = (await readRows(await openOther())).length;
    expect([0, 9]).toContain(seen);
    await table.append([sliceOf(0, 0, 8)]);
    expect(await offsets(table)).toEqual(upTo(8));
  });

  test('an outage that lasts leaves the commit in doubt; its files stay, and the repeat writes no row twice', async () => {
    const table = await open();
    await table.assign([0]);
    folder.store.fail({ operation: 'put', when: 'after', key: commit });
    folder.store.fail({ operation: 'get', when: 'before', key: commit });
    await expect(table.append([sliceOf(0, 0, 8)])).rejects.toBeInstanceOf(StoreUnavailableError);
    expect(await offsets(await openOther())).toEqual(upTo(8));
    expect(await table.append([sliceOf(0, 0, 11)])).toMatchObject({ written: 3, droppedByOffset: 9 });
    expect(await offsets(table)).toEqual(upTo(11));
  });

  test('a process that dies between file and commit leaves an orphan and no row', async () => {
    const dying = await open();
    const reached = Promise.withResolvers<void>();
    folder.store.fail({
      operation: 'put',
      when: 'before',
      key: commit,
      act: () => {
        reached.resolve();
        return new Promise(() => undefined);
      },
    });
    void dying.append([sliceOf(0, 0, 8)]);
    await reached.promise;
    const next = await openOther();
    expect(await readRows(next)).toEqual([]);
    expect(await next.append([sliceOf(0, 0, 8)])).toMatchObject({ written: 9 });
    expect(await parquetFiles()).toBe(6);
    expect(await offsets(next)).toEqual(upTo(8));
  });

  test('an error of one append does not stop the next', async () => {
    const table = await open();
    folder.store.fail({ operation: 'put', when: 'before', key: '.parquet' });
    const results = await Promise.allSettled([table.append([sliceOf(0, 0, 1)]), table.append([sliceOf(1, 0, 1)])]);
    expect(results[0]?.status).toBe('rejected');
    expect(await table.append([sliceOf(0, 0, 1), sliceOf(1, 0, 1)])).toBeTruthy();
    expect(await readRows(table)).toHaveLength(4);
  });
});

describe('an abort', () => {
  test('before the commit rejects with its reason, and nothing is committed afterwards', async () => {
    const table = await open();
    const controller = new AbortController();
    const reason = new Error('partition lost');
    folder.store.fail({ operation: 'put', when: 'after', key: '.parquet', act: () => controller.abort(reason) });
    await expect(table.append([sliceOf(0, 0, 8)], { signal: controller.signal })).rejects.toBe(reason);
    await expect(table.append([sliceOf(0, 0, 8)], { signal: controller.signal })).rejects.toBe(reason);
    await table.close();
    expect(await keysIn(folder.other, 'tables/model/_delta_log')).toHaveLength(1);
    expect(await parquetFiles()).toBe(0);
  });

  test('while backing off from a lost race commits nothing', async () => {
    const [table, other] = [await open(), await openOther()];
    const controller = new AbortController();
    const reason = new Error('partition lost');
    await other.append([sliceOf(1, 0, 0)]);
    folder.store.fail({ operation: 'get', when: 'after', key: /0+1\.json/, act: () => controller.abort(reason) });
    await expect(table.append([sliceOf(0, 0, 8)], { signal: controller.signal })).rejects.toBe(reason);
    expect(await readRows(other)).toHaveLength(1);
  });

  test('of one append leaves those beside it in the commit', async () => {
    const table = await open();
    const controller = new AbortController();
    const blocker = table.append([sliceOf(9, 0, 0)]);
    folder.store.fail({
      operation: 'put',
      when: 'after',
      key: '.parquet',
      skip: 1,
      act: () => controller.abort(new Error('lost')),
    });
    const [lost, kept] = await Promise.allSettled([
      table.append([sliceOf(0, 0, 5)], { signal: controller.signal }),
      table.append([sliceOf(1, 0, 5)]),
      blocker,
    ]);
    expect([lost?.status, kept?.status]).toEqual(['rejected', 'fulfilled']);
    expect(rowsOf(await readRows(table)).filter(({ partition }) => partition === 0)).toEqual([]);
    expect(await readRows(table)).toHaveLength(7);
  });
});

describe('opening', () => {
  test('a table that is missing is an error unless it may be made; many may make it at once', async () => {
    await expect(open({ createIfMissing: false })).rejects.toBeInstanceOf(TableMissingError);
    const tables = await Promise.all(Array.from({ length: 6 }, () => openOther()));
    await tables[5]?.append([sliceOf(0, 0, 2)]);
    expect(await readRows(tables[0] as Table)).toHaveLength(3);
    expect(await keysIn(folder.other, 'tables/model/_delta_log')).toHaveLength(2);
  });

  test('a declaration that differs from the table is refused with what to do', async () => {
    await open();
    const spec = { ...modelSpec, columns: [...modelSpec.columns, { name: 'added', type: 'string' as const }] };
    const error = await open({ spec }).catch((thrown: unknown) => thrown);
    expect(error).toBeInstanceOf(SchemaDiffersError);
    expect(String(error)).toContain('column added (string) is missing from the table');
    expect(String(error)).toContain('new path');
  });

  test('a table made wider by others while we write goes on, one made narrower stops', async () => {
    const table = await open();
    const log = join(folder.path, 'tables/model/_delta_log');
    const [metaLine] = (await readFile(join(log, '00000000000000000000.json'), 'utf8'))
      .split('\n')
      .filter((line) => line.includes('"metaData"'));
    const change = async (version: number, edit: (fields: { name: string }[]) => unknown[]) => {
      const action = JSON.parse(metaLine ?? '') as { metaData: { schemaString: string } };
      const schema = JSON.parse(action.metaData.schemaString) as { fields: { name: string }[] };
      action.metaData.schemaString = JSON.stringify({ ...schema, fields: edit(schema.fields) });
      await writeFile(join(log, `${String(version).padStart(20, '0')}.json`), `${JSON.stringify(action)}\n`);
    };
    await change(1, (fields) => [...fields, { name: 'extra', type: 'string', nullable: true, metadata: {} }]);
    expect(await table.append([sliceOf(0, 0, 2)])).toMatchObject({ version: 2, written: 3 });
    await change(3, (fields) => fields.filter(({ name }) => name !== 'text'));
    // Not only once: it stays refused until the table fits again.
    for (let round = 0; round < 2; round++) {
      await expect(table.append([sliceOf(0, 3, 5)])).rejects.toBeInstanceOf(SchemaDiffersError);
    }
    await change(4, (fields) => fields);
    expect(await table.append([sliceOf(0, 3, 5)])).toMatchObject({ version: 5, written: 3 });
    expect(await parquetFiles()).toBe(6);
  });

  test('after a checkpoint the state is the same: rows, keys, positions', async () => {
    const table = await open({ checkpointEvery: 10 });
    await table.append([sliceOf(7, 0, 1)]);
    for (let batch = 0; batch < 23; batch++) await table.append([sliceOf(batch % 3, batch * 2, batch * 2 + 1)]);
    await table.close();
    await table.close();
    await expect(table.append([sliceOf(0, 0, 0)])).rejects.toBeInstanceOf(TableClosedError);
    const log = 'tables/model/_delta_log/';
    const { version: last } = JSON.parse(await readFile(join(folder.path, log, '_last_checkpoint'), 'utf8'));
    expect(last).toBeGreaterThanOrEqual(20);
    // Only the checkpoint and what came after it are needed.
    for (let version = 0; version < last; version++) {
      await rm(join(folder.path, log, `${String(version).padStart(20, '0')}.json`));
    }
    const again = await openOther();
    expect(await readRows(again)).toHaveLength(48);
    expect(await again.positions('results', [0, 1, 2, 7], 'one')).toEqual(
      new Map([
        [0, 43],
        [1, 45],
        [2, 41],
        // Only in the checkpoint.
        [7, 1],
      ]),
    );
    expect(await again.append([sliceOf(0, 44, 44, () => '0-0')])).toMatchObject({ written: 0, droppedByKey: 1 });
    await rm(join(folder.path, log, `${String(last).padStart(20, '0')}.checkpoint.parquet`));
    await expect(openOther()).rejects.toBeInstanceOf(TableCorruptError);
  });

  test('a damaged checkpoint or hint is no loss while the log is whole', async () => {
    const table = await open({ checkpointEvery: 10 });
    for (let batch = 0; batch < 12; batch++) await table.append([sliceOf(0, batch, batch)]);
    await table.close();
    const log = join(folder.path, 'tables/model/_delta_log');
    const [checkpoint] = (await readdir(log)).filter((name) => name.endsWith('.checkpoint.parquet'));
    await writeFile(join(log, checkpoint ?? ''), 'not parquet');
    expect(await readRows(await openOther())).toHaveLength(12);
    await writeFile(join(log, '_last_checkpoint'), 'not json');
    expect(await readRows(await openOther())).toHaveLength(12);
  });

  test('a checkpoint that cannot be written does not fail the append', async () => {
    const table = await open({ checkpointEvery: 10 });
    folder.store.fail({ operation: 'put', when: 'before', key: 'checkpoint', times: Number.POSITIVE_INFINITY });
    for (let batch = 0; batch < 12; batch++) await table.append([sliceOf(0, batch, batch)]);
    await table.close();
    expect(await readRows(await openOther())).toHaveLength(12);
  });

  test('a store that lets two writers win is refused before anything is written', async () => {
    const careless = new MemoryStore();
    const put = careless.put.bind(careless);
    careless.put = (key, bytes) => put(key, bytes);
    await expect(open({ store: careless })).rejects.toBeInstanceOf(StoreNotAtomicError);
    expect(await keysIn(careless, '')).toEqual([]);
    const log = 'tables/model/_delta_log/00000000000000000000.json';
    await open();
    await put(log, await folder.other.get(log));
    const table = await open({ store: careless, createIfMissing: false });
    await expect(table.append([sliceOf(0, 0, 0)])).rejects.toBeInstanceOf(StoreNotAtomicError);
    expect(await keysIn(careless, '')).toEqual([log]);
  });

  test('a version that another claims first is never overwritten', async () => {
    const table = await open();
    await table.append([sliceOf(0, 0, 0)]);
    const key = 'tables/model/_delta_log/00000000000000000001.json';
    await expect(folder.other.put(key, Buffer.from('x'), { ifNoneMatch: true })).rejects.toBeInstanceOf(
      PreconditionFailedError,
    );
  });
});

describe('reading', () => {
  test('columns and partitions can be chosen, and the newest file comes first', async () => {
    const clock = new ManualClock();
    const table = await open({ clock });
    for (let batch = 0; batch < 3; batch++) {
      await table.append([sliceOf(0, batch * 3, batch * 3 + 2)]);
      await clock.advance(1_000);
    }
    expect(await readRows(table, { columns: ['id'], where: { event_date: '2026-01-02' }, newestFirst: true })).toEqual([
      { id: '0-7' },
      { id: '0-4' },
      { id: '0-1' },
    ]);
    expect(await readRows(table, { columns: ['event_date'], where: { event_date: '2026-01-03' } })).toEqual(
      Array.from({ length: 3 }, () => ({ event_date: '2026-01-03' })),
    );
  });
});
