/**
 * `runWorker`, as it is named to the outside: loads what a process needs only when one is run. Importing @weir/sdk for
 * a topic, an error or a type stays light.
 */
import type { RunOptions, Runs } from './run.ts';
import { keepYoungHeapSmall } from './young-heap.ts';

/**
 * Runs a worker until the process is told to stop: reads the environment, connects, serves /metrics, drains on SIGTERM.
 * Without `options.signal` the process is the worker's and ends with it; the exit code says how it went (`EXIT`).
 */
export async function runWorker(runs: Runs, options: RunOptions = {}): Promise<void> {
  if (options.signal === undefined) keepYoungHeapSmall();
  const process = await import('./run.ts');
  await process.runWorker(runs, options);
}
