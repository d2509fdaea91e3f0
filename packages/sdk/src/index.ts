/** @weir/sdk: declare a worker, run it, know how many of it are needed. */

export { withCertificates } from './certificates.ts';
export {
  type BreakerSettings,
  type KafkaSettings,
  type Resolved,
  type ResolvedProcess,
  type ResolvedTopic,
  resolve,
  resolveKafka,
} from './config.ts';
export { type ConfigRow, configMarkdown, configTable } from './config-table.ts';
export {
  type AssignedPosition,
  type AssignmentContext,
  type BatchContext,
  type BatchSpec,
  type BytesSchema,
  bytes,
  type Context,
  type DeadLetterReason,
  type DependencySpec,
  defineWorker,
  type InputOf,
  type KafkaRecord,
  type OpenInit,
  type Order,
  type OutputOf,
  type RetrySpec,
  type Schema,
  type SendOptions,
  type Topic,
  type TopicOptions,
  topic,
  type Worker,
  type WorkerSpec,
} from './define.ts';
export { rawHeaders, rawKey, rawStory } from './delivery/delivery.ts';
export { HEADER } from './delivery/headers.ts';
export {
  BrokerUnreachableError,
  CommitFailedError,
  CommitFencedError,
  ConfigError,
  type ConfigProblem,
  DeclarationError,
  DependencyDownError,
  ERROR_CLASSES,
  ERRORS,
  type ErrorClass,
  HandlerTimeoutError,
  PermanentError,
  PortTakenError,
  ProduceFailedError,
  RecordPoisonousError,
  RecordUnreadableError,
  RetryableError,
  TopicMissingError,
  TopologyInvalidError,
  ValueInvalidError,
} from './errors.ts';
export {
  type Admin,
  type CommitEntry,
  type CommittedOffset,
  type Consumer,
  type ConsumerListener,
  type ConsumerOptions,
  type ConsumerStatus,
  Fetched,
  type FetchedBatch,
  type GroupDescription,
  type KafkaPort,
  ListedRecords,
  type Producer,
  type ProducerRecord,
  type Records,
  type StartPosition,
  type TopicPartition,
  type TopicSpec,
} from './kafka/port.ts';
export { EXIT, type Runnable, StopRequests, untilStopped } from './lifecycle.ts';
export { decodeMetadata, encodeMetadata, type Signal } from './metadata.ts';
export { METRIC_ROWS, type MetricRow, metricsMarkdown } from './metric-table.ts';
export type { Metrics } from './metrics.ts';
export type { Environment } from './reading.ts';
export type { RunOptions, Runs } from './run.ts';
export { HpaModel, type HpaModelOptions } from './scaling/hpa.ts';
export { type Plan, type PlanInput, plan, type ScalingReason } from './scaling/plan.ts';
export { BEHAVIOR, type ScalingBehavior, type ScalingPolicy, type ScalingRules } from './scaling/policy.ts';
export { planInput, type Snapshot, takeSnapshot } from './scaling/snapshot.ts';
export type { ScalingAnswer, ScalingReply } from './scaling/view.ts';
export { PROFILE_NAMES, PROFILES, type Profile, type ProfileName } from './settings.ts';
export { runWorker } from './start.ts';
export {
  deriveTopics,
  RETRY_PARTITIONS,
  readTopology,
  STORY_BYTES,
  type Topology,
  type TopologyTopic,
  type TopologyWorker,
  topologyOf,
  topologySchema,
} from './topology.ts';
export type { DrainReport, RunningWorker } from './worker.ts';
