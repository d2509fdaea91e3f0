/**
 * The smallest worker, as plain JavaScript: what an image runs. Resolved without the `source` condition, so it is the
 * built `dist` of the SDK that is measured, with everything on: metrics, HTTP, commits.
 */
import { defineWorker, runWorker, topic } from '@weir/sdk';
import { z } from 'zod';

const greetings = topic('greetings', z.object({ name: z.string() }), { partitions: 3 });

let greeted = 0;
const hello = defineWorker({
  name: 'hello',
  consumes: greetings,
  async handle() {
    greeted++;
    if (greeted === 1000) process.stdout.write('greeted 1000\n');
  },
});

await runWorker(hello);
