/**
 * What a worker says about itself on /metrics. One table names every metric of the SDK, with its labels and what a rise
 * means; `docs/metrics.md` is generated from it. A service adds its own to the same registry.
 *
 * The hot path adds plain numbers; prom-client sees them only when somebody scrapes (`collect`). Gauges are read at that
 * moment from what the worker knows, so they are true while nothing happens, and the series of a partition that left are
 * gone with the next scrape.
 */
import { type Clock, systemClock } from '@weir/core';
import { Counter, collectDefaultMetrics, Gauge, type Metric, Registry } from 'prom-client';
import type { Resolved } from './config.ts';
import { ERROR_CLASSES, type ErrorClass } from './errors.ts';

export interface MetricRow {
  readonly name: string;
  readonly type: 'counter' | 'gauge' | 'histogram';
  readonly labels: readonly string[];
  /** What it is, and what a rise means. */
  readonly help: string;
}

/** Seconds: a record's or a batch's handling, from a millisecond to the longest sensible timeout. */
const HANDLING_BUCKETS = [0.001, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 300] as const;
const SHORT_BUCKETS = [0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30] as const;

export const SDK_METRICS = {
  kafka_messages_consumed_total: {
    type: 'counter',
    labels: ['topic', 'group', 'status'],
    help: 'Records settled, by outcome (ok, retried, dead, skipped, deferred). Its rate is the throughput; a rise of retried or dead means failures.',
  },
  kafka_messages_produced_total: {
    type: 'counter',
    labels: ['topic', 'status'],
    help: 'Records sent, by what the broker answered (ok, failed). A rise of failed means the broker refuses records.',
  },
  kafka_processing_errors_total: {
    type: 'counter',
    labels: ['topic', 'group', 'error_class'],
    help: 'Failed handler calls and unreadable records, by class of error. A rise of transient points at a dependency, of poison at a producer or a bug.',
  },
  kafka_consumer_lag: {
    type: 'gauge',
    labels: ['topic', 'partition', 'group'],
    help: 'Records between the committed offset and the end, for each partition of this process. A rise means records arrive faster than they are handled.',
  },
  kafka_message_processing_duration_seconds: {
    type: 'histogram',
    labels: [],
    help: 'Seconds of one handler call. A rise means slower work or a slower dependency.',
  },
  kafka_batch_processing_duration_seconds: {
    type: 'histogram',
    labels: [],
    help: 'Seconds of one batch handler call. A rise means larger batches or a slower sink.',
  },
  kafka_circuit_breaker_state: {
    type: 'gauge',
    labels: ['dependency', 'state'],
    help: '1 for the state the dependency’s breaker is in (the worst one over its keys), 0 for the others. open at 1 means calls are refused and their records wait.',
  },
  kafka_retry_attempts_total: {
    type: 'counter',
    labels: ['topic', 'group'],
    help: 'Records given another try, by the topic they came from. A rise means failures that may pass.',
  },
  kafka_retry_exhausted_total: {
    type: 'counter',
    labels: ['topic', 'group'],
    help: 'Records whose retries are used up, by the topic they came from. A rise means an outage outlasts the retry delays.',
  },
  kafka_dlq_messages_total: {
    type: 'counter',
    labels: ['topic', 'error_class'],
    help: 'Dead letters written, by the topic the record came from. A rise means records that a person has to look at.',
  },
  weir_desired_replicas: {
    type: 'gauge',
    labels: ['group'],
    help: 'Replicas the plan wants for the group, the same at every replica: aggregate with max. A rise means more load or slower work.',
  },
  weir_signal_value: {
    type: 'gauge',
    labels: ['group'],
    help: 'What KEDA reads, target 1: the wanted replicas, nudged past the autoscaler’s tolerance where needed.',
  },
  weir_running_replicas: {
    type: 'gauge',
    labels: ['group'],
    help: 'Members of the group at the last look. Below weir_desired_replicas for long means replicas that do not start.',
  },
  weir_backlog_records: {
    type: 'gauge',
    labels: ['group'],
    help: 'Records of the whole group that could be handled now, the same at every replica: aggregate with max. A rise means falling behind.',
  },
  weir_backlog_seconds: {
    type: 'gauge',
    labels: ['topic', 'partition', 'group'],
    help: 'Age of the oldest record not yet settled, for each partition of this process. A rise means records wait.',
  },
  weir_signal_age_seconds: {
    type: 'gauge',
    labels: ['group'],
    help: 'Age of the scaling answer. A rise means Kafka does not answer this process; past 90 /scaling answers 503.',
  },
  weir_partition_load: {
    type: 'gauge',
    labels: ['topic', 'partition', 'group'],
    help: 'Work a partition brings, in workers (1 keeps one worker busy). Near or above 1 with order partition or key: more partitions are needed, not more replicas.',
  },
  weir_assigned_partitions: {
    type: 'gauge',
    labels: ['group'],
    help: 'Partitions this process owns. 0 everywhere means that nobody consumes.',
  },
  weir_paused: {
    type: 'gauge',
    labels: ['reason', 'group'],
    help: '1 while partitions are paused for this reason: breaker (a dependency is down), memory (queues are full), operator.',
  },
  weir_parked_records: {
    type: 'gauge',
    labels: ['group'],
    help: 'Records that wait in memory for a dependency that is down. A rise means an outage of some hosts.',
  },
  weir_concurrency_limit: {
    type: 'gauge',
    labels: ['group'],
    help: 'Handler calls that may be in flight. A fall means the tuner backs off from slower answers or short memory.',
  },
  weir_inflight: {
    type: 'gauge',
    labels: ['group'],
    help: 'Handler calls in flight. At weir_concurrency_limit for long: the limit binds.',
  },
  weir_queue_records: {
    type: 'gauge',
    labels: ['group'],
    help: 'Records fetched and not yet handed to a handler. Steadily high is normal under load; it is bounded.',
  },
  weir_stuck_handlers: {
    type: 'gauge',
    labels: ['group'],
    help: 'Handlers past their timeout that ignore their signal and keep their slot. Above 0 is a bug in the handler; all slots stuck fails liveness.',
  },
  weir_rebalances_total: {
    type: 'counter',
    labels: ['group'],
    help: 'Rebalances this process went through. A rise without scaling means members that come and go.',
  },
  weir_rebalance_seconds: {
    type: 'histogram',
    labels: ['group'],
    help: 'Seconds from leaving off to the new assignment. A rise means slow handlers or slow members.',
  },
  weir_rebalance_partitions_moved_total: {
    type: 'counter',
    labels: ['group'],
    help: 'Partitions that came to this process or left it in rebalances. A rise beyond scaling means an unsettled group.',
  },
  weir_redelivered_total: {
    type: 'counter',
    labels: ['group'],
    help: 'Records delivered again that had been handled or begun before. A rise means crashes or handlers slower than the revoke wait.',
  },
  weir_handed_over_total: {
    type: 'counter',
    labels: ['group'],
    help: 'Records in hand that went to another member unfinished. A rise means handlers slower than the revoke wait.',
  },
  weir_skipped_other_group_total: {
    type: 'counter',
    labels: ['group'],
    help: 'Retried records of other groups on a shared topic, skipped. A rise means another group retries.',
  },
  weir_metadata_ignored_total: {
    type: 'counter',
    labels: ['reason', 'group'],
    help: 'Commit metadata or headers that were not believed. A rise means foreign tools commit for the group, or records carry forged headers.',
  },
  weir_commit_seconds: {
    type: 'histogram',
    labels: ['group'],
    help: 'Seconds of one offset commit. A rise means a slow group coordinator.',
  },
  weir_offsets_out_of_range_total: {
    type: 'counter',
    labels: ['group'],
    help: 'Records lost to retention before they were read. Any rise is loss: give the topic more retention.',
  },
} as const satisfies Record<string, Omit<MetricRow, 'name'>>;

type MetricName = keyof typeof SDK_METRICS;

/** The table as rows, for docs and dashboards. */
export const METRIC_ROWS: readonly MetricRow[] = Object.entries(SDK_METRICS).map(([name, row]) => ({ name, ...row }));

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
  committed(seconds: number): void;
  outOfRange(count: number): void;
  /** Says where gauges are read when scraped. One reader; the last one given counts. */
  observe(read: () => WorkerGauges): void;
}

/** Numbers by label values, handed to prom-client when scraped. Up to two labels vary; the rest is fixed. */
class Tally {
  readonly #counts = new Map<string, Map<string, number>>();

  add(first: string, second: string, count: number): void {
    const row = this.#counts.get(first);
    if (row) row.set(second, (row.get(second) ?? 0) + count);
    else this.#counts.set(first, new Map([[second, count]]));
  }

  *[Symbol.iterator](): Generator<[first: string, second: string, count: number]> {
    for (const [first, row] of this.#counts) for (const [second, count] of row) yield [first, second, count];
  }
}

/**
 * A histogram without labels of its own: an array of counters. prom-client's own costs a hash of labels for every
 * observation, ten times as much, and a handler may be called 200,000 times a second.
 */
class FlatHistogram {
  readonly name: string;
  readonly help: string;
  readonly type = 'histogram';
  readonly aggregator = 'sum';
  readonly #labels: Readonly<Record<string, string>>;
  readonly #bounds: readonly number[];
  readonly #counts: number[];
  #sum = 0;
  #count = 0;

  constructor(name: MetricName, bounds: readonly number[], labels: Readonly<Record<string, string>>) {
    this.name = name;
    this.help = SDK_METRICS[name].help;
    this.#bounds = bounds;
    this.#labels = labels;
    this.#counts = new Array<number>(bounds.length).fill(0);
  }

  observe(value: number): void {
    if (!Number.isFinite(value)) return;
    this.#sum += value;
    this.#count += 1;
    for (let at = 0; at < this.#bounds.length; at++) {
      if (value > this.#bounds[at]!) continue;
      this.#counts[at]! += 1;
      return;
    }
  }

  reset(): void {
    this.#counts.fill(0);
    this.#sum = 0;
    this.#count = 0;
  }

  /** What prom-client's registry asks of a metric. */
  get(): Promise<unknown> {
    const values: object[] = [];
    let below = 0;
    for (const [at, bound] of this.#bounds.entries()) {
      below += this.#counts[at]!;
      values.push({ metricName: `${this.name}_bucket`, labels: { ...this.#labels, le: bound }, value: below });
    }
    values.push({ metricName: `${this.name}_bucket`, labels: { ...this.#labels, le: '+Inf' }, value: this.#count });
    values.push({ metricName: `${this.name}_sum`, labels: this.#labels, value: this.#sum });
    values.push({ metricName: `${this.name}_count`, labels: this.#labels, value: this.#count });
    return Promise.resolve({ name: this.name, help: this.help, type: this.type, aggregator: this.aggregator, values });
  }
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
    const flat = new FlatHistogram(name, bounds, labels);
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
    committed: (seconds) => commitHistogram.observe(seconds),
    outOfRange: (count) => outOfRangeTally.add('', '', count),
    observe: (reader) => {
      read = reader;
    },
  };
}

/** A table of metrics in Markdown. */
export function metricsMarkdown(rows: readonly MetricRow[]): string {
  return [
    '| Metric | Type | Labels | Meaning |',
    '| --- | --- | --- | --- |',
    ...rows.map(
      (row) =>
        `| \`${row.name}\` | ${row.type} | ${row.labels.map((label) => `\`${label}\``).join(', ') || 'none'} | ${row.help} |`,
    ),
  ].join('\n');
}
