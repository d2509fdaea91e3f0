/**
 * The declaration: one value per worker, from which everything else is derived (topics, retry ladder, configuration,
 * manifests, scaling). `topic` and `defineWorker` do no I/O and read no environment; `resolve` (config.ts) is the only
 * place where the environment overrides what is said here.
 */
import { type Clock, type Duration, isDuration, type Logger, parseDuration } from '@weir/core';
import type { Registry } from 'prom-client';
import type { ZodObject, ZodType, z } from 'zod';
import { DeclarationError } from './errors.ts';
import type { StartPosition, TopicPartition } from './kafka/port.ts';

// ---- topics -------------------------------------------------------------------------------------------------------

/** In place of a schema: the record's bytes, untouched. */
export interface BytesSchema {
  readonly kind: 'bytes';
}
export const bytes: BytesSchema = Object.freeze({ kind: 'bytes' });

export type Schema = ZodType | BytesSchema;
/** What `send` takes. */
export type InputOf<S extends Schema> = S extends ZodType ? z.input<S> : Uint8Array;
/** What a handler gets. */
export type OutputOf<S extends Schema> = S extends ZodType ? z.output<S> : Buffer;

export interface Topic<S extends Schema = Schema> {
  /** Without the prefix: `downloads.pending`. */
  readonly name: string;
  readonly schema: S;
  readonly partitions: number;
  /** Largest record the topic takes, bytes. */
  readonly maxMessageBytes: number;
  /** Value of the `weir-schema` header: name and version. */
  readonly schemaId: string;
  /** Key of a record, from its checked value; undefined leaves the key empty. */
  key?(value: OutputOf<S>): string | undefined;
}

export interface TopicOptions<S extends Schema> {
  partitions: number;
  key?: (value: OutputOf<S>) => string | undefined;
  /** 1 MiB unless told. */
  maxMessageBytes?: number;
  /** Version of the schema, counted up when it changes incompatibly; 1 unless told. */
  version?: number;
}

/**
 * A topic, declared once and shared by its producers and consumers.
 * @throws DeclarationError when the name or the partition count cannot be used
 */
export function topic<S extends Schema>(name: string, schema: S, options: TopicOptions<S>): Topic<S> {
  const problems: string[] = [];
  if (!/^[a-zA-Z0-9._-]{1,200}$/.test(name))
    problems.push(`topic name ${JSON.stringify(name)} may have letters, digits, ".", "_" and "-", 200 at most`);
  if (!Number.isInteger(options.partitions) || options.partitions < 1)
    problems.push(`partitions must be a whole number of 1 or more, not ${options.partitions}`);
  if (problems.length > 0) throw new DeclarationError(name, problems);
  return Object.freeze({
    name,
    schema,
    partitions: options.partitions,
    maxMessageBytes: options.maxMessageBytes ?? 1024 * 1024,
    schemaId: `${name}/${options.version ?? 1}`,
    ...(options.key ? { key: options.key } : {}),
  });
}

// ---- records and contexts -----------------------------------------------------------------------------------------

/**
 * What a handler gets. The same shape for one record and in a batch. `key` and `headers` are decoded when they are read:
 * destructure them or name them, a spread (`{ ...record }`) leaves these two out.
 */
export interface KafkaRecord<V = unknown> {
  /** Checked by the topic's schema (or the bytes). */
  readonly value: V;
  /** As text. Read from the fetch's bytes when it is looked at, as `headers` are: a copy by spread has neither. */
  readonly key: string | null;
  /** As text, without `weir-*` headers: what is believed of those is in `attempt` and `replays`. */
  readonly headers: Readonly<Record<string, string>>;
  /** Handler calls that ended in failure before this one; 0 at first. */
  readonly attempt: number;
  /** How many times an operator has replayed it from the dead letters. */
  readonly replays: number;
  /** Milliseconds since the epoch. */
  readonly timestamp: number;
  /** Kafka's name of the topic, prefix included. */
  readonly topic: string;
  readonly partition: number;
  readonly offset: number;
}

export type Order = 'none' | 'key' | 'partition';

export interface DependencySpec {
  /** One breaker and bulkhead for each key (a host, a tenant) rather than one for all. */
  readonly keyed?: boolean;
  /** One call. `30s` unless told. */
  readonly timeout?: Duration;
  /** Calls in flight at once (of each key); the worker's concurrency unless told. */
  readonly concurrency?: number;
}

export interface SendOptions {
  /** In place of the topic's own key. */
  readonly key?: string | Buffer | null;
  readonly headers?: Readonly<Record<string, string | Buffer>>;
  readonly partition?: number;
  readonly timestamp?: number;
  /**
   * For services on the retry and dead-letter path only: the record's story, written as `weir-*` headers. A consumer
   * believes it only when its group is one of the topology that reads the topic.
   */
  readonly story?: Readonly<Record<string, string>>;
}

type Topics = Readonly<Record<string, Topic>>;
type Dependencies = Readonly<Record<string, DependencySpec>>;
type KeyedOf<D> = { [K in keyof D]: D[K] extends { readonly keyed: true } ? K : never }[keyof D];
type PlainOf<D> = Exclude<keyof D, KeyedOf<D>>;

export interface Context<
  P extends Topics = Topics,
  D extends Dependencies = Dependencies,
  Config = unknown,
  R = unknown,
> {
  /** Aborts at the handler's timeout, when the partition is lost, and at the end of a drain. Pass it on. */
  readonly signal: AbortSignal;
  readonly log: Logger;
  readonly clock: Clock;
  /** The service's own settings, checked (`config` of the declaration). */
  readonly config: Config;
  /** What `open` returned. */
  readonly resources: R;
  /**
   * Resolves when the record is queued (waits when the queue is full). The input record is done only when all its sends
   * are acknowledged. Nothing is recalled when the handler throws later.
   * @throws ValueInvalidError when the value does not match the topic's schema
   */
  send<K extends keyof P & string>(to: K, value: InputOf<P[K]['schema']>, options?: SendOptions): Promise<void>;
  /**
   * Calls a dependency through its breaker and bulkhead; `work` gets a signal that also ends at the call's timeout.
   * @throws DependencyDownError when the breaker is open; let it pass
   */
  call<T>(dependency: PlainOf<D> & string, work: (signal: AbortSignal) => Promise<T>): Promise<T>;
  call<T>(dependency: KeyedOf<D> & string, key: string, work: (signal: AbortSignal) => Promise<T>): Promise<T>;
  /** Puts the record back until `time` (ms since the epoch), without an attempt and outside its partition's bound. */
  notBefore(time: number): void;
}

export interface BatchContext<
  P extends Topics = Topics,
  D extends Dependencies = Dependencies,
  Config = unknown,
  R = unknown,
> extends Omit<Context<P, D, Config, R>, 'notBefore'> {
  /** Settles one record of the batch as failed; the others are not touched. */
  fail(record: KafkaRecord, error: unknown): void;
}

/** Given to `open`, once, before the first assignment. */
export interface OpenInit<Config> {
  readonly config: Config;
  readonly log: Logger;
  readonly clock: Clock;
  readonly worker: string;
  readonly group: string;
  /** The process's metrics: the worker's own are registered here, there is no global registry. */
  readonly registry: Registry;
  /** `WEIR_EPOCH`: part of the identity under which tables remember offsets; counted up when a topic was made anew. */
  readonly epoch: number;
  /** Aborts when the process is told to stop before it is open. */
  readonly signal: AbortSignal;
}

export interface AssignmentContext<Config, R> {
  readonly config: Config;
  readonly resources: R;
  readonly log: Logger;
  readonly signal: AbortSignal;
}

/** A partition just assigned, with what is committed (-1: nothing) and the bounds of its log. */
export interface AssignedPosition extends TopicPartition {
  readonly committed: number;
  readonly logStart: number;
  readonly logEnd: number;
}

// ---- the declaration ----------------------------------------------------------------------------------------------

export interface BatchSpec {
  readonly maxRecords: number;
  /** 16 MiB unless told. */
  readonly maxBytes?: number;
  /** How long a record waits for company. */
  readonly maxWait: Duration;
}

export interface RetrySpec {
  /** One retry topic each, in rising order; n delays mean n + 1 calls. */
  readonly delays?: readonly Duration[];
  /** Base of the retry topics' names (`downloads` -> downloads.retry.5m … downloads.dlq); the worker's name unless told. */
  readonly topics?: string;
  /** Ordered workers retry in place, the lane held; `false` sends their failures to the retry topics instead. */
  readonly inOrder?: boolean;
}

type Consumes = Topic | readonly Topic[];
type ValueOf<C extends Consumes> = C extends readonly Topic[]
  ? OutputOf<C[number]['schema']>
  : C extends Topic
    ? OutputOf<C['schema']>
    : never;

interface CommonSpec<C extends Consumes, P extends Topics, D extends Dependencies, S extends ZodObject, R> {
  /** Lower case, digits and "-"; the group is `<prefix>-<name>`. */
  name: string;
  consumes: C;
  produces?: P;
  /** `none` unless told. */
  order?: Order;
  /** Handler calls in flight, tuned between the two; or fixed. 10 to 64 unless told. */
  concurrency?: { start: number; max: number } | { fixed: number };
  /** One handler call; `5m` unless told. */
  timeout?: Duration;
  retry?: RetrySpec;
  dependencies?: D;
  scaling?: { min?: number; max?: number; catchUp?: Duration };
  /** Names of its own for overrides beside the general ones. */
  env?: { concurrency?: string; concurrencyMax?: string };
  /** Where a group without committed offsets starts: `earliest` unless told. */
  start?: 'earliest' | 'latest';
  /** The service's settings: a zod object whose keys are the variables' names. */
  config?: S;
  /**
   * Opens what the handler needs (stores, tables); `close` is called after the drain. A failure that passes by itself (a
   * store or a database that is away) is waited for: it is called again then, so leave nothing open when you throw.
   */
  open?(init: OpenInit<z.output<S>>): Promise<R>;
  close?(resources: R): Promise<void>;
  /** Awaited at every assignment before its first record: load what belongs to these partitions. */
  assigned?(partitions: readonly AssignedPosition[], ctx: AssignmentContext<z.output<S>, R>): Promise<void>;
  /** Partitions that left: forget what belongs to them. */
  revoked?(partitions: readonly TopicPartition[], ctx: AssignmentContext<z.output<S>, R>): void;
  /** For a sink that stores offsets and has no other output: where to start. A partition left out starts at the commit. */
  positions?(
    partitions: readonly AssignedPosition[],
    ctx: AssignmentContext<z.output<S>, R>,
  ): Promise<readonly StartPosition[]>;
  /** Called when a decoded record becomes a dead letter; sends here are acknowledged before the record is done. */
  onDeadLetter?(
    record: KafkaRecord<ValueOf<C>>,
    error: DeadLetterReason,
    ctx: Context<P, D, z.output<S>, R>,
  ): Promise<void>;
}

/** Why a record is a dead letter. */
export interface DeadLetterReason {
  readonly class: import('./errors.ts').ErrorClass;
  /** One line, secrets removed. */
  readonly message: string;
  /** Handler calls that failed, this one included. */
  readonly attempts: number;
  readonly cause: unknown;
  /** It could have succeeded (retries used up), rather than being refused for good. */
  readonly exhausted: boolean;
}

interface RecordSpec<C extends Consumes, P extends Topics, D extends Dependencies, S extends ZodObject, R>
  extends CommonSpec<C, P, D, S, R> {
  batch?: never;
  handleBatch?: never;
  handle(record: KafkaRecord<ValueOf<C>>, ctx: Context<P, D, z.output<S>, R>): Promise<void> | void;
}

interface BatchWorkerSpec<C extends Consumes, P extends Topics, D extends Dependencies, S extends ZodObject, R>
  extends CommonSpec<C, P, D, S, R> {
  batch: BatchSpec;
  handle?: never;
  handleBatch(records: readonly KafkaRecord<ValueOf<C>>[], ctx: BatchContext<P, D, z.output<S>, R>): Promise<void>;
}

export type WorkerSpec<C extends Consumes, P extends Topics, D extends Dependencies, S extends ZodObject, R> =
  | RecordSpec<C, P, D, S, R>
  | BatchWorkerSpec<C, P, D, S, R>;

export const DEFAULT_RETRY_DELAYS: readonly Duration[] = ['5m', '10m', '20m', '40m'];

/**
 * A checked declaration with its defaults filled in: what `resolve`, `runWorker`, `testWorker` and the manifests take.
 * `V` and `P` keep the types of the value and of the produced topics for tests; the runtime does not need them.
 */
export interface Worker<V = unknown, P extends Topics = Topics, R = unknown> {
  readonly name: string;
  readonly consumes: readonly Topic[];
  readonly produces: P;
  readonly order: Order;
  readonly concurrency: { readonly start: number; readonly max: number; readonly fixed: boolean };
  readonly timeoutMs: number;
  readonly retry: { readonly delays: readonly Duration[]; readonly topics: string; readonly inOrder: boolean };
  readonly dependencies: Dependencies;
  readonly scaling: { readonly min: number; readonly max: number | undefined; readonly catchUpMs: number };
  readonly env: { readonly concurrency?: string; readonly concurrencyMax?: string };
  readonly start: 'earliest' | 'latest';
  readonly batch: { readonly maxRecords: number; readonly maxBytes: number; readonly maxWaitMs: number } | undefined;
  readonly config: ZodObject | undefined;
  open?(init: OpenInit<unknown>): Promise<R>;
  close?(resources: R): Promise<void>;
  assigned?(partitions: readonly AssignedPosition[], ctx: AssignmentContext<unknown, R>): Promise<void>;
  revoked?(partitions: readonly TopicPartition[], ctx: AssignmentContext<unknown, R>): void;
  positions?(
    partitions: readonly AssignedPosition[],
    ctx: AssignmentContext<unknown, R>,
  ): Promise<readonly StartPosition[]>;
  handle?(record: KafkaRecord<V>, ctx: Context): Promise<void> | void;
  handleBatch?(records: readonly KafkaRecord<V>[], ctx: BatchContext): Promise<void>;
  onDeadLetter?(record: KafkaRecord<V>, error: DeadLetterReason, ctx: Context): Promise<void>;
}

/**
 * Declares a worker. Names of topics and dependencies, and the types of what is handled and sent, are checked by the
 * compiler; what it cannot see is checked here.
 * @throws DeclarationError with every problem at once
 */
export function defineWorker<
  const C extends Consumes,
  const D extends Dependencies = Record<never, never>,
  P extends Topics = Record<never, never>,
  S extends ZodObject = ZodObject,
  R = undefined,
>(spec: WorkerSpec<C, P, D, S, R>): Worker<ValueOf<C>, P, R> {
  const consumes: readonly Topic[] = Array.isArray(spec.consumes) ? spec.consumes : [spec.consumes as Topic];
  const problems = problemsOf(spec as unknown as AnySpec, consumes);
  if (problems.length > 0) throw new DeclarationError(spec.name, problems);
  const concurrency = spec.concurrency ?? { start: 10, max: 64 };
  const order = spec.order ?? 'none';
  const worker = {
    name: spec.name,
    consumes,
    produces: spec.produces ?? {},
    order,
    concurrency:
      'fixed' in concurrency
        ? { start: concurrency.fixed, max: concurrency.fixed, fixed: true }
        : { start: concurrency.start, max: concurrency.max, fixed: false },
    timeoutMs: parseDuration(spec.timeout ?? '5m'),
    retry: {
      delays: spec.retry?.delays ?? DEFAULT_RETRY_DELAYS,
      topics: spec.retry?.topics ?? spec.name,
      inOrder: order !== 'none' && (spec.retry?.inOrder ?? true),
    },
    dependencies: spec.dependencies ?? {},
    scaling: {
      min: spec.scaling?.min ?? 1,
      max: spec.scaling?.max,
      catchUpMs: parseDuration(spec.scaling?.catchUp ?? '5m'),
    },
    env: spec.env ?? {},
    start: spec.start ?? 'earliest',
    batch: spec.batch && {
      maxRecords: spec.batch.maxRecords,
      maxBytes: spec.batch.maxBytes ?? 16 * 1024 * 1024,
      maxWaitMs: parseDuration(spec.batch.maxWait),
    },
    config: spec.config,
    ...pick(spec, ['open', 'close', 'assigned', 'revoked', 'positions', 'handle', 'handleBatch', 'onDeadLetter']),
  };
  return Object.freeze(worker) as unknown as Worker<ValueOf<C>, P, R>;
}

type AnySpec = WorkerSpec<Topic, Topics, Dependencies, ZodObject, unknown>;

function pick<T extends object, K extends keyof T>(from: T, keys: readonly K[]): Partial<Pick<T, K>> {
  const picked: Partial<Pick<T, K>> = {};
  for (const key of keys) if (from[key] !== undefined) picked[key] = from[key];
  return picked;
}

function problemsOf(spec: AnySpec, consumes: readonly Topic[]): string[] {
  const problems: string[] = [];
  const duration = (field: string, text: string | undefined) => {
    if (text !== undefined && !isDuration(text)) problems.push(`${field}: "${text}" is not a duration such as 5m`);
  };
  const whole = (field: string, value: number | undefined, least: number) => {
    if (value !== undefined && (!Number.isInteger(value) || value < least))
      problems.push(`${field}: ${value} is not a whole number of ${least} or more`);
  };
  if (!/^[a-z0-9]([a-z0-9-]{0,48}[a-z0-9])?$/.test(spec.name ?? ''))
    problems.push(`name: ${JSON.stringify(spec.name)} may have lower-case letters, digits and "-", 50 at most`);
  if (consumes.length === 0) problems.push('consumes: at least one topic');
  const names = consumes.map((each) => each.name);
  for (const name of new Set(names.filter((each, at) => names.indexOf(each) !== at)))
    problems.push(`consumes: topic "${name}" is named twice`);
  if (!spec.handle && !spec.handleBatch) problems.push('handle (or batch and handleBatch): missing');
  if (spec.handle && spec.handleBatch) problems.push('handle and handleBatch: only one of the two');
  if (spec.handleBatch && !spec.batch) problems.push('batch: { maxRecords, maxWait } goes with handleBatch');
  if (spec.batch && !spec.handleBatch) problems.push('handleBatch goes with batch');
  if (spec.batch) {
    whole('batch.maxRecords', spec.batch.maxRecords, 1);
    whole('batch.maxBytes', spec.batch.maxBytes, 1);
    duration('batch.maxWait', spec.batch.maxWait);
  }
  if (spec.concurrency && 'fixed' in spec.concurrency) whole('concurrency.fixed', spec.concurrency.fixed, 1);
  else if (spec.concurrency) {
    whole('concurrency.start', spec.concurrency.start, 1);
    whole('concurrency.max', spec.concurrency.max, 1);
    if (spec.concurrency.start > spec.concurrency.max) problems.push('concurrency.start is above concurrency.max');
  }
  duration('timeout', spec.timeout);
  for (const delay of spec.retry?.delays ?? []) duration('retry.delays', delay);
  const delays = (spec.retry?.delays ?? []).filter(isDuration).map(parseDuration);
  if (delays.some((delay, at) => at > 0 && delay <= delays[at - 1]!))
    problems.push('retry.delays: each must be longer than the one before it');
  whole('scaling.min', spec.scaling?.min, 0);
  whole('scaling.max', spec.scaling?.max, 1);
  duration('scaling.catchUp', spec.scaling?.catchUp);
  for (const [name, dependency] of Object.entries(spec.dependencies ?? {})) {
    duration(`dependencies.${name}.timeout`, dependency.timeout);
    whole(`dependencies.${name}.concurrency`, dependency.concurrency, 1);
  }
  return problems;
}
