/**
 * The services, by the name of their worker or of their package, and what starts each: its `main`, as source where the
 * `source` condition is on (a clone), else as built. Starting is always a new Node process: a service's main is never
 * imported.
 */
import { existsSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { ServiceMissingError, ServiceUnknownError } from './errors.ts';

/** Worker name to package. The scaler is no worker: it only reads offsets. */
export const SERVICES = {
  'event-ingester': '@weir/ingester',
  'download-worker': '@weir/download-worker',
  'result-processor': '@weir/result-processor',
  'retry-scheduler': '@weir/retry-scheduler',
  'dlq-handler': '@weir/dlq-handler',
  scaler: '@weir/scaler',
} as const;

export type ServiceName = keyof typeof SERVICES;
export const SERVICE_NAMES = Object.keys(SERVICES) as ServiceName[];

/** @throws ServiceUnknownError */
export function serviceNamed(name: string): ServiceName {
  const found = SERVICE_NAMES.find((service) => service === name || SERVICES[service] === `@weir/${name}`);
  if (!found) throw new ServiceUnknownError(name, SERVICE_NAMES);
  return found;
}

/**
 * Arguments for Node that start the service.
 * @throws ServiceMissingError when it is neither there as source nor built
 */
export function startArguments(service: ServiceName): string[] {
  const main = fileURLToPath(import.meta.resolve(`${SERVICES[service]}/main`));
  if (!existsSync(main)) throw new ServiceMissingError(service, [main]);
  return main.endsWith('.ts') ? ['--conditions=source', main] : [main];
}
