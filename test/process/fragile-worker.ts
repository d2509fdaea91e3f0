/**
 * The workers that poison.test.ts runs as processes of their own. Each record says what becomes of the process that
 * handles it; what was begun and done is written to a file, synchronously, since the next moment may be the last.
 */
import { appendFileSync } from 'node:fs';
import type { Clock } from '@weir/core';
import { defineWorker, runWorker, topic } from '@weir/sdk';
import { z } from 'zod';

/** `ok` takes `ms`; the others begin like it. */
const Task = z.object({ n: z.number(), kind: z.enum(['ok', 'kill', 'abort', 'memory']), ms: z.number() });
const tasks = topic('tasks', Task, { partitions: 4 });
const config = z.object({
  FRAGILE_LOG: z.string().describe('File of what was begun and done.'),
  FRAGILE_BATCH: z.string().optional().describe('Set: batch by batch.'),
});

type Task = z.output<typeof Task>;

async function work(
  task: Task,
  ctx: { readonly config: z.output<typeof config>; readonly clock: Clock },
): Promise<void> {
  const write = (what: string) => appendFileSync(ctx.config.FRAGILE_LOG, `${what} ${task.n} ${process.pid}\n`);
  write('begun');
  await ctx.clock.sleep(task.ms);
  switch (task.kind) {
    case 'ok':
      write('done');
      return;
    case 'kill':
      process.kill(process.pid, 'SIGKILL');
      return await new Promise(() => undefined);
    case 'abort':
      return process.abort();
    case 'memory': {
      const hoard: number[][] = [];
      while (task.kind === 'memory') hoard.push(new Array<number>(1_000_000).fill(hoard.length + 0.5));
      return;
    }
    default:
      task.kind satisfies never;
  }
}

const declared = {
  name: 'fragile',
  consumes: tasks,
  concurrency: { fixed: 10 },
  retry: { delays: ['5s'] },
  config,
} as const;

await runWorker(
  process.env.FRAGILE_BATCH === undefined
    ? defineWorker({ ...declared, handle: ({ value }, ctx) => work(value, ctx) })
    : defineWorker({
        ...declared,
        batch: { maxRecords: 20, maxBytes: 1_000_000, maxWait: '50ms' },
        handleBatch: async (records, ctx) => {
          for (const { value } of records) await work(value, ctx);
        },
      }),
);
