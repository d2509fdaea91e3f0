/** What the download worker measures beside what every worker does. */
import { Counter, Gauge, Histogram, type Registry } from 'prom-client';

export interface DownloadMetrics {
  started(): void;
  ended(outcome: string, seconds: number): void;
  received(bytes: number): void;
}

export function createMetrics(registry: Registry): DownloadMetrics {
  const duration = new Histogram({
    name: 'download_duration_seconds',
    help: 'One download from request to stored object, by outcome: completed, the error’s class, or aborted. A rise under completed: slow hosts or a slow store.',
    labelNames: ['outcome'],
    buckets: [0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 120, 300],
    registers: [registry],
  });
  const bytes = new Counter({
    name: 'download_bytes_total',
    help: 'Bytes received from hosts, refused and broken transfers included. Flat beside a backlog: hosts or network stand.',
    registers: [registry],
  });
  const inFlight = new Gauge({
    name: 'downloads_in_flight',
    help: 'Downloads under way in this process. At the concurrency limit for long: more workers or faster hosts are needed.',
    registers: [registry],
  });
  return {
    started: () => inFlight.inc(),
    ended(outcome, seconds) {
      inFlight.dec();
      duration.observe({ outcome }, seconds);
    },
    received: (count) => bytes.inc(count),
  };
}
