/** What the ingester measures beside what every worker does. */
import { Counter, type Registry } from 'prom-client';
import type { SkipReason } from './reading.ts';

export interface IngesterMetrics {
  skipped(reason: SkipReason): void;
}

export function createMetrics(registry: Registry): IngesterMetrics {
  const skipped = new Counter({
    name: 'ingester_attachments_skipped_total',
    help: 'Attachments of events that made no download task, by reason: no-assignment, not-text, duplicate. A rise of the first two: a sender leaves something out.',
    labelNames: ['reason'],
    registers: [registry],
  });
  return { skipped: (reason) => skipped.inc({ reason }) };
}
