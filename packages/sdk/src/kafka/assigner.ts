/**
 * Which member gets which partition: the arithmetic of the group's assigner, pure, so that the scaling plan can ask how
 * `n` workers would share the load before there are `n` of them.
 *
 * Today this is kafkajs's round robin: the members sorted by id, and all partitions of all topics dealt to them one
 * after the other, in the order of subscription. Which member is the first cannot be known beforehand (ids are random),
 * but the shares can, and the plan needs no more.
 */
import type { TopicPartition } from './port.ts';

/**
 * @param members          how many members the group has, at least 1
 * @param topicPartitions  every partition of every topic of the group, topics in the order of subscription
 * @returns                one share for each member; empty shares for members that are one too many
 * @throws                 RangeError when `members` is no positive whole number
 */
export function assignRoundRobin(members: number, topicPartitions: readonly TopicPartition[]): TopicPartition[][] {
  if (!Number.isInteger(members) || members < 1) {
    throw new RangeError(`a group of ${members} members cannot be assigned anything: give a whole number of 1 or more`);
  }
  const shares: TopicPartition[][] = Array.from({ length: members }, () => []);
  for (const [index, topicPartition] of topicPartitions.entries()) shares[index % members]?.push(topicPartition);
  return shares;
}
