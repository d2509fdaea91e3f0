/** The pipeline's own retry-scheduler, on the leash: brings back what `tasks` and `rows` sent to their retry topics. */
import { retryScheduler } from '@weir/retry-scheduler/worker';
import { runWorker } from '@weir/sdk';
import { onLeash } from './work.ts';

onLeash();
await runWorker(retryScheduler);
