/**
 * `resolve(worker, env)`: the only place where the environment overrides a declaration. Pure: reads no file, no
 * process.env; run, manifests, scaler and CLI all use it.
 */
import type { LogLevel } from '@weir/core';
import type { Order, Topic, Worker } from './define.ts';

/** Kafka connection and client settings, checked. */
export interface KafkaSettings {
  readonly brokers: readonly string[];
  readonly clientId: string;
  /** `true`: TLS with the system's roots; or PEM texts. */
  readonly ssl: boolean | { readonly ca?: string; readonly cert?: string; readonly key?: string };
  readonly sasl:
    | {
        readonly mechanism: 'plain' | 'scram-sha-256' | 'scram-sha-512';
        readonly username: string;
        readonly password: string;
      }
    | undefined;
  readonly sessionTimeoutMs: number;
  readonly heartbeatIntervalMs: number;
  readonly rebalanceTimeoutMs: number;
  readonly fetchMinBytes: number;
  readonly fetchMaxWaitMs: number;
}

export interface ResolvedTopic {
  /** Kafka's name. */
  readonly name: string;
  readonly topic: Topic;
}

/** A worker with the environment applied: all that a process, a manifest or a test needs to know. Times in ms. */
export interface Resolved {
  readonly worker: Worker;
  readonly name: string;
  readonly prefix: string;
  readonly group: string;
  readonly consumes: readonly ResolvedTopic[];
  /** By the name in the declaration's `produces`. */
  readonly produces: Readonly<Record<string, ResolvedTopic>>;
  readonly order: Order;
  readonly concurrency: { readonly start: number; readonly max: number; readonly fixed: boolean };
  readonly timeoutMs: number;
  /** Retry topics in rising order of delay; empty when failures are retried in place. */
  readonly retry: readonly { readonly topic: string; readonly delayMs: number }[];
  /** Retries in place: ordered workers. */
  readonly retryInPlace: boolean;
  readonly deadLetters: string;
  readonly batch: { readonly maxRecords: number; readonly maxBytes: number; readonly maxWaitMs: number } | undefined;
  readonly dependencies: Readonly<
    Record<string, { readonly keyed: boolean; readonly timeoutMs: number; readonly concurrency: number | undefined }>
  >;
  readonly scaling: { readonly min: number; readonly max: number; readonly catchUpMs: number };
  readonly kafka: KafkaSettings;
  /** Bounds of what waits in memory: records per partition, bytes for the process. */
  readonly queue: { readonly recordsPerPartition: number; readonly bytes: number };
  readonly metricsPort: number;
  readonly drainTimeoutMs: number;
  readonly logLevel: LogLevel;
  readonly topologyPath: string | undefined;
  readonly epoch: number;
  /** The service's own settings (output of `worker.config`). */
  readonly config: unknown;
  /** For people: unknown WEIR_* and KAFKA_* names with the nearest known one, and the like. */
  readonly warnings: readonly string[];
}
