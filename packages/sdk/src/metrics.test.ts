import { ManualClock } from '@weir/core/testing';
import { Counter, Registry } from 'prom-client';
import { describe, expect, test } from 'vitest';
import { resolve } from './config.ts';
import { bytes, defineWorker, topic } from './define.ts';
import { METRIC_ROWS } from './metric-table.ts';
import { createMetrics, type WorkerGauges } from './metrics.ts';

const worker = defineWorker({
  name: 'w',
  consumes: topic('in', bytes, { partitions: 2 }),
  dependencies: { hosts: { keyed: true } },
  handle: () => undefined,
});
const resolved = resolve(worker, { WEIR_TOPIC_PREFIX: 't' });
const idle: WorkerGauges = {
  inflight: 0,
  limit: 10,
  queued: 0,
  parked: 0,
  stuck: 0,
  suspects: 0,
  assigned: 0,
  paused: {},
  partitions: [],
};

function world() {
  const clock = new ManualClock();
  const metrics = createMetrics({ resolved, clock, nodeMetrics: false });
  return { clock, metrics, text: () => metrics.registry.metrics() };
}

/** Names that are public and the SDK owns: dashboards and alerts query them. */
const PROMISED = `kafka_messages_consumed_total kafka_messages_produced_total kafka_processing_errors_total
kafka_consumer_lag kafka_message_processing_duration_seconds kafka_batch_processing_duration_seconds
kafka_circuit_breaker_state kafka_retry_attempts_total kafka_retry_exhausted_total kafka_dlq_messages_total
weir_desired_replicas weir_signal_value weir_partition_load weir_backlog_records weir_backlog_seconds
weir_running_replicas weir_paused weir_parked_records weir_concurrency_limit weir_inflight weir_queue_records
weir_rebalances_total weir_rebalance_seconds weir_rebalance_partitions_moved_total weir_redelivered_total
weir_handed_over_total weir_skipped_other_group_total weir_metadata_ignored_total weir_stuck_handlers
weir_commit_seconds weir_offsets_out_of_range_total weir_assigned_partitions`.split(/\s+/);

describe('createMetrics', () => {
  test('exposes every promised name, and only names of the table', async () => {
    const { text } = world();
    const exposed = [...(await text()).matchAll(/^# TYPE (\S+) (\S+)$/gm)].map((match) => `${match[1]} ${match[2]}`);
    expect(exposed.sort()).toEqual(METRIC_ROWS.map((row) => `${row.name} ${row.type}`).sort());
    expect(METRIC_ROWS.map((row) => row.name)).toEqual(expect.arrayContaining(PROMISED));
  });

  test('has series with exactly the labels of the table', async () => {
    const { metrics, text } = world();
    touchEverything(metrics);
    const page = await text();
    for (const row of METRIC_ROWS) {
      const suffix = row.type === 'histogram' ? '_count' : '';
      const line = page.split('\n').find((each) => new RegExp(`^${row.name}${suffix}[{ ]`).test(each));
      const labels = [...(line ?? '').matchAll(/(\w+)="/g)].map((match) => match[1]);
      expect({ name: row.name, found: line !== undefined, labels: labels.sort() }).toEqual({
        name: row.name,
        found: true,
        labels: [...row.labels].sort(),
      });
    }
  });

  test('names end in their unit or in _total, and every help says what a rise means', () => {
    for (const { name, type, help } of METRIC_ROWS) {
      expect(name.endsWith('_total')).toBe(type === 'counter');
      if (type === 'histogram') expect(name).toMatch(/_seconds$/);
      expect(help.length, name).toBeGreaterThan(60);
    }
  });

  test('two workers in one process do not share anything', async () => {
    const one = world();
    const two = world();
    one.metrics.consumed('t.in', 'ok', 5);
    expect(await two.text()).toContain('kafka_messages_consumed_total{topic="t.in",group="t-w",status="ok"} 0');
  });

  test('takes a registry, where a service puts its own beside', async () => {
    const registry = new Registry();
    const metrics = createMetrics({ resolved, registry, nodeMetrics: false });
    new Counter({ name: 'own_total', help: 'Own.', registers: [metrics.registry] });
    expect(metrics.registry).toBe(registry);
    expect(await registry.metrics()).toContain('own_total 0');
  });

  test('Node’s own are there unless left out', async () => {
    const metrics = createMetrics({ resolved });
    expect(await metrics.registry.metrics()).toContain('process_resident_memory_bytes');
    metrics.registry.clear();
  });
});

describe('counters', () => {
  test('add up, and a second scrape gives the same', async () => {
    const { metrics, text } = world();
    metrics.consumed('t.in', 'ok', 3);
    metrics.consumed('t.in', 'ok', 4);
    metrics.consumed('t.in', 'dead', 1);
    metrics.failed('t.in', 'transient');
    metrics.rebalanced(2, 7);
    for (let scrape = 0; scrape < 2; scrape++) {
      const page = await text();
      expect(page).toContain('kafka_messages_consumed_total{topic="t.in",group="t-w",status="ok"} 7');
      expect(page).toContain('kafka_messages_consumed_total{topic="t.in",group="t-w",status="dead"} 1');
      expect(page).toContain('kafka_processing_errors_total{topic="t.in",group="t-w",error_class="transient"} 1');
      expect(page).toContain('weir_rebalances_total{group="t-w"} 1');
      expect(page).toContain('weir_rebalance_partitions_moved_total{group="t-w"} 7');
    }
  });

  test('begin at 0, so that the first failure shows in a rate', async () => {
    const page = await world().text();
    expect(page).toContain('kafka_processing_errors_total{topic="t.in",group="t-w",error_class="poison"} 0');
    expect(page).toContain('kafka_dlq_messages_total{topic="t.in",error_class="poison"} 0');
    expect(page).toContain('kafka_retry_exhausted_total{topic="t.in",group="t-w"} 0');
    expect(page).toContain('weir_redelivered_total{group="t-w"} 0');
  });
});

describe('histograms', () => {
  test('are cumulative, with sum and count', async () => {
    const { metrics, text } = world();
    for (const seconds of [0.0005, 0.001, 0.02, 400]) metrics.handled(seconds);
    metrics.handled(Number.NaN);
    const page = await text();
    const bucket = (le: string) => `kafka_message_processing_duration_seconds_bucket{le="${le}"}`;
    expect(page).toContain(`${bucket('0.001')} 2\n`);
    expect(page).toContain(`${bucket('0.01')} 2\n`);
    expect(page).toContain(`${bucket('0.025')} 3\n`);
    expect(page).toContain(`${bucket('300')} 3\n`);
    expect(page).toContain(`${bucket('+Inf')} 4\n`);
    expect(page).toContain('kafka_message_processing_duration_seconds_sum 400.0215\n');
    expect(page).toContain('kafka_message_processing_duration_seconds_count 4\n');
  });
});

describe('gauges', () => {
  test('are read when scraped, once a scrape', async () => {
    const { clock, metrics, text } = world();
    let reads = 0;
    metrics.observe(() => {
      reads += 1;
      return {
        ...idle,
        inflight: reads,
        paused: { breaker: 1 },
        scaling: {
          desiredReplicas: 12,
          signalValue: 12.11,
          running: 11,
          backlog: 5_000,
          observedAt: clock.now() - 3_000,
        },
      };
    });
    expect(await text()).toContain('weir_inflight{group="t-w"} 1\n');
    const page = await text();
    expect(page).toContain('weir_inflight{group="t-w"} 2\n');
    expect(page).toContain('weir_paused{reason="breaker",group="t-w"} 1\n');
    expect(page).toContain('weir_paused{reason="memory",group="t-w"} 0\n');
    expect(page).toContain('weir_desired_replicas{group="t-w"} 12\n');
    expect(page).toContain('weir_signal_value{group="t-w"} 12.11\n');
    expect(page).toContain('weir_signal_age_seconds{group="t-w"} 3\n');
    expect(reads).toBe(2);
  });

  test('of a partition that left are gone with the next scrape', async () => {
    const { metrics, text } = world();
    const partition = (number: number) => ({ topic: 't.in', partition: number, lag: 7, lagSeconds: 2, load: 0.5 });
    let partitions = [partition(0), partition(1)];
    metrics.observe(() => ({ ...idle, assigned: partitions.length, partitions }));
    expect(await text()).toContain('kafka_consumer_lag{topic="t.in",partition="1",group="t-w"} 7\n');
    partitions = [{ ...partition(0), lagSeconds: Number.NaN }];
    const page = await text();
    expect(page).toContain('kafka_consumer_lag{topic="t.in",partition="0",group="t-w"} 7\n');
    expect(page).not.toContain('partition="1"');
    expect(page).not.toMatch(/weir_backlog_seconds\{/);
    expect(page).toContain('weir_assigned_partitions{group="t-w"} 1\n');
  });

  test('are absent while nobody can say', async () => {
    const page = await world().text();
    expect(page).not.toMatch(/^weir_desired_replicas\{/m);
    expect(page).not.toMatch(/^weir_inflight\{/m);
  });

  test('a breaker is in one state', async () => {
    const { metrics, text } = world();
    expect(await text()).toContain('kafka_circuit_breaker_state{dependency="hosts",state="closed"} 1\n');
    metrics.breaker('hosts', 'half-open');
    const states = [...(await text()).matchAll(/^kafka_circuit_breaker_state\{.*state="(.*)"\} (\d)$/gm)];
    expect(states.map((match) => `${match[1]} ${match[2]}`)).toEqual(['closed 0', 'open 0', 'half-open 1']);
  });
});

function touchEverything(metrics: ReturnType<typeof createMetrics>): void {
  metrics.produced('t.out', 'ok', 1);
  metrics.metadataIgnored('foreign', 1);
  metrics.observe(() => ({
    ...idle,
    partitions: [{ topic: 't.in', partition: 0, lag: 1, lagSeconds: 1, load: 1 }],
    scaling: { desiredReplicas: 1, signalValue: 1, running: 1, backlog: 1, observedAt: '2026-01-01T00:00:00Z' },
  }));
}
