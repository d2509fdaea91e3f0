/**
 * Every metric of the SDK: its labels, and what a rise means. `docs/metrics.md` is generated from this; dashboards and
 * alerts may query these names and no others (services have tables of their own).
 */

export interface MetricRow {
  readonly name: string;
  readonly type: 'counter' | 'gauge' | 'histogram';
  readonly labels: readonly string[];
  /** What it is, and what a rise means. */
  readonly help: string;
}

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
    help: 'Age of the record whose turn is next, for each partition of this process; those in hand do not count. A rise means records wait.',
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
    help: '1 while partitions are paused for this reason: breaker (a dependency is down), memory (the process nears its memory limit, or its queues are full), operator.',
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
  weir_suspect_records: {
    type: 'gauge',
    labels: ['group'],
    help: 'Records that were in flight when their process ended without leaving, watched one by one. Above 0 for long: one of them may be killing its processes.',
  },
  weir_unclean_ends_total: {
    type: 'counter',
    labels: ['group'],
    help: 'Partitions taken over from an owner that ended without leaving. A rise means processes that die (memory, crashes) or lose their session.',
  },
  weir_poison_total: {
    type: 'counter',
    labels: ['group'],
    help: 'Records buried because processes died of them. Any rise is a record to look at, and a handler or a memory limit to mend.',
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
    help: 'Records that came again to an owner that had them done or in hand, and were dropped. A rise means fetches that overlap.',
  },
  weir_handed_over_total: {
    type: 'counter',
    labels: ['group'],
    help: 'Records begun here that another member will do again. A rise means handlers slower than the revoke wait.',
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
  weir_metadata_refused_total: {
    type: 'counter',
    labels: ['group'],
    help: 'Commits that the broker refused for the size of their metadata, made again with less. A rise means offset.metadata.max.bytes is below 4,096: raise it.',
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

export type MetricName = keyof typeof SDK_METRICS;

/** The table as rows, for docs and dashboards. */
export const METRIC_ROWS: readonly MetricRow[] = Object.entries(SDK_METRICS).map(([name, row]) => ({ name, ...row }));

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
