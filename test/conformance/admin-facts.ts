/** Topics, offsets and groups, as those who only ask see them. */
import { expect } from 'vitest';
import { assignFresh } from '../../packages/sdk/src/kafka/assigner.ts';
import { until } from '../support/until.ts';
import type { Check } from './harness.ts';

export function adminFacts(check: Check): void {
  check('topics are made once, counted, grown and deleted', async (bench) => {
    const [one, two] = [`${bench.topic}-1`, `${bench.topic}-2`];
    const specs = [
      { topic: one, partitions: 2 },
      { topic: two, partitions: 3, config: { 'max.message.bytes': '2000000' } },
    ];
    expect(await bench.admin.createTopics([specs[0]!])).toEqual([one]);
    expect(await bench.admin.createTopics(specs)).toEqual([two]);
    expect(await bench.admin.createTopics(specs)).toEqual([]);
    const counts = await bench.admin.partitionCounts([one, two, `${bench.topic}-3`]);
    expect([...counts].sort()).toEqual([
      [one, 2],
      [two, 3],
    ]);
    await bench.admin.createPartitions(one, 5);
    expect((await bench.admin.partitionCounts([one])).get(one)).toBe(5);
    await bench.admin.deleteTopics([one, `${bench.topic}-3`]);
    await until('it is gone', async () => (await bench.admin.partitionCounts([one])).size === 0);
  });

  check('offsets are told for all partitions, and by time', async (bench) => {
    await bench.createTopic(2);
    const start = 1_700_000_000_000;
    await bench.produce(
      Array.from({ length: 10 }, (_, index) => ({
        topic: bench.topic,
        partition: 0,
        key: null,
        value: Buffer.from('v'),
        timestamp: start + index * 1_000,
      })),
    );
    const sorted = (await bench.admin.offsets([bench.topic])).toSorted((a, b) => a.partition - b.partition);
    expect(sorted).toEqual([
      { topic: bench.topic, partition: 0, start: 0, end: 10 },
      { topic: bench.topic, partition: 1, start: 0, end: 0 },
    ]);
    const at = async (timestamp: number) =>
      (await bench.admin.offsetsAt(bench.topic, timestamp)).toSorted((a, b) => a.partition - b.partition);
    expect((await at(start + 3_500)).map(({ offset }) => offset)).toEqual([4, 0]);
    expect((await at(start + 60_000)).map(({ offset }) => offset)).toEqual([10, 0]);
    expect(await bench.admin.offsets([`${bench.topic}-missing`])).toEqual([]);
  });

  check('a group is described with its members and what they own, as the assigner deals it', async (bench) => {
    await bench.createTopic(5);
    expect(await bench.admin.describeGroup(bench.group)).toEqual({ state: 'Dead', members: [] });
    const first = await bench.member().start();
    const second = await bench.member().start();
    await until('two share', () => first.owned + second.owned === 5 && first.owned > 0 && second.owned > 0);
    await until('stable', async () => (await bench.admin.describeGroup(bench.group)).state === 'Stable');
    const { members } = await bench.admin.describeGroup(bench.group);
    const all = Array.from({ length: 5 }, (_, partition) => ({ topic: bench.topic, partition }));
    const shares = assignFresh(2, all, () => undefined).map((share) => share.length);
    expect(members.map(({ partitions }) => partitions.length).toSorted()).toEqual(shares.toSorted());
    expect(members.every(({ clientId }) => clientId.startsWith('conf-'))).toBe(true);
    expect(members.flatMap(({ partitions }) => partitions.map(({ partition }) => partition)).toSorted()).toEqual([
      0, 1, 2, 3, 4,
    ]);
    expect(await bench.admin.listGroups()).toContain(bench.group);
  });
}
