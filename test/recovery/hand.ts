/** The worker of the recovery tests: each record is a number; every finished one is told, with its place in the topic. */
import { bytes, defineWorker, topic } from '@weir/sdk';

export function declareHand(options: {
  partitions: number;
  workMs: number;
  handled: (number: number, place: string) => void;
}) {
  return defineWorker({
    name: 'hand',
    consumes: topic('jobs', bytes, { partitions: options.partitions }),
    concurrency: { fixed: 10 },
    retry: { delays: ['5s'] },
    async handle({ value, partition, offset }, ctx) {
      await ctx.clock.sleep(options.workMs, ctx.signal);
      options.handled(Number(value.toString()), `${partition}/${offset}`);
    },
  });
}
