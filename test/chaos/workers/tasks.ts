/** Order `none`, two retry topics, a send for each record. */
import { defineWorker, runWorker } from '@weir/sdk';
import { fromOf, ID_HEADER, logged, onLeash, openLog, ownership, TOPICS, toil } from './work.ts';

onLeash();
const log = openLog();

await runWorker(
  defineWorker({
    name: 'tasks',
    consumes: TOPICS.tasks,
    produces: { done: TOPICS.tasksDone },
    order: 'none',
    concurrency: { fixed: 8 },
    retry: { delays: ['1s', '2s'] },
    ...ownership(log),
    async handle(record, ctx) {
      const { value, attempt } = record;
      await logged(log, [record], async () => {
        await toil(value, attempt, ctx.signal);
        await ctx.send('done', { id: value.id, from: fromOf(record) }, { headers: { [ID_HEADER]: value.id } });
      });
    },
  }),
);
