import { runWorker } from '@weir/sdk';
import { resultProcessor } from './worker.ts';

await runWorker(resultProcessor);
