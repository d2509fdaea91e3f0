/** The worker whose scaling is asked for in scaler.test.ts; as a process of its own it runs. Two records at a time, 20 ms each. */
import { bytes, defineWorker, runWorker, topic } from '@weir/sdk';

export const orders = defineWorker({
  name: 'orders',
  consumes: topic('orders', bytes, { partitions: 6 }),
  concurrency: { fixed: 2 },
  retry: { delays: ['5s'] },
  scaling: { min: 0, catchUp: '30s' },
  handle: (_record, ctx) => ctx.clock.sleep(20, ctx.signal),
});

if (import.meta.main) await runWorker(orders);
