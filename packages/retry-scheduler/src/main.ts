import { runWorker } from '@weir/sdk';
import { retryScheduler } from './worker.ts';

await runWorker(retryScheduler);
