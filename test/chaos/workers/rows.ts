/**
 * A batch worker that writes a Delta table and then sends, one record for each row. When the file CHAOS_DIE names
 * is there, the process that takes it away kills itself between the two: the table has the rows, nobody has the sends, and the next
 * owner has to make them.
 */
import { rmSync } from 'node:fs';
import { setTimeout as wait } from 'node:timers/promises';
import { openTable } from '@weir/lake';
import { defineWorker, runWorker } from '@weir/sdk';
import { openStore, StoreUnavailableError } from '@weir/storage';
import { TableSink } from '@weir/table-sink';
import { z } from 'zod';
import { whileAbsent } from './flaky-store.ts';
import { TABLE } from './table.ts';
import { failureOf, fromOf, ID_HEADER, logged, onLeash, openLog, ownership, TOPICS } from './work.ts';

onLeash();
const log = openLog();
const deathWarrant = process.env.CHAOS_DIE ?? '';
const { assigned, revoked } = ownership(log);

await runWorker(
  defineWorker({
    name: 'rows',
    consumes: TOPICS.rows,
    produces: { done: TOPICS.rowsDone },
    batch: { maxRecords: 100, maxWait: '200ms' },
    concurrency: { fixed: 4 },
    timeout: '1h',
    retry: { delays: ['1s', '2s'] },
    dependencies: { tables: { timeout: '20s' } },
    config: z.object({
      TABLES_URL: z.string().describe('Folder of the table.'),
      STORE_FAILS: z.string().describe('The store fails while this file exists.'),
    }),
    async open({ config, clock, log: lines, registry, signal }) {
      const store = whileAbsent(
        await openStore(config.TABLES_URL, { create: true, clock, log: lines }),
        config.STORE_FAILS,
      );
      const options = {
        store,
        path: TABLE.name,
        spec: TABLE,
        createIfMissing: true,
        clock,
        log: lines,
      };
      // A process that starts while the store is away waits for it; one that ended would be started again, to the same end.
      for (;;) {
        try {
          return new TableSink({ store, table: await openTable(options), registry, clock });
        } catch (error) {
          if (!(error instanceof StoreUnavailableError)) throw error;
          await clock.sleep(200, signal);
        }
      }
    },
    close: (sink) => sink.close(),
    async assigned(partitions, { resources: sink }) {
      await assigned(partitions);
      await sink.assigned(partitions);
    },
    revoked(partitions, { resources: sink }) {
      revoked(partitions);
      sink.revoked(partitions);
    },
    async handleBatch(records, ctx) {
      await logged(log, records, async (failed) => {
        const { ms, deaf } = records[0]!.value;
        await wait(ms, undefined, deaf ? {} : { signal: ctx.signal });
        await ctx.resources.write(records, ctx, (record) => {
          const error = failureOf(record.value.failures, record.attempt);
          if (error === undefined)
            return { id: record.value.id, source_partition: record.partition, source_offset: record.offset };
          failed.add(record);
          throw error;
        });
        if (isTaken(deathWarrant)) {
          log.write({ e: 'dying', why: 'between the table commit and its sends' });
          process.kill(process.pid, 'SIGKILL');
        }
        for (const record of records)
          if (!failed.has(record))
            await ctx.send(
              'done',
              { id: record.value.id, from: fromOf(record) },
              { headers: { [ID_HEADER]: record.value.id } },
            );
      });
    },
  }),
);

function isTaken(path: string): boolean {
  try {
    rmSync(path);
    return true;
  } catch {
    return false;
  }
}
