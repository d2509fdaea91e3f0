/** What a broker can be told when it starts, with the defaults, checked at once. */
import { type Clock, type Logger, type Random, silentLogger, systemClock, systemRandom } from '@weir/core';
import { BrokerOptionError } from './errors.ts';

export interface BrokerOptions {
  /** Port of the first node; the others take the next ones. 0, the default, takes free ports. */
  readonly port?: number;
  /** Nodes to show, each with a port of its own, in this process. Default 1. */
  readonly nodes?: number;
  /** Address to listen on. Default 127.0.0.1. */
  readonly host?: string;
  /**
   * Address that clients are told, where it differs (a container's, say). Default: `host`, or 127.0.0.1 for 0.0.0.0.
   */
  readonly advertisedHost?: string;
  readonly clock?: Clock;
  readonly random?: Random;
  readonly log?: Logger;
  /** Bound on the memory of all logs together; the oldest segments go first. Default 256 MiB. */
  readonly retentionBytes?: number;
  /** Partitions of a topic that a client's metadata request makes; false, the default, makes none. */
  readonly autoCreateTopics?: false | number;
  /** Default of the topic setting max.message.bytes. 1,048,588 as in Kafka. */
  readonly maxMessageBytes?: number;
  /** Most characters of metadata beside a committed offset, as Kafka's offset.metadata.max.bytes. Default 4,096. */
  readonly maxMetadataCharacters?: number;
  /** Largest request, as Kafka's socket.request.max.bytes. Default 100 MiB. */
  readonly maxRequestBytes?: number;
  /** Partitions of a topic created with -1. Default 1. */
  readonly defaultPartitions?: number;
  /** How long the first join of an empty group waits for more members. Default 0 (Kafka: 3 s). */
  readonly initialRebalanceDelayMs?: number;
  /** Bounds on session timeouts. Defaults 1 s (Kafka: 6 s) and 30 minutes. */
  readonly minSessionTimeoutMs?: number;
  readonly maxSessionTimeoutMs?: number;
}

export type ResolvedOptions = { readonly [K in keyof Required<BrokerOptions>]: Required<BrokerOptions>[K] };

export function resolveOptions(options: BrokerOptions): ResolvedOptions {
  const host = options.host ?? '127.0.0.1';
  const anyAddress = host === '0.0.0.0' || host === '::';
  const resolved: ResolvedOptions = {
    port: whole('port', options.port ?? 0, 0, 65_535),
    nodes: whole('nodes', options.nodes ?? 1, 1, 64),
    host,
    advertisedHost: options.advertisedHost ?? (anyAddress ? '127.0.0.1' : host),
    clock: options.clock ?? systemClock,
    random: options.random ?? systemRandom,
    log: options.log ?? silentLogger,
    retentionBytes: whole('retentionBytes', options.retentionBytes ?? 256 * 1024 * 1024, 64 * 1024),
    autoCreateTopics: options.autoCreateTopics ?? false,
    maxMessageBytes: whole('maxMessageBytes', options.maxMessageBytes ?? 1_048_588, 1),
    maxMetadataCharacters: whole('maxMetadataCharacters', options.maxMetadataCharacters ?? 4096, 0),
    maxRequestBytes: whole('maxRequestBytes', options.maxRequestBytes ?? 100 * 1024 * 1024, 1024),
    defaultPartitions: whole('defaultPartitions', options.defaultPartitions ?? 1, 1, 10_000),
    initialRebalanceDelayMs: whole('initialRebalanceDelayMs', options.initialRebalanceDelayMs ?? 0, 0),
    minSessionTimeoutMs: whole('minSessionTimeoutMs', options.minSessionTimeoutMs ?? 1000, 1),
    maxSessionTimeoutMs: whole('maxSessionTimeoutMs', options.maxSessionTimeoutMs ?? 1_800_000, 1),
  };
  if (resolved.autoCreateTopics !== false) whole('autoCreateTopics', resolved.autoCreateTopics, 1, 10_000);
  if (resolved.port !== 0) whole('port', resolved.port + resolved.nodes - 1, 1, 65_535);
  return resolved;
}

function whole(option: string, value: number, min: number, max = Number.MAX_SAFE_INTEGER): number {
  if (Number.isInteger(value) && value >= min && value <= max) return value;
  const allowed = max === Number.MAX_SAFE_INTEGER ? `at least ${min}` : `${min} to ${max}`;
  throw new BrokerOptionError(option, `${value} was given, a whole number of ${allowed} is allowed`);
}
