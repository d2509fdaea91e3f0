/**
 * A batch worker: records are handed over together, up to a count, a size or a time. One bad record of a batch is
 * settled by itself with `ctx.fail`, and the others are done.
 *
 * Run:
 *   printf '{"sku":"a","units":2}\n{"sku":"b","units":-1}\n{"sku":"a","units":3}\n' | npx weir dev examples/02-batch-worker.ts
 *
 * You will see:
 *   stock.totals  {"sku":"a","units":5}
 *   dead letter  {"sku":"b","units":-1}   (negative stock)
 *
 * Both records of `a` were in one batch, so one total is sent. `b` is refused for good: a dead letter at once, no retry.
 */
import { defineWorker, PermanentError, topic } from '@weir/sdk';
import { z } from 'zod';

const Movement = z.object({ sku: z.string(), units: z.number() });
const movements = topic('stock.movements', Movement, { partitions: 1, key: (movement) => movement.sku });
const totals = topic('stock.totals', Movement, { partitions: 1, key: (total) => total.sku });

export const stockKeeper = defineWorker({
  name: 'stock-keeper',
  consumes: movements,
  produces: { totals },
  batch: { maxRecords: 100, maxBytes: 1024 * 1024, maxWait: '500ms' },
  async handleBatch(records, ctx) {
    const units = new Map<string, number>();
    for (const record of records) {
      const movement = record.value;
      if (movement.units < 0) ctx.fail(record, new PermanentError('negative stock'));
      else units.set(movement.sku, (units.get(movement.sku) ?? 0) + movement.units);
    }
    for (const [sku, sum] of units) await ctx.send('totals', { sku, units: sum });
  },
});
