import { runWorker } from '@weir/sdk';
import { dlqHandler } from './worker.ts';

await runWorker(dlqHandler);
