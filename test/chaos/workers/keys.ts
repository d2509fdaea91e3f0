/** Order `key`: failures are tried in place, the lane held. */
import { defineWorker, runWorker } from '@weir/sdk';
import { fromOf, ID_HEADER, logged, onLeash, openLog, ownership, TOPICS, toil } from './work.ts';

onLeash();
const log = openLog();

await runWorker(
  defineWorker({
    name: 'keys',
    consumes: TOPICS.keys,
    produces: { done: TOPICS.keysDone },
    order: 'key',
    concurrency: { fixed: 8 },
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
