/** The worker that run-worker.test.ts runs as a process of its own. What it does is said by each record. */
import { defineWorker, runWorker, topic } from '@weir/sdk';
import { z } from 'zod';

/** `ok` ends at once, `slow` after `ms`, `deaf` never, `crash` outside of anything that could catch it. */
const Order = z.object({ kind: z.enum(['ok', 'slow', 'deaf', 'crash']), ms: z.number().default(0) });
const orders = topic('orders', Order, { partitions: 2 });

const shop = defineWorker({
  name: 'shop',
  consumes: orders,
  retry: { delays: ['5s'] },
  config: z.object({ SHOP_TOKEN: z.string().min(8).describe('Token of the shop.') }),
  async handle({ value }, ctx) {
    ctx.log.info({ kind: value.kind }, 'begun');
    switch (value.kind) {
      case 'ok':
        return;
      case 'slow':
        await ctx.clock.sleep(value.ms, ctx.signal);
        ctx.log.info({}, 'ended');
        return;
      case 'deaf':
        await new Promise(() => undefined);
        return;
      case 'crash':
        queueMicrotask(() => {
          throw new Error('nobody catches this');
        });
        return;
      default:
        value.kind satisfies never;
    }
  },
});

await runWorker(shop);
