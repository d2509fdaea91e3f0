/** The worker that memory.test.ts runs in a small heap: each call holds 0.3 MB of it for five seconds. */
import { defineWorker, runWorker, topic } from '@weir/sdk';
import { z } from 'zod';

const loads = topic('loads', z.object({ n: z.number() }), { partitions: 2 });
const DOUBLES = 37_500;

const hoarder = defineWorker({
  name: 'hoarder',
  consumes: loads,
  concurrency: { fixed: 200 },
  retry: { delays: ['5s'] },
  async handle({ value }, ctx) {
    const held = new Array<number>(DOUBLES).fill(value.n + 0.5);
    await ctx.clock.sleep(5_000, ctx.signal);
    if (held.length !== DOUBLES) throw new Error('never');
  },
});

await runWorker(hoarder);
