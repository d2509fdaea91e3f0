import { runWorker } from '@weir/sdk';
import { eventIngester } from './worker.ts';

await runWorker(eventIngester);
