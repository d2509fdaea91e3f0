/**
 * One kafkajs client, built from our settings: its log goes through our logger, its sockets through our factory, and
 * its `Cluster` (which kafkajs hands to every partition assigner) is kept, because it can ask and commit with exactly
 * one request where the convenience methods above it retry on their own or ask topic by topic.
 */
import type { Logger } from '@weir/core';
import kafkajs, { type Broker, type Kafka, type KafkaConfig, type LogEntry } from 'kafkajs';
import type { KafkaSettings } from '../config.ts';
import { failForgottenRequests } from './kafkajs-closing.ts';
import { onClusters, onConnections } from './kafkajs-clusters.ts';
import { type FrameWatch, Sockets } from './kafkajs-frames.ts';
import { stopIdleTimer } from './kafkajs-idle.ts';
import { writeProducesOf } from './kafkajs-produce.ts';
import { boundProducerIdRetries, RETRY } from './kafkajs-retry.ts';

/** The class to build clients with: kafkajs's own, or a compatible fork's. */
export type KafkaClass = new (config: KafkaConfig) => Kafka;

/** kafkajs's broker can do more than its typings say. */
export type Coordinator = Broker & {
  heartbeat?(request: { groupId: string; groupGenerationId: number; memberId: string }): Promise<unknown>;
};

export interface Client {
  readonly kafka: Kafka;
  readonly sockets: Sockets;
}

export function createClient(options: {
  settings: KafkaSettings;
  Kafka: KafkaClass;
  log: Logger;
  /** How often kafkajs repeats a request by itself before it reports. */
  retries: number;
  watch?: FrameWatch;
}): Client {
  const { settings } = options;
  const sockets = new Sockets(options.watch);
  const kafka = new options.Kafka({
    brokers: [...settings.brokers],
    clientId: settings.clientId,
    ...(settings.ssl === false ? {} : { ssl: sslOptions(settings.ssl) }),
    ...(settings.sasl ? { sasl: settings.sasl as NonNullable<KafkaConfig['sasl']> } : {}),
    connectionTimeout: 5_000,
    requestTimeout: 30_000,
    retry: { ...RETRY, retries: options.retries },
    socketFactory: sockets.factory as NonNullable<KafkaConfig['socketFactory']>,
    logLevel: kafkajs.logLevel.WARN,
    logCreator: () => (entry) => forward(options.log, entry),
  });
  onClusters(kafka, (cluster) => {
    onConnections(cluster, (connection) => {
      stopIdleTimer(connection);
      failForgottenRequests(connection);
    });
    boundProducerIdRetries(cluster);
    writeProducesOf(cluster);
  });
  return { kafka, sockets };
}

function sslOptions(ssl: Exclude<KafkaSettings['ssl'], false>): NonNullable<KafkaConfig['ssl']> {
  if (ssl === true) return true;
  return {
    ...(ssl.ca === undefined ? {} : { ca: [ssl.ca] }),
    ...(ssl.cert === undefined ? {} : { cert: ssl.cert }),
    ...(ssl.key === undefined ? {} : { key: ssl.key }),
  };
}

/** What happens in every healthy group, or what the adapter reports itself in its own words. */
const ROUTINE = [
  /re-joining/i,
  /rebalanc/i,
  /^Crash:/,
  /^Response /,
  /^Connection error/,
  /^Connection timeout/,
  /Failed to connect/i,
  /Failed to send messages/i,
  /^Offset out of range/,
  /Topic has been updated/,
  /Limiting retries for the idempotent producer/,
  /not aware of all assigned partitions/,
  /not aware of this member/,
  /Not connected/,
  /Closed connection/,
  /Restarting the consumer/,
  /This server does not host this topic-partition/,
];

function forward(log: Logger, entry: LogEntry): void {
  const { message, timestamp: _timestamp, logger: _logger, stack: _stack, ...extra } = entry.log;
  const fields = { kafkajs: entry.namespace, ...extra };
  if (entry.level === kafkajs.logLevel.WARN || entry.level === kafkajs.logLevel.ERROR) {
    if (!ROUTINE.some((pattern) => pattern.test(message))) {
      log.warn(fields, `kafkajs: ${message}`);
      return;
    }
  }
  log.debug(fields, `kafkajs: ${message}`);
}

/** The Kafka protocol's name of an error (`UNKNOWN_MEMBER_ID`), looked for through what wraps it. */
export function errorType(error: unknown): string | undefined {
  let current: unknown = error;
  for (let depth = 0; depth < 6 && current !== null && typeof current === 'object'; depth++) {
    const { type, cause, originalError } = current as { type?: unknown; cause?: unknown; originalError?: unknown };
    if (typeof type === 'string' && /^[A-Z_]+$/.test(type)) return type;
    current = cause ?? originalError;
  }
  return undefined;
}
