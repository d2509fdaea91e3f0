/**
 * What a worker says about itself on /metrics. metric-table.ts names every metric with its labels and what a
 * rise means. A service adds its own to the same registry.
 *
 * The hot path adds plain numbers; prom-client sees them only when somebody scrapes (`collect`). Gauges are read at that
 * moment from what the worker knows, so they are true while nothing happens, and the series of a partition that left are
 * gone with the next scrape.
 */
import { type Clock, systemClock } from '@weir/core';
import { Counter, collectDefaultMetrics, Gauge, type Metric, Registry } from 'prom-client';
import type { Resolved } from './config.ts';
import { ERROR_CLASSES, type ErrorClass } from './errors.ts';
import { type MetricName, SDK_METRICS } from './metric-table.ts';
import { FlatHistogram, Tally } from './tally.ts';

/** Seconds: a record's or a batch's handling, from a millisecond to the longest sensible timeout. */
const HANDLING_BUCKETS = [0.001, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 300] as const;
const SHORT_BUCKETS = [0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30] as const;

export type ConsumedStatus = 'ok' | 'retried' | 'dead' | 'skipped' | 'deferred';
export type ProducedStatus = 'ok' | 'failed';
export type BreakerState = 'closed' | 'open' | 'half-open';
const BREAKER_STATES: readonly BreakerState[] = ['closed', 'open', 'half-open'];

/** What the worker knows at the moment of a scrape. */
export interface WorkerGauges {
  readonly inflight: number;
  readonly limit: number;
  readonly queued: number;
  readonly parked: number;
  readonly stuck: number;
  readonly suspects: number;
  readonly assigned: number;
  /** By reason; a reason left out counts as 0. */
  readonly paused: Readonly<Record<string, 0 | 1>>;
  readonly partitions: readonly {
    readonly topic: string;
    readonly partition: number;
    readonly lag: number;
    readonly lagSeconds: number | undefined;
    readonly load: number | undefined;
  }[];
  readonly scaling?: ScalingGauges | undefined;
}

/** The part of the scaling answer that is shown as gauges. */
export interface ScalingGauges {
  readonly desiredReplicas: number;
  readonly signalValue: number;
  readonly running: number;
  readonly backlog: number;
  /** When Kafka was looked at: ms since the epoch, or ISO 8601. */
  readonly observedAt: number | string;
}

/** Called by the worker, some of it for every record: each call adds to plain numbers. Topics are Kafka's names. */
export interface Metrics {
  /** Services register their own metrics here. */
  readonly registry: Registry;
  consumed(topic: string, status: ConsumedStatus, count: number): void;
  produced(topic: string, status: ProducedStatus, count: number): void;
  failed(topic: string, errorClass: ErrorClass): void;
  handled(seconds: number): void;
  batchHandled(seconds: number): void;
  /** `topic` is where the record came from, as for `exhausted` and `deadLettered`. */
  retried(topic: string): void;
  exhausted(topic: string): void;
  deadLettered(topic: string, errorClass: ErrorClass): void;
  /** The worst state over the dependency's keys. */
  breaker(dependency: string, state: BreakerState): void;
  rebalanced(seconds: number, moved: number): void;
  redelivered(count: number): void;
  handedOver(count: number): void;
  skippedOtherGroup(count: number): void;
  metadataIgnored(reason: string, count: number): void;
  metadataRefused(): void;
  /** Partitions taken over from an owner that ended without leaving. */
  uncleanEnd(count: number): void;
  poisoned(): void;
  committed(seconds: number): void;
  outOfRange(count: number): void;
  /** Says where gauges are read when scraped. One reader; the last one given counts. */
  observe(read: () => WorkerGauges): void;
}

/**
 * The metrics of one worker, in a registry of its own (or the one given).
 * @param options.nodeMetrics  false leaves out Node's own (heap, event loop, garbage collection): for tests
 */
export function createMetrics(options: {
  resolved: Pick<Resolved, 'group' | 'consumes' | 'dependencies'>;
  registry?: Registry;
  clock?: Clock;
  nodeMetrics?: boolean;
}): Metrics {
  const registry = options.registry ?? new Registry();
  const clock = options.clock ?? systemClock;
  const { group, consumes, dependencies } = options.resolved;
  if (options.nodeMetrics ?? true) collectDefaultMetrics({ register: registry });

  const counter = (name: MetricName, labelsOf: (first: string, second: string) => Record<string, string>): Tally => {
    const tally = new Tally();
    const { help, labels } = SDK_METRICS[name];
    new Counter({
      name,
      help,
      labelNames: [...labels],
      registers: [registry],
      collect() {
        this.reset();
        for (const [first, second, count] of tally) this.inc(labelsOf(first, second), count);
      },
    });
    return tally;
  };
  const plainCounter = (name: MetricName): Tally => {
    const tally = counter(name, () => ({ group }));
    tally.add('', '', 0);
    return tally;
  };
  const histogram = (name: MetricName, bounds: readonly number[], labels: Record<string, string>): FlatHistogram => {
    const flat = new FlatHistogram({ name, help: SDK_METRICS[name].help, bounds, labels });
    registry.registerMetric(flat as unknown as Metric);
    return flat;
  };

  const consumedTally = counter('kafka_messages_consumed_total', (topic, status) => ({ topic, group, status }));
  const producedTally = counter('kafka_messages_produced_total', (topic, status) => ({ topic, status }));
  const failedTally = counter('kafka_processing_errors_total', (topic, errorClass) => ({
    topic,
    group,
    error_class: errorClass,
  }));
  const handledHistogram = histogram('kafka_message_processing_duration_seconds', HANDLING_BUCKETS, {});
  const batchHistogram = histogram('kafka_batch_processing_duration_seconds', HANDLING_BUCKETS, {});
  const retriedTally = counter('kafka_retry_attempts_total', (topic) => ({ topic, group }));
  const exhaustedTally = counter('kafka_retry_exhausted_total', (topic) => ({ topic, group }));
  const deadTally = counter('kafka_dlq_messages_total', (topic, errorClass) => ({ topic, error_class: errorClass }));
  const rebalances = plainCounter('weir_rebalances_total');
  const moved = plainCounter('weir_rebalance_partitions_moved_total');
  const rebalanceHistogram = histogram('weir_rebalance_seconds', SHORT_BUCKETS, { group });
  const redeliveredTally = plainCounter('weir_redelivered_total');
  const handedOverTally = plainCounter('weir_handed_over_total');
  const otherGroupTally = plainCounter('weir_skipped_other_group_total');
  const ignoredTally = counter('weir_metadata_ignored_total', (reason) => ({ reason, group }));
  const refusedTally = plainCounter('weir_metadata_refused_total');
  const uncleanTally = plainCounter('weir_unclean_ends_total');
  const poisonTally = plainCounter('weir_poison_total');
  const commitHistogram = histogram('weir_commit_seconds', SHORT_BUCKETS, { group });
  const outOfRangeTally = plainCounter('weir_offsets_out_of_range_total');

  // A series that begins at its first failure hides that failure from rate(): begin at 0.
  for (const { name: topic } of consumes) {
    consumedTally.add(topic, 'ok', 0);
    retriedTally.add(topic, '', 0);
    exhaustedTally.add(topic, '', 0);
    for (const errorClass of ERROR_CLASSES) {
      failedTally.add(topic, errorClass, 0);
      deadTally.add(topic, errorClass, 0);
    }
  }

  const breakers = new Map<string, BreakerState>(Object.keys(dependencies).map((name) => [name, 'closed']));

  let read: (() => WorkerGauges) | undefined;
  let shown: WorkerGauges | undefined;
  /** One reading for all the gauges of a scrape: prom-client collects them in one go, within the same turn. */
  const gauges = (): WorkerGauges | undefined => {
    if (!shown && read) {
      shown = read();
      queueMicrotask(() => {
        shown = undefined;
      });
    }
    return shown;
  };
  const gauge = (name: MetricName, fill: (gauge: Gauge, now: WorkerGauges) => void): void => {
    const { help, labels } = SDK_METRICS[name];
    new Gauge({
      name,
      help,
      labelNames: [...labels],
      registers: [registry],
      collect() {
        this.reset();
        const now = gauges();
        if (now) fill(this, now);
      },
    });
  };
  const single = (name: MetricName, value: (now: WorkerGauges) => number | undefined): void =>
    gauge(name, (target, now) => {
      const number = value(now);
      if (number !== undefined && Number.isFinite(number)) target.set({ group }, number);
    });
  const perPartition = (
    name: MetricName,
    value: (partition: WorkerGauges['partitions'][number]) => number | undefined,
  ): void =>
    gauge(name, (target, now) => {
      for (const each of now.partitions) {
        const number = value(each);
        if (number !== undefined && Number.isFinite(number))
          target.set({ topic: each.topic, partition: String(each.partition), group }, number);
      }
    });

  perPartition('kafka_consumer_lag', (partition) => partition.lag);
  perPartition('weir_backlog_seconds', (partition) => partition.lagSeconds);
  perPartition('weir_partition_load', (partition) => partition.load);
  single('weir_desired_replicas', (now) => now.scaling?.desiredReplicas);
  single('weir_signal_value', (now) => now.scaling?.signalValue);
  single('weir_running_replicas', (now) => now.scaling?.running);
  single('weir_backlog_records', (now) => now.scaling?.backlog);
  single('weir_signal_age_seconds', (now) => {
    if (now.scaling === undefined) return undefined;
    const at = now.scaling.observedAt;
    return Math.max(0, (clock.now() - (typeof at === 'number' ? at : Date.parse(at))) / 1_000);
  });
  single('weir_assigned_partitions', (now) => now.assigned);
  single('weir_parked_records', (now) => now.parked);
  single('weir_concurrency_limit', (now) => now.limit);
  single('weir_inflight', (now) => now.inflight);
  single('weir_queue_records', (now) => now.queued);
  single('weir_suspect_records', (now) => now.suspects);
  single('weir_stuck_handlers', (now) => now.stuck);
  gauge('weir_paused', (target, now) => {
    for (const [reason, value] of Object.entries({ breaker: 0, memory: 0, operator: 0, ...now.paused }))
      target.set({ reason, group }, value);
  });
  const breakerRow = SDK_METRICS.kafka_circuit_breaker_state;
  new Gauge({
    name: 'kafka_circuit_breaker_state',
    help: breakerRow.help,
    labelNames: [...breakerRow.labels],
    registers: [registry],
    collect() {
      this.reset();
      for (const [dependency, current] of breakers)
        for (const state of BREAKER_STATES) this.set({ dependency, state }, state === current ? 1 : 0);
    },
  });

  return {
    registry,
    consumed: (topic, status, count) => consumedTally.add(topic, status, count),
    produced: (topic, status, count) => producedTally.add(topic, status, count),
    failed: (topic, errorClass) => failedTally.add(topic, errorClass, 1),
    handled: (seconds) => handledHistogram.observe(seconds),
    batchHandled: (seconds) => batchHistogram.observe(seconds),
    retried: (topic) => retriedTally.add(topic, '', 1),
    exhausted: (topic) => exhaustedTally.add(topic, '', 1),
    deadLettered: (topic, errorClass) => deadTally.add(topic, errorClass, 1),
    breaker: (dependency, state) => {
      breakers.set(dependency, state);
    },
    rebalanced: (seconds, partitions) => {
      rebalances.add('', '', 1);
      moved.add('', '', partitions);
      rebalanceHistogram.observe(seconds);
    },
    redelivered: (count) => redeliveredTally.add('', '', count),
    handedOver: (count) => handedOverTally.add('', '', count),
    skippedOtherGroup: (count) => otherGroupTally.add('', '', count),
    metadataIgnored: (reason, count) => ignoredTally.add(reason, '', count),
    metadataRefused: () => refusedTally.add('', '', 1),
    uncleanEnd: (count) => uncleanTally.add('', '', count),
    poisoned: () => poisonTally.add('', '', 1),
    committed: (seconds) => commitHistogram.observe(seconds),
    outOfRange: (count) => outOfRangeTally.add('', '', count),
    observe: (reader) => {
      read = reader;
    },
  };
}
