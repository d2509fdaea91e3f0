/**
 * Alerts on what people have to act on, for the Prometheus operator. Thresholds are the runbook's. What is
 * counted by processes is summed; what every replica answers alike is taken once, by `max`.
 */
import type { Resolved } from '@weir/sdk';
import { labelsOf, type Resource } from './resource.ts';

interface Alert {
  readonly name: string;
  readonly expr: string;
  readonly for: string;
  readonly severity: 'critical' | 'warning';
  readonly summary: string;
}

/**
 * Workers whose topics nobody else of the pipeline fills: their oldest record is how far behind the source we are. Those
 * that send retries and dead letters back to where they came from fill nothing.
 */
function sources(resolved: readonly Resolved[]): readonly string[] {
  const aside = new Set(resolved.flatMap((each) => [...each.retry.map((retry) => retry.topic), each.deadLetters]));
  const onwards = resolved.filter((each) => !each.consumes.some((topic) => aside.has(topic.name)));
  const filled = new Set(onwards.flatMap((each) => Object.values(each.produces).map((topic) => topic.name)));
  return onwards.filter((each) => each.consumes.every((topic) => !filled.has(topic.name))).map((each) => each.group);
}

/** Workers that read the retry topics of others: most of what they are behind is not due, and no reason to wake anybody. */
function waiters(resolved: readonly Resolved[]): readonly string[] {
  const waiting = new Set(resolved.flatMap((each) => each.retry.map((retry) => retry.topic)));
  return resolved.filter((each) => each.consumes.some((topic) => waiting.has(topic.name))).map((each) => each.group);
}

/** Whether a service of the pipeline has metrics of its own that alerts look at. */
const DOWNLOADS = 'download-worker';

export function alerts(resolved: readonly Resolved[]): readonly Alert[] {
  const groups = resolved.map((each) => each.group).join('|');
  const of = (metric: string) => `${metric}{group=~"${groups}"}`;
  const waiting = waiters(resolved);
  const prompt = resolved.map((each) => each.group).filter((group) => !waiting.includes(group));
  /** Lag, as other tools show it; of those who wait on purpose, what is due. */
  const lagOver = (records: number) =>
    [
      `sum by (group) (max by (group, topic, partition) (kafka_consumer_lag{group=~"${prompt.join('|')}"})) > ${records}`,
      ...(waiting.length === 0
        ? []
        : [`max by (group) (weir_backlog_records{group=~"${waiting.join('|')}"}) > ${records}`]),
    ].join(' or ');
  const backlog = `max by (group) (${of('weir_backlog_records')})`;
  const running = `max by (group) (${of('weir_running_replicas')})`;
  const consumed = (status = '') =>
    `sum by (group) (rate(kafka_messages_consumed_total{group=~"${groups}"${status}}[5m]))`;
  const downloads = 'download_duration_seconds_count';
  return [
    {
      name: 'WeirLagCritical',
      expr: lagOver(10_000),
      for: '5m',
      severity: 'critical',
      summary: 'Group {{ $labels.group }} is {{ $value }} records behind: `weir plan` says what bounds it.',
    },
    {
      name: 'WeirLagHigh',
      expr: lagOver(5000),
      for: '10m',
      severity: 'warning',
      summary: 'Group {{ $labels.group }} is {{ $value }} records behind.',
    },
    ...sources(resolved).map(
      (group): Alert => ({
        name: 'WeirOldestRecord',
        expr: `max by (group) (weir_backlog_seconds{group="${group}"}) > 60`,
        for: '1m',
        severity: 'critical',
        summary: 'The oldest record of {{ $labels.group }} has waited {{ $value }} s: the source is ahead of us.',
      }),
    ),
    {
      name: 'WeirNothingAssigned',
      expr: `sum by (group) (${of('weir_assigned_partitions')}) == 0`,
      for: '3m',
      severity: 'critical',
      summary:
        'Workers of {{ $labels.group }} run, but no partition is assigned to any: look at the group coordinator.',
    },
    {
      name: 'WeirDeadLetters',
      expr: 'sum by (topic) (rate(kafka_dlq_messages_total[5m])) * 60 > 10',
      for: '1m',
      severity: 'critical',
      summary: '{{ $value }} dead letters a minute in {{ $labels.topic }}: `weir dlq list`.',
    },
    {
      name: 'WeirRecordsLost',
      expr: `sum by (group) (increase(${of('weir_offsets_out_of_range_total')}[15m])) > 0`,
      for: '1m',
      severity: 'critical',
      summary:
        'Retention removed {{ $value }} records before {{ $labels.group }} handled them: give the topic more of it, or the group more workers.',
    },
    {
      name: 'WeirPoison',
      expr: `sum by (group) (increase(${of('weir_poison_total')}[15m])) > 0`,
      for: '1m',
      severity: 'critical',
      summary:
        'Processes of {{ $labels.group }} died of a record; it is a dead letter now: `weir dlq list`, and see how they ended.',
    },
    {
      name: 'WeirErrors',
      expr: `sum by (group) (rate(kafka_processing_errors_total{group=~"${groups}"}[5m])) / ${consumed()} > 0.01`,
      for: '5m',
      severity: 'warning',
      summary: '{{ $value | humanizePercentage }} of the records of {{ $labels.group }} fail.',
    },
    ...(resolved.some((each) => each.name === DOWNLOADS)
      ? [
          {
            name: 'WeirDownloadsFail',
            expr: `sum(rate(${downloads}{outcome!~"completed|aborted"}[5m])) / sum(rate(${downloads}{outcome!="aborted"}[5m])) > 0.05`,
            for: '5m',
            severity: 'warning',
            summary: '{{ $value | humanizePercentage }} of the downloads fail.',
          } satisfies Alert,
        ]
      : []),
    {
      name: 'WeirBreakerOpen',
      expr: 'max by (dependency, app_kubernetes_io_name) (kafka_circuit_breaker_state{state="open"}) > 0',
      for: '2m',
      severity: 'critical',
      summary:
        '{{ $labels.app_kubernetes_io_name }} cannot reach {{ $labels.dependency }}: its breaker is open, work waits.',
    },
    {
      name: 'WeirSlowHandling',
      expr: 'histogram_quantile(0.95, sum by (le, app_kubernetes_io_name) (rate(kafka_message_processing_duration_seconds_bucket[5m]))) > 5',
      for: '10m',
      severity: 'warning',
      summary: '95 % of the records of {{ $labels.app_kubernetes_io_name }} take up to {{ $value }} s.',
    },
    {
      name: 'WeirSlowWorkers',
      expr: `${consumed()} / (${running} > 0) < 100 and on (group) ${backlog} > 0`,
      for: '10m',
      severity: 'warning',
      summary: 'Workers of {{ $labels.group }} manage {{ $value }} records/s each while records wait.',
    },
    {
      name: 'WeirTableFails',
      expr: 'sum by (table) (increase(delta_writes_total{status="failed"}[5m])) > 0',
      for: '5m',
      severity: 'critical',
      summary: 'Writes to table {{ $labels.table }} fail: its store is out of reach or refuses.',
    },
    {
      name: 'WeirTooFewRunning',
      expr: `max by (group) (${of('weir_desired_replicas')}) > ${running}`,
      for: '10m',
      severity: 'warning',
      summary: '{{ $labels.group }} wants more workers than run: look for pods that do not start.',
    },
    {
      name: 'WeirSignalStale',
      expr: `min by (group) (${of('weir_signal_age_seconds')}) > 60 or absent(weir_signal_age_seconds)`,
      for: '2m',
      severity: 'warning',
      summary: 'Nobody can look at {{ $labels.group }}: Kafka does not answer, and scaling holds.',
    },
    {
      name: 'WeirWorkerDead',
      expr: `${running} == 0 and on (group) ${backlog} > 0`,
      for: '5m',
      severity: 'critical',
      summary: 'Records wait in {{ $labels.group }} and no worker has joined it.',
    },
  ];
}

export function prometheusRule(resolved: readonly Resolved[]): Resource {
  return {
    apiVersion: 'monitoring.coreos.com/v1',
    kind: 'PrometheusRule',
    metadata: { name: 'weir', labels: labelsOf('weir', 'shared') },
    spec: {
      groups: [
        {
          name: 'weir',
          rules: alerts(resolved).map((alert) => ({
            alert: alert.name,
            expr: alert.expr,
            for: alert.for,
            labels: { severity: alert.severity },
            annotations: { summary: alert.summary },
          })),
        },
      ],
    },
  };
}

/** Scrapes every pod of ours; `app_kubernetes_io_name` says whose number it is. */
export function podMonitor(): Resource {
  return {
    apiVersion: 'monitoring.coreos.com/v1',
    kind: 'PodMonitor',
    metadata: { name: 'weir', labels: labelsOf('weir', 'shared') },
    spec: {
      selector: { matchLabels: { 'app.kubernetes.io/part-of': 'weir' } },
      podTargetLabels: ['app.kubernetes.io/name'],
      podMetricsEndpoints: [{ port: 'http', path: '/metrics', interval: '15s' }],
    },
  };
}
