/**
 * What the owner of a partition writes beside its committed offset: the signal that every observer plans from (DESIGN
 * section 5). At most 4,096 characters, which is Kafka's limit.
 */

/** Why a partition takes no records at the moment. */
export type PauseReason = 'breaker' | 'memory' | 'operator';

/** Everything here is about one partition, as its owner sees it, unless it says otherwise. */
export interface Signal {
  /** Made anew by every start of a process; with `counter` it names one commit. */
  readonly writer: string;
  readonly counter: number;
  /** The offset that this stands beside; the signal's skip map is void beside any other. */
  readonly offset: number;
  /** Milliseconds since the epoch. */
  readonly sentAt: number;
  /** λ: records arriving per second. */
  readonly arrivalPerSecond: number;
  /** r: records one lane of this worker handles per second (1 / mean seconds of handling); 0 when not known yet. */
  readonly laneRate: number;
  /** Lanes of this partition: the limit (order none), 1 (partition), keys seen at work at once (key). */
  readonly lanes: number;
  /** Concurrency limit of this worker (of the process, not the partition), and whether the tuner has settled on it. */
  readonly limit: number;
  readonly limitProven: boolean;
  /** Best rate this worker sustained while saturated in the last hour, records per second; 0 when never saturated. */
  readonly bestRate: number;
  /** 95th percentile of handling, seconds. */
  readonly p95Seconds: number;
  readonly paused: PauseReason | undefined;
  /** Records above `offset` that are already done, and records put back until they are due: neither is backlog. */
  readonly doneAhead: number;
  readonly deferred: number;
  /** When the partition waits for its first record to come due (all behind it are later still): that time, ms. */
  readonly dueAt: number | undefined;
}

export const METADATA_LIMIT = 4096;
