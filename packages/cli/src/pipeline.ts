/**
 * The whole pipeline as resolved declarations: what `topics`, `topology`, `manifests` and the demo are derived from.
 *
 * retry-scheduler and dlq-handler read the topology that the others make up, so it is built in three steps: the workers
 * that do the work, then the scheduler of their retries, then the handler of everybody's dead letters.
 */
import { dlqHandler } from '@weir/dlq-handler/worker';
import { downloadWorker } from '@weir/download-worker/worker';
import { eventIngester } from '@weir/ingester/worker';
import { resultProcessor } from '@weir/result-processor/worker';
import { retryScheduler } from '@weir/retry-scheduler/worker';
import { type Resolved, resolve, type Topology, topologyOf, type Worker } from '@weir/sdk';

export interface Pipeline {
  readonly resolved: readonly Resolved[];
  readonly topology: Topology;
}

/**
 * @param envOf  environment of each worker by its name
 * @throws ConfigError with every problem of the first worker that has one
 */
export function resolvePipeline(envOf: (worker: string) => Readonly<Record<string, string | undefined>>): Pipeline {
  const resolveOne = (worker: unknown) => {
    // The services' own types of value and resources do not matter here.
    const declared = worker as Worker;
    return resolve(declared, envOf(declared.name));
  };
  const working = [eventIngester, downloadWorker, resultProcessor].map(resolveOne);
  const scheduled = [...working, resolveOne(retryScheduler(topologyOf(working)))];
  const resolved = [...scheduled, resolveOne(dlqHandler(topologyOf(scheduled)))];
  return { resolved, topology: topologyOf(resolved) };
}
