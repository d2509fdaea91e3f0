/**
 * Topic settings: their names, defaults and checks. Those marked `enforced` change what the broker does; the others are
 * kept and given back, so that tools which set them work, and listed as gaps in the README.
 */

type ConfigType = 'boolean' | 'string' | 'int' | 'long' | 'double' | 'list';

/** ConfigDef.Type as DescribeConfigs numbers it. */
export const CONFIG_TYPES: Record<ConfigType, number> = { boolean: 1, string: 2, int: 3, long: 5, double: 6, list: 7 };

interface ConfigEntry {
  readonly type: ConfigType;
  readonly fallback: string;
  readonly enforced?: true;
  /** Smallest number allowed. */
  readonly min?: number;
  readonly oneOf?: readonly string[];
}

const FOREVER = '9223372036854775807';

export const TOPIC_CONFIGS: Readonly<Record<string, ConfigEntry>> = {
  'cleanup.policy': { type: 'list', fallback: 'delete' },
  'compression.gzip.level': { type: 'int', fallback: '-1' },
  'compression.lz4.level': { type: 'int', fallback: '9' },
  'compression.type': {
    type: 'string',
    fallback: 'producer',
    oneOf: ['uncompressed', 'zstd', 'lz4', 'snappy', 'gzip', 'producer'],
  },
  'compression.zstd.level': { type: 'int', fallback: '3' },
  'delete.retention.ms': { type: 'long', fallback: '86400000', min: 0 },
  'file.delete.delay.ms': { type: 'long', fallback: '60000', min: 0 },
  'flush.messages': { type: 'long', fallback: FOREVER, min: 1 },
  'flush.ms': { type: 'long', fallback: FOREVER, min: 0 },
  'follower.replication.throttled.replicas': { type: 'list', fallback: '' },
  'index.interval.bytes': { type: 'int', fallback: '4096', min: 0 },
  'leader.replication.throttled.replicas': { type: 'list', fallback: '' },
  'local.retention.bytes': { type: 'long', fallback: '-2', min: -2 },
  'local.retention.ms': { type: 'long', fallback: '-2', min: -2 },
  'max.compaction.lag.ms': { type: 'long', fallback: FOREVER, min: 1 },
  'max.message.bytes': { type: 'int', fallback: '1048588', min: 0, enforced: true },
  'message.timestamp.after.max.ms': { type: 'long', fallback: FOREVER, min: 0, enforced: true },
  'message.timestamp.before.max.ms': { type: 'long', fallback: FOREVER, min: 0, enforced: true },
  'message.timestamp.type': {
    type: 'string',
    fallback: 'CreateTime',
    oneOf: ['CreateTime', 'LogAppendTime'],
    enforced: true,
  },
  'min.cleanable.dirty.ratio': { type: 'double', fallback: '0.5', min: 0 },
  'min.compaction.lag.ms': { type: 'long', fallback: '0', min: 0 },
  'min.insync.replicas': { type: 'int', fallback: '1', min: 1 },
  preallocate: { type: 'boolean', fallback: 'false' },
  'remote.log.copy.disable': { type: 'boolean', fallback: 'false' },
  'remote.log.delete.on.disable': { type: 'boolean', fallback: 'false' },
  'remote.storage.enable': { type: 'boolean', fallback: 'false' },
  'retention.bytes': { type: 'long', fallback: '-1', min: -1, enforced: true },
  'retention.ms': { type: 'long', fallback: '604800000', min: -1, enforced: true },
  'segment.bytes': { type: 'int', fallback: '1073741824', min: 14 },
  'segment.index.bytes': { type: 'int', fallback: '10485760', min: 4 },
  'segment.jitter.ms': { type: 'long', fallback: '0', min: 0 },
  'segment.ms': { type: 'long', fallback: '604800000', min: 1 },
  'unclean.leader.election.enable': { type: 'boolean', fallback: 'false' },
};

/** @returns what is wrong with a setting, in words; undefined when nothing is */
export function checkTopicConfig(name: string, value: string): string | undefined {
  const entry = Object.hasOwn(TOPIC_CONFIGS, name) ? TOPIC_CONFIGS[name] : undefined;
  if (!entry) return `Unknown topic config name: ${name}`;
  const invalid = (rule: string) => `Invalid value ${value} for configuration ${name}: ${rule}`;
  if (entry.oneOf && !entry.oneOf.includes(value)) return invalid(`must be one of ${entry.oneOf.join(', ')}`);
  if (entry.type === 'boolean' && value !== 'true' && value !== 'false') return invalid('must be true or false');
  if (name === 'cleanup.policy') {
    const parts = value.split(',').map((part) => part.trim());
    if (parts.some((part) => part !== 'delete' && part !== 'compact')) return invalid('must be delete or compact');
  }
  if (entry.type === 'int' || entry.type === 'long' || entry.type === 'double') {
    const number = Number(value);
    if (value.trim() === '' || Number.isNaN(number)) return invalid('not a number');
    if (entry.type !== 'double' && !/^-?\d+$/.test(value.trim())) return invalid('not a whole number');
    if (entry.type === 'int' && Math.abs(number) > 0x7fff_ffff) return invalid('does not fit in 32 bits');
    if (entry.min !== undefined && number < entry.min) return invalid(`must be at least ${entry.min}`);
  }
  return undefined;
}

/** The settings of one topic: what was set, over the defaults. */
export class TopicConfig {
  readonly #defaults: Readonly<Record<string, string>>;
  #set: ReadonlyMap<string, string>;
  maxMessageBytes = 0;
  retentionBytes = -1;
  retentionMs = -1;
  logAppendTime = false;
  timestampBeforeMaxMs = Number.POSITIVE_INFINITY;
  timestampAfterMaxMs = Number.POSITIVE_INFINITY;

  /** @param defaults  the broker's own, over Kafka's */
  constructor(defaults: Readonly<Record<string, string>>, set: ReadonlyMap<string, string>) {
    this.#defaults = defaults;
    this.#set = set;
    this.#read();
  }

  get overrides(): ReadonlyMap<string, string> {
    return this.#set;
  }

  get(name: string): string {
    return this.#set.get(name) ?? this.#defaults[name] ?? TOPIC_CONFIGS[name]?.fallback ?? '';
  }

  /** Whether the value comes from the topic, the broker's options or Kafka's defaults. */
  source(name: string): 'topic' | 'broker' | 'default' {
    if (this.#set.has(name)) return 'topic';
    return name in this.#defaults ? 'broker' : 'default';
  }

  replace(set: ReadonlyMap<string, string>): void {
    this.#set = set;
    this.#read();
  }

  #read(): void {
    this.maxMessageBytes = Number(this.get('max.message.bytes'));
    this.retentionBytes = Number(this.get('retention.bytes'));
    this.retentionMs = Number(this.get('retention.ms'));
    this.logAppendTime = this.get('message.timestamp.type') === 'LogAppendTime';
    this.timestampBeforeMaxMs = Number(this.get('message.timestamp.before.max.ms'));
    this.timestampAfterMaxMs = Number(this.get('message.timestamp.after.max.ms'));
  }
}
