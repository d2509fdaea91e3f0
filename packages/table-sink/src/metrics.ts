/** What every writer of a table measures; by table, so that one panel shows them all. */
import type { Clock } from '@weir/core';
import { Counter, Histogram, type Registry } from 'prom-client';

export interface TableMetrics {
  /** Times one append and counts what it wrote; a failure is counted and passed on. */
  measure<T extends { readonly written: number }>(append: () => Promise<T>): Promise<T>;
}

export function createTableMetrics(registry: Registry, table: string, clock: Clock): TableMetrics {
  const writes = new Counter({
    name: 'delta_writes_total',
    help: 'Appends to a Delta table by status: ok or failed. Failures that go on: the store is out of reach or refuses.',
    labelNames: ['table', 'status'],
    registers: [registry],
  });
  const rows = new Counter({
    name: 'delta_rows_written_total',
    help: 'Rows written to a Delta table; rows that it had already are not counted. Flat beside a backlog: the writer stands.',
    labelNames: ['table'],
    registers: [registry],
  });
  const duration = new Histogram({
    name: 'delta_write_duration_seconds',
    help: 'One append to a Delta table, waiting for other writers included. A rise: too many writers or a slow store.',
    labelNames: ['table'],
    buckets: [0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60],
    registers: [registry],
  });
  return {
    async measure(append) {
      const began = clock.monotonic();
      try {
        const result = await append();
        writes.inc({ table, status: 'ok' });
        rows.inc({ table }, result.written);
        return result;
      } catch (error) {
        writes.inc({ table, status: 'failed' });
        throw error;
      } finally {
        duration.observe({ table }, (clock.monotonic() - began) / 1000);
      }
    },
  };
}
