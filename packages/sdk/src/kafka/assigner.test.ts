import kafkajs, { type Cluster } from 'kafkajs';
import { describe, expect, test } from 'vitest';
import { assignRoundRobin } from './assigner.ts';
import type { TopicPartition } from './port.ts';

function partitionsOf(counts: Readonly<Record<string, number>>): TopicPartition[] {
  return Object.entries(counts).flatMap(([topic, count]) =>
    Array.from({ length: count }, (_, partition) => ({ topic, partition })),
  );
}

/** What kafkajs's own assigner deals to members whose ids sort as they are numbered. */
async function byKafkajs(members: number, counts: Readonly<Record<string, number>>): Promise<TopicPartition[][]> {
  const cluster = {
    findTopicPartitionMetadata: (topic: string) =>
      Array.from({ length: counts[topic] ?? 0 }, (_, partitionId) => ({ partitionId })),
  } as unknown as Cluster;
  const assigner = kafkajs.PartitionAssigners.roundRobin({ cluster, groupId: 'g', logger: undefined as never });
  const ids = Array.from({ length: members }, (_, index) => `member-${String(index).padStart(3, '0')}`);
  const dealt = await assigner.assign({
    members: ids.map((memberId) => ({ memberId, memberMetadata: Buffer.alloc(0) })),
    topics: Object.keys(counts),
  });
  return ids.map((id) => {
    const found = dealt.find(({ memberId }) => memberId === id);
    const decoded = found && kafkajs.AssignerProtocol.MemberAssignment.decode(found.memberAssignment);
    return Object.entries(decoded?.assignment ?? {}).flatMap(([topic, partitions]) =>
      partitions.map((partition) => ({ topic, partition })),
    );
  });
}

describe('assignRoundRobin', () => {
  test.each([
    [1, { a: 3 }],
    [2, { a: 5 }],
    [3, { a: 24 }],
    [7, { a: 24, b: 3, c: 1 }],
    [5, { a: 2 }],
    [16, { a: 12, b: 12 }],
  ])('%i members get what kafkajs deals them', async (members, counts) => {
    const byName = (shares: TopicPartition[][]) =>
      shares.map((share) => share.map(({ topic, partition }) => `${topic}/${partition}`).toSorted());
    expect(byName(assignRoundRobin(members, partitionsOf(counts)))).toEqual(byName(await byKafkajs(members, counts)));
  });

  test('members that are one too many get nothing', () => {
    expect(assignRoundRobin(3, partitionsOf({ a: 2 }))).toEqual([
      [{ topic: 'a', partition: 0 }],
      [{ topic: 'a', partition: 1 }],
      [],
    ]);
  });

  test.each([0, -1, 1.5, Number.NaN])('%d members are refused', (members) => {
    expect(() => assignRoundRobin(members, [])).toThrow(RangeError);
  });
});
