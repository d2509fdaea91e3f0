/** Checks and applies new settings of a topic, for both ways of asking. */
import type { Cluster } from '../cluster.ts';
import { checkTopicConfig } from '../topic-config.ts';
import { CODES } from '../wire/codes.ts';
import { RESOURCE } from './config-source.ts';

export interface ChangeProblem {
  readonly errorCode: number;
  readonly errorMessage: string | null;
}

/** @param change  from the settings the topic has to those it shall have, or what is wrong with the request */
export function changeTopicConfig(
  cluster: Cluster,
  resourceType: number,
  name: string,
  validateOnly: boolean,
  change: (has: ReadonlyMap<string, string>) => ReadonlyMap<string, string> | ChangeProblem,
): ChangeProblem {
  if (resourceType !== RESOURCE.topic) {
    return { errorCode: CODES.INVALID_REQUEST, errorMessage: 'only settings of topics can be changed here' };
  }
  const topic = cluster.topics.get(name);
  if (!topic)
    return { errorCode: CODES.UNKNOWN_TOPIC_OR_PARTITION, errorMessage: `The topic '${name}' does not exist.` };
  const wanted = change(topic.config.overrides);
  if ('errorCode' in wanted) return wanted;
  for (const [key, value] of wanted) {
    const problem = checkTopicConfig(key, value);
    if (problem !== undefined) return { errorCode: CODES.INVALID_CONFIG, errorMessage: problem };
  }
  if (!validateOnly) {
    topic.config.replace(wanted);
    for (const partition of topic.partitions) partition.trimBytes(topic.config.retentionBytes);
  }
  return { errorCode: CODES.NONE, errorMessage: null };
}
