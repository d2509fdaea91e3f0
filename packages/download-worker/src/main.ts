import { runWorker } from '@weir/sdk';
import { downloadWorker } from './worker.ts';

await runWorker(downloadWorker);
