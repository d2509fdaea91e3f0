/**
 * Appending to a Delta table on a local folder: Weir beside delta-rs (`write_deltalake`) in the same run, the same rows.
 *
 *   npx node --conditions=source bench/lake.ts
 *
 * 500 rows of 20 columns a batch, partitioned by day, one writer. Without Python only Weir is measured.
 */
import { execFile } from 'node:child_process';
import { mkdir, mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { pathToFileURL } from 'node:url';
import { promisify } from 'node:util';
import { type ColumnSpec, openTable, type Row, type TableSpec } from '@weir/lake';
import { openStore } from '@weir/storage';
import { startDeltaRs } from '../test/lake/delta-rs.ts';

const BATCHES = 150;
const WARM_UP = 20;
const ROWS = 500;
const ROUNDS = 3;

const texts: ColumnSpec[] = Array.from({ length: 10 }, (_, index) => ({ name: `text_${index}`, type: 'string' }));
const spec: TableSpec = {
  name: 'bench',
  partitionBy: ['event_date'],
  key: ['id'],
  columns: [
    { name: 'id', type: 'string', nullable: false },
    ...texts,
    { name: 'status', type: 'string' },
    { name: 'bytes', type: 'long' },
    { name: 'attempts', type: 'int' },
    { name: 'ratio', type: 'double' },
    { name: 'created_at', type: 'timestamp' },
    { name: 'completed_at', type: 'timestamp' },
    { name: 'event_date', type: 'date', nullable: false },
    { name: 'source_partition', type: 'int', nullable: false },
    { name: 'source_offset', type: 'long', nullable: false },
  ],
};

function rowAt(offset: number): Row {
  const row: Record<string, unknown> = {
    id: `3f2a${offset.toString(16).padStart(8, '0')}-0000-4000-8000-${offset.toString(16).padStart(12, '0')}`,
    status: offset % 50 === 0 ? 'failed' : 'completed',
    bytes: 20_000 + (offset % 977),
    attempts: offset % 3,
    ratio: offset / 7,
    created_at: 1_770_000_000_000 + offset,
    completed_at: 1_770_000_001_000 + offset,
    event_date: '2026-02-02',
    source_partition: 0,
    source_offset: offset,
  };
  for (let index = 0; index < texts.length; index++)
    row[`text_${index}`] = `value ${index} of ${offset % (index * 40 + 5)}`;
  return row;
}

function report(name: string, milliseconds: readonly number[]): void {
  const sorted = [...milliseconds].sort((a, b) => a - b);
  const at = (share: number) => (sorted[Math.floor(sorted.length * share)] ?? 0).toFixed(1);
  const total = milliseconds.reduce((sum, ms) => sum + ms, 0);
  const rate = Math.round((ROWS * milliseconds.length * 1_000) / total);
  console.log(`${name.padEnd(10)} p50 ${at(0.5)} ms   p95 ${at(0.95)} ms   ${rate} rows/s`);
}

async function weir(folder: string): Promise<number[]> {
  const store = await openStore(pathToFileURL(folder).href);
  const table = await openTable({ store, path: 'weir', spec, createIfMissing: true });
  const took: number[] = [];
  for (let batch = 0; batch < BATCHES; batch++) {
    const rows = Array.from({ length: ROWS }, (_, index) => ({
      offset: batch * ROWS + index,
      row: rowAt(batch * ROWS + index),
    }));
    const source = { topic: 'bench', partition: 0, epoch: 'one' };
    const startedAt = performance.now();
    await table.append([{ source, rows, lastOffset: (batch + 1) * ROWS - 1 }]);
    took.push(performance.now() - startedAt);
  }
  await table.close();
  await store.close();
  return took.slice(WARM_UP);
}

/** delta-rs gets Arrow tables that are made outside the measured time, as Weir's rows are. */
const DELTA_RS = `
import json, sys, time, datetime
import pyarrow as pa
from deltalake import write_deltalake
given = json.load(sys.stdin)
times, day = ("created_at", "completed_at"), datetime.date(2026, 2, 2)
took = []
for batch in given["batches"]:
    columns = {name: [row[name] for row in batch] for name in batch[0]}
    for name in times:
        columns[name] = pa.array([v * 1000 for v in columns[name]], pa.timestamp("us", "UTC"))
    columns["event_date"] = [day] * len(batch)
    data = pa.table(columns)
    started = time.perf_counter()
    write_deltalake(given["path"], data, mode="append", partition_by=["event_date"])
    took.append((time.perf_counter() - started) * 1000)
print(json.dumps(took))
`;

/** A process of its own, as delta-rs has: what one round leaves in memory is no burden to the next. */
async function weirApart(folder: string): Promise<number[]> {
  const program = new URL(import.meta.url).pathname;
  const { stdout } = await promisify(execFile)(process.execPath, ['--conditions=source', program, folder], {
    maxBuffer: 2 ** 26,
  });
  return JSON.parse(stdout) as number[];
}

async function main(): Promise<void> {
  const folder = await mkdtemp(join(tmpdir(), 'weir-bench-lake-'));
  try {
    const deltaRs = await startDeltaRs();
    const batches = deltaRs
      ? Array.from({ length: BATCHES }, (_, batch) =>
          Array.from({ length: ROWS }, (_, index) => rowAt(batch * ROWS + index)),
        )
      : [];
    for (let round = 1; round <= ROUNDS; round++) {
      const place = join(folder, String(round));
      await mkdir(place);
      report('weir', await weirApart(place));
      if (!deltaRs) continue;
      const took = (await deltaRs.run(DELTA_RS, { path: join(place, 'delta-rs'), batches })) as number[];
      report('delta-rs', took.slice(WARM_UP));
    }
  } finally {
    await rm(folder, { recursive: true, force: true });
  }
}

const given = process.argv[2];
if (given === undefined) await main();
else process.stdout.write(JSON.stringify(await weir(given)));
