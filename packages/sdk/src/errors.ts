/**
 * What the SDK throws, and what a handler may throw. `delivery/classify.ts` turns everything else into one of these
 * meanings. The table is the source of docs/errors.md.
 */
import { type ErrorEntry, WeirError } from '@weir/core';

export const ERRORS = {
  WEIR_DECLARATION_INVALID: { fix: 'Correct the declaration; the message lists every problem with its field.' },
  WEIR_CONFIG_INVALID: {
    fix: 'Correct the environment variables; the message lists every problem, not just the first.',
  },
  WEIR_RETRYABLE: {
    fix: 'Thrown by a handler: nothing to do, the record is tried again until its retries are used up.',
  },
  WEIR_PERMANENT: { fix: 'Thrown by a handler: look at the dead letter (weir dlq list), mend the cause, replay it.' },
  WEIR_DEPENDENCY_DOWN: {
    fix: 'The circuit breaker of this dependency is open: bring the dependency back; no attempt is burnt meanwhile.',
  },
  WEIR_HANDLER_TIMEOUT: {
    fix: 'The handler took longer than its timeout: pass ctx.signal to what it awaits, or raise `timeout`.',
  },
  WEIR_RECORD_UNREADABLE: {
    fix: 'The record does not decode or does not match its schema: see the dead letter; mend the producer.',
  },
  WEIR_RECORD_POISONOUS: {
    fix: 'The processes that handled this record died (out of memory, a native crash, process.exit): see how they ended, mend the cause or raise the memory limit, replay the dead letter.',
  },
  WEIR_VALUE_INVALID: {
    fix: 'The value given to send does not match the topic’s schema; the message names the fields.',
  },
  WEIR_COMMIT_FENCED: {
    fix: 'Nothing: another member owns the partition now and will redeliver what was not committed.',
  },
  WEIR_COMMIT_FAILED: {
    fix: 'The broker refused or lost the commit; it is made again every round, and a restart meanwhile repeats what was done since. If it persists: a consumed topic that is gone has to be created again (`weir topics create`); else look at the broker’s group coordinator.',
  },
  WEIR_PRODUCE_FAILED: {
    fix: 'The broker did not take the record; it is kept and tried again. Look at the cause: size, authorization, availability.',
  },
  WEIR_TOPIC_MISSING: {
    fix: 'Create the topic: `weir topics create`, or let your administrator do it with the settings in the message.',
  },
  WEIR_BROKER_UNREACHABLE: { fix: 'Check KAFKA_BROKERS, the network and the broker; Weir goes on trying.' },
  WEIR_PORT_TAKEN: { fix: 'Another process listens on this port: set METRICS_PORT to a free one (0 picks any).' },
  WEIR_TOPOLOGY_INVALID: {
    fix: 'Write the topology file anew with `weir manifests --all` (or `weir topology`), and point WEIR_TOPOLOGY to it.',
  },
} as const satisfies Record<string, ErrorEntry>;

export type ErrorCode = keyof typeof ERRORS;

/** Classes of failure: `weir-error-class`, `kafka_processing_errors_total{error_class}`. */
export const ERROR_CLASSES = ['transient', 'permanent', 'expired', 'auth', 'dependency', 'poison'] as const;
export type ErrorClass = (typeof ERROR_CLASSES)[number];

export class DeclarationError extends WeirError {
  readonly worker: string;
  readonly problems: readonly string[];
  constructor(worker: string, problems: readonly string[]) {
    super('WEIR_DECLARATION_INVALID', `worker "${worker}": ${problems.join('; ')}`);
    this.worker = worker;
    this.problems = problems;
  }
}

export interface ConfigProblem {
  /** The variable, e.g. `KAFKA_BROKERS`. */
  readonly variable: string;
  /** What was given, secrets hidden; undefined when it was missing. */
  readonly given: string | undefined;
  /** What is wrong and what is allowed. */
  readonly message: string;
}

export class ConfigError extends WeirError {
  readonly problems: readonly ConfigProblem[];
  constructor(problems: readonly ConfigProblem[]) {
    const lines = problems.map(
      (problem) =>
        `  ${problem.variable}: ${problem.message}${problem.given === undefined ? ' (not set)' : ` (given: ${JSON.stringify(problem.given)})`}`,
    );
    super('WEIR_CONFIG_INVALID', `${problems.length} setting(s) cannot be used:\n${lines.join('\n')}`);
    this.problems = problems;
  }
}

/** Thrown by a handler: worth another try. */
export class RetryableError extends WeirError {
  /** Milliseconds to wait at least; picks the first retry topic whose delay is long enough. */
  readonly after: number | undefined;
  readonly class: ErrorClass;
  constructor(message: string, options: { after?: number; class?: ErrorClass; cause?: unknown } = {}) {
    super('WEIR_RETRYABLE', message, options);
    this.after = options.after;
    this.class = options.class ?? 'transient';
  }
}

/** Thrown by a handler: will never succeed; a dead letter at once. */
export class PermanentError extends WeirError {
  readonly class: ErrorClass;
  constructor(message: string, options: { class?: ErrorClass; cause?: unknown } = {}) {
    super('WEIR_PERMANENT', message, options);
    this.class = options.class ?? 'permanent';
  }
}

/** Thrown by `ctx.call` only: the breaker is open, the call was not made. Let it pass: the record waits, nothing is burnt. */
export class DependencyDownError extends WeirError {
  readonly dependency: string;
  readonly key: string | undefined;
  constructor(dependency: string, key: string | undefined, options?: { cause?: unknown }) {
    super(
      'WEIR_DEPENDENCY_DOWN',
      `dependency "${dependency}"${key === undefined ? '' : ` (${key})`} is down: its circuit breaker is open`,
      options,
    );
    this.dependency = dependency;
    this.key = key;
  }
}

export class HandlerTimeoutError extends WeirError {
  readonly timeoutMs: number;
  constructor(timeoutMs: number) {
    super('WEIR_HANDLER_TIMEOUT', `the handler did not finish within ${timeoutMs} ms`);
    this.timeoutMs = timeoutMs;
  }
}

export class RecordUnreadableError extends WeirError {
  constructor(message: string, options?: { cause?: unknown }) {
    super('WEIR_RECORD_UNREADABLE', message, options);
  }
}

/** The record was in flight each time its process ended without leaving: it goes to the dead letters uncalled. */
export class RecordPoisonousError extends WeirError {
  /** Unclean ends with the record in flight. */
  readonly strikes: number;
  constructor(strikes: number, ends: readonly { readonly writer: string; readonly at: number }[]) {
    const when = ends.slice(-strikes).map(({ writer, at }) => `${writer} by ${new Date(at).toISOString()}`);
    super(
      'WEIR_RECORD_POISONOUS',
      `${strikes} processes ended without leaving while this record was in flight (${when.join(', ')}); its handler is not called again: WEIR_RECORD_POISONOUS`,
    );
    this.strikes = strikes;
  }
}

export class ValueInvalidError extends WeirError {
  readonly topic: string;
  constructor(topic: string, message: string, options?: { cause?: unknown }) {
    super('WEIR_VALUE_INVALID', `value for topic "${topic}" does not match its schema: ${message}`, options);
    this.topic = topic;
  }
}

export class CommitFencedError extends WeirError {
  constructor(detail: string) {
    super('WEIR_COMMIT_FENCED', `commit not sent: ${detail}`);
  }
}

export class CommitFailedError extends WeirError {
  /** The broker takes less metadata than was sent: the same commit can get through with less. */
  readonly metadataTooLarge: boolean;
  constructor(detail: string, options: { metadataTooLarge?: boolean; cause?: unknown } = {}) {
    super('WEIR_COMMIT_FAILED', `commit failed: ${detail}`, options);
    this.metadataTooLarge = options.metadataTooLarge ?? false;
  }
}

export class ProduceFailedError extends WeirError {
  readonly topic: string;
  /** The broker refused this record for its size: sending it again as it is cannot succeed. */
  readonly tooLarge: boolean;
  constructor(topic: string, detail: string, options: { tooLarge?: boolean; cause?: unknown } = {}) {
    super('WEIR_PRODUCE_FAILED', `record for "${topic}" was not accepted: ${detail}`, options);
    this.topic = topic;
    this.tooLarge = options.tooLarge ?? false;
  }
}

export class TopicMissingError extends WeirError {
  readonly topics: readonly string[];
  constructor(topics: readonly string[], how: string) {
    super('WEIR_TOPIC_MISSING', `topic(s) missing: ${topics.join(', ')}; ${how}`);
    this.topics = topics;
  }
}

export class BrokerUnreachableError extends WeirError {
  readonly brokers: readonly string[];
  constructor(brokers: readonly string[], detail: string, options?: { cause?: unknown }) {
    super('WEIR_BROKER_UNREACHABLE', `no Kafka broker answers at ${brokers.join(', ')}: ${detail}`, options);
    this.brokers = brokers;
  }
}

export class PortTakenError extends WeirError {
  readonly port: number;
  constructor(port: number, options?: { cause?: unknown }) {
    super('WEIR_PORT_TAKEN', `port ${port} is taken by another process`, options);
    this.port = port;
  }
}

export class TopologyInvalidError extends WeirError {
  constructor(path: string, detail: string, options?: { cause?: unknown }) {
    super('WEIR_TOPOLOGY_INVALID', `topology file ${path}: ${detail}`, options);
  }
}
