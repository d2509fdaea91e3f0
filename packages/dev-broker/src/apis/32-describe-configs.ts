/**
 * DescribeConfigs: v0-4
 *
 * v1: sources and synonyms (never any).  v3: types, documentation (never any).  v4: flexible.
 *
 * Topics show every setting Kafka has for them; nodes show the few that this broker has.
 */
import type { Cluster } from '../cluster.ts';
import { CONFIG_TYPES, TOPIC_CONFIGS } from '../topic-config.ts';
import { CODES } from '../wire/codes.ts';
import { array, bool, int8, int16, int32, nullableArrayOf, nullableString, string } from '../wire/layout.ts';
import { defineApi } from './api.ts';
import { RESOURCE, SOURCE } from './config-source.ts';

interface Setting {
  readonly name: string;
  readonly value: string;
  readonly readOnly: boolean;
  readonly isDefault: boolean;
  readonly configSource: number;
  readonly configType: number;
}

export const describeConfigs = defineApi({
  name: 'DescribeConfigs',
  key: 32,
  versions: [0, 4],
  flexibleFrom: 4,
  gaps: ['no synonyms', 'no documentation', 'topics and nodes only'],
  request: {
    resources: array({
      resourceType: int8(),
      resourceName: string(),
      configurationKeys: nullableArrayOf(string()),
    }),
    includeSynonyms: bool('1+'),
    includeDocumentation: bool('3+'),
  },
  response: {
    throttleTimeMs: int32(),
    results: array({
      errorCode: int16(),
      errorMessage: nullableString(),
      resourceType: int8(),
      resourceName: string(),
      configs: array({
        name: string(),
        value: nullableString(),
        readOnly: bool(),
        isDefault: bool('0'),
        configSource: int8('1+', { fallback: -1 }),
        isSensitive: bool(),
        synonyms: array({ name: string(), value: nullableString(), source: int8() }, '1+'),
        configType: int8('3+'),
        documentation: nullableString('3+'),
      }),
    }),
  },
  handle(request, call) {
    return {
      results: request.resources.map(({ resourceType, resourceName, configurationKeys }) => {
        const resource = { resourceType, resourceName };
        const settings = settingsOf(call.cluster, resourceType, resourceName);
        if (typeof settings === 'number') return { ...resource, errorCode: settings };
        const wanted = configurationKeys === null || configurationKeys.length === 0 ? undefined : configurationKeys;
        return {
          ...resource,
          errorCode: CODES.NONE,
          configs: wanted ? settings.filter(({ name }) => wanted.includes(name)) : settings,
        };
      }),
    };
  },
  refuse(request, errorCode) {
    return {
      results: request.resources.map(({ resourceType, resourceName }) => ({ errorCode, resourceType, resourceName })),
    };
  },
});

function settingsOf(cluster: Cluster, type: number, name: string): Setting[] | number {
  if (type === RESOURCE.topic) {
    const topic = cluster.topics.get(name);
    if (!topic) return CODES.UNKNOWN_TOPIC_OR_PARTITION;
    return Object.entries(TOPIC_CONFIGS).map(([key, entry]) => ({
      name: key,
      value: topic.config.get(key),
      readOnly: false,
      isDefault: topic.config.source(key) !== 'topic',
      configSource: SOURCE[topic.config.source(key)],
      configType: CONFIG_TYPES[entry.type],
    }));
  }
  if (type !== RESOURCE.node) return CODES.INVALID_REQUEST;
  if (name !== '' && !cluster.nodes.some((node) => String(node.id) === name)) return CODES.INVALID_REQUEST;
  const { options } = cluster;
  const values: [string, string | number | boolean][] = [
    ['auto.create.topics.enable', options.autoCreateTopics !== false],
    ['broker.id', name],
    ['default.replication.factor', cluster.defaultReplication],
    ['group.initial.rebalance.delay.ms', options.initialRebalanceDelayMs],
    ['group.max.session.timeout.ms', options.maxSessionTimeoutMs],
    ['group.min.session.timeout.ms', options.minSessionTimeoutMs],
    ['message.max.bytes', options.maxMessageBytes],
    ['num.partitions', options.autoCreateTopics === false ? options.defaultPartitions : options.autoCreateTopics],
    ['offset.metadata.max.bytes', options.maxMetadataCharacters],
    ['socket.request.max.bytes', options.maxRequestBytes],
  ];
  return values.map(([key, value]) => ({
    name: key,
    value: String(value),
    readOnly: true,
    isDefault: false,
    configSource: SOURCE.broker,
    configType: typeof value === 'boolean' ? CONFIG_TYPES.boolean : CONFIG_TYPES.int,
  }));
}
