/** Tables that Weir writes, read by delta-rs: every type, nulls, lists, partitions, checkpoints, on a folder and on S3. */
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { pathToFileURL } from 'node:url';
import { type ColumnSpec, openTable, type ReadRow, type Row, readRows, type TableSpec } from '@weir/lake';
import { type ObjectStore, openStore } from '@weir/storage';
import { afterAll, describe, expect, test } from 'vitest';
import { startS3 } from '../support/s3.ts';
import { startDeltaRs } from './delta-rs.ts';

const column = (name: string, type: ColumnSpec['type'], nullable = true): ColumnSpec => ({
  name,
  type,
  nullable,
  description: `A ${type}.`,
});

const spec: TableSpec = {
  name: 'everything',
  description: 'Every type.',
  partitionBy: ['event_date', 'kind'],
  key: ['id'],
  columns: [
    column('id', 'string', false),
    column('text', 'string'),
    column('long', 'long'),
    column('int', 'int'),
    column('double', 'double'),
    column('flag', 'boolean'),
    column('at', 'timestamp'),
    column('at_always', 'timestamp', false),
    column('day', 'date'),
    column('tags', 'list<string>'),
    column('empty', 'string'),
    column('event_date', 'date', false),
    column('kind', 'string'),
    column('source_partition', 'int', false),
    column('source_offset', 'long', false),
  ],
};

const TEXTS = [
  '',
  'plain',
  'ümläut 日本語 😀',
  'new\nline\ttab "quotes" \\',
  'x'.repeat(5_000),
  '\ufeffbyte order',
  'nul\u0000',
];
const KINDS = [null, 'a b', 'x/y=z', 'ü%20?&#+', 'plain', "it's (1)*!"];
const LONGS = [0n, 1n, -1n, 2n ** 53n + 1n, -(2n ** 63n), 2n ** 63n - 1n];
const TIMES = [0, -1, 1_700_000_000_123, -62_135_596_800_000, 253_402_300_799_999];

function rowAt(offset: number): Row {
  const pick = <T>(values: readonly T[]): T => values[offset % values.length] as T;
  const maybe = <T>(every: number, value: T): T | null => (offset % every === 0 ? null : value);
  return {
    id: `id-${offset}`,
    text: maybe(5, pick(TEXTS)),
    long: maybe(7, pick(LONGS)),
    int: maybe(3, pick([0, -2147483648, 2147483647, 42])),
    double: maybe(4, pick([0, -0.5, 1e300, 1 / 3, -1e-300])),
    flag: maybe(6, offset % 2 === 0),
    at: maybe(4, new Date(pick(TIMES))),
    at_always: new Date(pick(TIMES)),
    day: maybe(5, pick(['1970-01-01', '2024-02-29', '0001-01-01', '9999-12-31', '1969-12-31'])),
    tags: pick([null, [], ['a'], ['', null, 'ü', 'a'], [null]]),
    empty: null,
    event_date: `2026-01-0${1 + (offset % 3)}`,
    kind: pick(KINDS),
    source_partition: 3,
    source_offset: offset,
  };
}

/** Both sides as text that JSON can carry exactly: microseconds and days as digits. */
const READ = `
import json, sys, datetime
import pyarrow as pa
from deltalake import DeltaTable
given = json.load(sys.stdin)
table = DeltaTable(given["url"], storage_options=given.get("options"))
data = table.to_pyarrow_table()
def plain(value, kind):
    if value is None: return None
    if pa.types.is_timestamp(kind): return str(value)
    if pa.types.is_date(kind): return value.isoformat()
    if pa.types.is_integer(kind): return str(value)
    return value
columns = {}
for name in data.column_names:
    kind = data.schema.field(name).type
    column = data.column(name)
    if pa.types.is_timestamp(kind): column = column.cast(pa.int64())
    columns[name] = [plain(value, kind) for value in column.to_pylist()]
print(json.dumps({
    "version": table.version(),
    "types": {field.name: str(field.type) for field in data.schema},
    "required": [field.name for field in table.schema().fields if not field.nullable],
    "comments": {field.name: field.metadata.get("comment") for field in table.schema().fields},
    "partitions": table.metadata().partition_columns,
    "configuration": table.metadata().configuration,
    "transactions": [table.transaction_version(app) for app in given.get("apps", [])],
    "filtered": table.to_pyarrow_table(partitions=[("event_date", "=", "2026-01-02")]).num_rows,
    "columns": columns,
}))
`;

interface Seen {
  version: number;
  types: Record<string, string>;
  required: string[];
  comments: Record<string, string>;
  partitions: string[];
  configuration: Record<string, string>;
  transactions: (number | null)[];
  filtered: number;
  columns: Record<string, unknown[]>;
}

function expected(row: Row): Record<string, unknown> {
  const micros = (value: unknown) => (value instanceof Date ? String(BigInt(value.getTime()) * 1_000n) : null);
  const digits = (value: unknown) => (value === null ? null : String(value));
  return {
    ...row,
    long: digits(row.long),
    int: digits(row.int),
    at: micros(row.at),
    at_always: micros(row.at_always),
    source_partition: digits(row.source_partition),
    source_offset: digits(row.source_offset),
  };
}

function rowsOf(columns: Record<string, unknown[]>): Record<string, unknown>[] {
  const names = Object.keys(columns);
  return (columns.id ?? [])
    .map((_, index) => Object.fromEntries(names.map((name) => [name, columns[name]?.[index]])))
    .sort((a, b) => Number(a.source_offset) - Number(b.source_offset));
}

async function fill(store: ObjectStore, path: string, rows: number, perBatch: number): Promise<void> {
  const table = await openTable({ store, path, spec, createIfMissing: true, checkpointEvery: 10 });
  for (let first = 0; first < rows; first += perBatch) {
    const offsets = Array.from({ length: Math.min(perBatch, rows - first) }, (_, index) => first + index);
    const source = { topic: 'a.topic', partition: 3, epoch: 'ep/och' };
    await table.append([
      {
        source,
        rows: offsets.map((offset) => ({ offset, row: rowAt(offset) })),
        lastOffset: first + offsets.length - 1,
      },
    ]);
  }
  await table.close();
}

const deltaRs = await startDeltaRs();

if (deltaRs) {
  const folder = await mkdtemp(join(tmpdir(), 'weir-delta-rs-'));
  const store = await openStore(pathToFileURL(folder).href);
  afterAll(() => rm(folder, { recursive: true, force: true }));
  const app = `everything/a.topic/3/${encodeURIComponent('ep/och')}`;

  const check = async (url: string, rows: number, options?: Record<string, string>) => {
    const seen = (await deltaRs.run(READ, { url, options, apps: [app, 'nobody'] })) as Seen;
    expect(rowsOf(seen.columns)).toEqual(Array.from({ length: rows }, (_, offset) => expected(rowAt(offset))));
    return seen;
  };

  describe('delta-rs reads what Weir writes', () => {
    test('every type, null, list and partition, from the log and from its checkpoints', async () => {
      await fill(store, 'everything', 1_050, 30);
      const seen = await check(join(folder, 'everything'), 1_050);
      expect(seen.version).toBe(35);
      expect(seen.types).toMatchObject({
        long: 'int64',
        int: 'int32',
        at: 'timestamp[us, tz=UTC]',
        day: 'date32[day]',
        event_date: 'date32[day]',
        flag: 'bool',
      });
      expect(seen.required.sort()).toEqual(['at_always', 'event_date', 'id', 'source_offset', 'source_partition']);
      expect(seen.comments.long).toBe('A long.');
      expect(seen.partitions).toEqual(['event_date', 'kind']);
      expect(seen.configuration['delta.appendOnly']).toBe('true');
      expect(seen.transactions).toEqual([1_049, null]);
      expect(seen.filtered).toBe(350);
    });

    test('an empty table, and the checkpoint alone when the log before it is gone', async () => {
      await openTable({ store, path: 'empty', spec, createIfMissing: true });
      await check(join(folder, 'empty'), 0);
      await fill(store, 'cleaned', 200, 20);
      const hint = await store.get('cleaned/_delta_log/_last_checkpoint');
      const { version: last } = JSON.parse(Buffer.from(hint).toString()) as { version: number };
      for (let version = 0; version < last; version++) {
        await store.delete(`cleaned/_delta_log/${String(version).padStart(20, '0')}.json`);
      }
      const seen = await check(join(folder, 'cleaned'), 200);
      expect(seen.transactions).toEqual([199, null]);
    });

    test('Weir reads the same rows back', async () => {
      await fill(store, 'own', 120, 40);
      const rows = await readRows(await openTable({ store, path: 'own', spec }));
      const own = (row: ReadRow | Row) => ({
        ...row,
        long: typeof row.long === 'bigint' ? row.long : row.long == null ? null : BigInt(row.long as number),
      });
      expect(rows.sort((a, b) => Number(a.source_offset) - Number(b.source_offset)).map(own)).toEqual(
        Array.from({ length: 120 }, (_, offset) => own(rowAt(offset))),
      );
    });

    test('statistics prune without losing a row', async () => {
      await fill(store, 'pruned', 300, 10);
      const query = `
import json, sys
from deltalake import DeltaTable
import pyarrow.dataset as ds
given = json.load(sys.stdin)
data = DeltaTable(given["url"]).to_pyarrow_dataset()
count = lambda wanted: data.count_rows(filter=wanted)
print(json.dumps([
  count(ds.field("source_offset") == 137),
  count(ds.field("id") == "id-299"),
  count((ds.field("source_offset") >= 100) & (ds.field("source_offset") < 155)),
  count(ds.field("text") == "plain"),
  count(ds.field("double") > 0.2),
]))
`;
      const rows = Array.from({ length: 300 }, (_, offset) => rowAt(offset));
      expect(await deltaRs.run(query, { url: join(folder, 'pruned') })).toEqual([
        1,
        1,
        55,
        rows.filter(({ text }) => text === 'plain').length,
        rows.filter(({ double }) => ((double as number | null) ?? 0) > 0.2).length,
      ]);
    });

    test('delta-rs may OPTIMIZE and checkpoint the table while Weir goes on', async () => {
      await fill(store, 'shared', 120, 10);
      const work = `
import json, sys
from deltalake import DeltaTable
given = json.load(sys.stdin)
table = DeltaTable(given["url"])
table.optimize.compact()
table.create_checkpoint()
print(json.dumps({"version": table.version(), "files": len(table.file_uris())}))
`;
      const done = (await deltaRs.run(work, { url: join(folder, 'shared') })) as { version: number; files: number };
      expect(done.version).toBe(13);
      const table = await openTable({ store, path: 'shared', spec, checkpointEvery: 10 });
      const source = { topic: 'a.topic', partition: 3, epoch: 'ep/och' };
      for (let first = 120; first < 240; first += 10) {
        const rows = Array.from({ length: 20 }, (_, index) => ({
          offset: first - 10 + index,
          row: rowAt(first - 10 + index),
        }));
        expect(await table.append([{ source, rows, lastOffset: first + 9 }])).toMatchObject({
          written: 10,
          droppedByOffset: 10,
        });
      }
      await table.close();
      await check(join(folder, 'shared'), 240);
    });
  });

  const s3 = await startS3();
  afterAll(() => s3?.stop());
  if (s3) {
    test('delta-rs reads the same from S3', async () => {
      const url = `s3://${await s3.bucket()}/tables`;
      const remote = await openStore(url, { endpoint: s3.endpoint, credentials: s3.credentials, env: {} });
      await fill(remote, 'everything', 240, 20);
      await remote.close();
      await check(`${url}/everything`, 240, {
        AWS_ENDPOINT_URL: s3.endpoint,
        AWS_ACCESS_KEY_ID: s3.credentials.accessKeyId,
        AWS_SECRET_ACCESS_KEY: s3.credentials.secretAccessKey,
        AWS_REGION: 'us-east-1',
        AWS_ALLOW_HTTP: 'true',
      });
    });
  }
}
