/**
 * The whole of "once", as a model over seeds: several owners of the same partitions, each with its own idea of where to
 * start and how to cut, a store that fails before and after it did what was asked, processes that stop dead in the
 * middle, results that were produced twice. Afterwards each result has exactly one row. The seed is in the failure.
 */
import { type Clock, type Random, seededRandom } from '@weir/core';
import { MemoryStore, ScriptedStore } from '@weir/storage/testing';
import { describe, expect, test } from 'vitest';
import { openTable, readRows, type Table } from './table.ts';
import { modelSpec, rowsOf, sliceOf } from './testing/index.ts';

/** More of them: WEIR_SEEDS=500. */
const SEEDS = Number(process.env.WEIR_SEEDS ?? 20);
const PARTITIONS = 2;
const RECORDS = 40;
const OWNERS = 4;

/** Time that moves when it is looked at; sleeping is letting the others run. */
class HastyClock implements Clock {
  #now = Date.UTC(2026, 0, 1);
  now(): number {
    return ++this.#now;
  }
  monotonic(): number {
    return ++this.#now;
  }
  async sleep(ms: number): Promise<void> {
    for (let turn = 0; turn < 1 + (ms % 7); turn++) await new Promise<void>((resolve) => setImmediate(resolve));
  }
  after(): () => void {
    return () => undefined;
  }
  every(): () => void {
    return () => undefined;
  }
}

const keyOf = (partition: number, offset: number) => `${partition}-${offset % 7 === 6 ? offset - 3 : offset}`;

/** A process that reads its partition from somewhere and appends until the end, or dies. */
async function own(options: { table: Table; store: ScriptedStore; random: Random; partition: number; dies: boolean }) {
  const { table, store, random, partition } = options;
  let deathIn = options.dies ? 1 + random.below(6) : Number.POSITIVE_INFINITY;
  let next = 0;
  try {
    next = Math.max(
      0,
      ((await table.positions('results', [partition], 'one')).get(partition) ?? -1) + 1 - random.below(12),
    );
  } catch {
    // Unreachable for a moment: from the beginning then, which is allowed and slow.
  }
  const dead = Promise.withResolvers<'dead'>();
  while (next < RECORDS) {
    const last = Math.min(RECORDS - 1, next + random.below(9));
    if (random.next() < 0.3) {
      const operation = random.next() < 0.7 ? 'put' : 'get';
      store.fail({ operation, when: random.next() < 0.5 ? 'before' : 'after', skip: random.below(4) });
    }
    const dying = --deathIn <= 0;
    if (dying) {
      const stop = () => {
        dead.resolve('dead');
        return new Promise<void>(() => undefined);
      };
      const when = random.next() < 0.5 ? 'before' : 'after';
      store.fail({ operation: 'put', when, skip: random.below(3), act: stop, times: Number.POSITIVE_INFINITY });
    }
    const slice = sliceOf(partition, next, last, (offset) => keyOf(partition, offset));
    const appended = table.append([slice]).then(
      () => 'written' as const,
      (error: { transient?: boolean }) => {
        if (error.transient !== true) throw error;
        return 'again' as const;
      },
    );
    const outcome = await Promise.race([appended, dead.promise]);
    if (outcome === 'dead') return;
    if (outcome === 'written') next = last + 1;
  }
}

async function run(seed: number): Promise<string> {
  const random = seededRandom(seed);
  const clock = new HastyClock();
  const shared = new MemoryStore();
  const spec = modelSpec;
  await openTable({ store: shared, path: 't', spec, createIfMissing: true, clock });
  const process = async (partition: number, dies: boolean) => {
    const store = new ScriptedStore(shared);
    const table = await openTable({ store, path: 't', spec, clock, random, checkpointEvery: 10 });
    await own({ table, store, random, partition, dies });
  };
  const lives = Array.from({ length: OWNERS }, async (_, index) => {
    const partition = index % PARTITIONS;
    while (random.next() < 0.5) await process(partition, true);
    await process(partition, false);
  });
  await Promise.all(lives);
  const table = await openTable({ store: shared, path: 't', spec, clock });
  const found = rowsOf(await readRows(table));
  const wanted = Array.from({ length: PARTITIONS * RECORDS }, (_, index) => ({
    partition: Math.floor(index / RECORDS),
    offset: index % RECORDS,
    key: `${Math.floor(index / RECORDS)}-${index % RECORDS}`,
  })).filter(({ partition, offset, key }) => keyOf(partition, offset) === key);
  const text = (rows: readonly { partition: number; offset: number; key: string }[]) =>
    rows.map(({ partition, offset, key }) => `${partition}/${offset} ${key}`).join('\n');
  return text(found) === text(wanted) ? 'each result once' : `seed ${seed}: ${found.length} rows for ${wanted.length}`;
}

describe('each result has one row, whatever fails', () => {
  for (let seed = 1; seed <= SEEDS; seed++) {
    test(`seed ${seed}`, async () => {
      expect(await run(seed)).toBe('each result once');
    });
  }
});
