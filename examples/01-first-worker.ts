/**
 * The smallest worker: orders come in, large ones go out. One topic in, one topic out, a schema for both.
 *
 * Run:
 *   printf '{"id":"o-1","total":250}\n{"id":"o-2","total":5}\nno json\n' | npx weir dev examples/01-first-worker.ts
 *
 * You will see:
 *   orders.big  {"id":"o-1","total":250}
 *   dead letter  no json   (…)
 *
 * `o-2` is small, so nothing is sent for it. The third line cannot be decoded: it becomes a dead letter with its bytes
 * and the reason, and the others are not held up by it.
 */
import { defineWorker, runWorker, topic } from '@weir/sdk';
import { z } from 'zod';

const Order = z.object({ id: z.string(), total: z.number() });
const orders = topic('orders', Order, { partitions: 4, key: (order) => order.id });
const big = topic('orders.big', Order, { partitions: 2, key: (order) => order.id });

export const sorter = defineWorker({
  name: 'order-sorter',
  consumes: orders,
  produces: { big },
  async handle({ value: order }, ctx) {
    if (order.total > 100) await ctx.send('big', order);
  },
});

// In production this file is the process: KAFKA_BROKERS=… node 01-first-worker.js
if (import.meta.main) await runWorker(sorter);
