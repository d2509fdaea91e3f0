import { ManualClock } from '@weir/core/testing';
import { Registry } from 'prom-client';
import { expect, test } from 'vitest';
import { createTableMetrics } from './metrics.ts';

test('appends, rows and failures are counted by table, and each append is timed', async () => {
  const registry = new Registry();
  const clock = new ManualClock();
  const metrics = createTableMetrics(registry, 'rows', clock);
  const append = metrics.measure(async () => {
    await clock.sleep(300);
    return { written: 7 };
  });
  await clock.advance(300);
  await append;
  await expect(metrics.measure(() => Promise.reject(new Error('away')))).rejects.toThrow('away');
  const text = await registry.metrics();
  expect(text).toContain('delta_writes_total{table="rows",status="ok"} 1');
  expect(text).toContain('delta_writes_total{table="rows",status="failed"} 1');
  expect(text).toContain('delta_rows_written_total{table="rows"} 7');
  expect(text).toContain('delta_write_duration_seconds_sum{table="rows"} 0.3');
});
