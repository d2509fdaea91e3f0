import { describe, expect, test } from 'vitest';
import { TopicMissingError } from '../errors.ts';
import { GroupFixture, TOPIC, worker } from './group.fixture.ts';
import { plan } from './plan.ts';
import { planInput, takeSnapshot } from './snapshot.ts';

const NOW = Date.UTC(2026, 0, 1);

describe('snapshot', () => {
  test('what is committed, what stands beside it and where topics end become one picture', async () => {
    const group = new GroupFixture();
    group.members(2);
    group.end(0, 500);
    group.signal(0, 380, { sentAt: NOW - 1000, arrivalPerSecond: 3 });
    group.end(1, 70);
    group.commit(1, 50, 'somebody else');
    const snapshot = await takeSnapshot(group.admin, worker, NOW);
    expect(snapshot).toMatchObject({
      worker: 'download-worker',
      group: 'xact-download-worker',
      takenAt: NOW,
      state: 'Stable',
    });
    expect(snapshot.members.map((member) => member.memberId)).toEqual(['member-0', 'member-1']);
    expect(snapshot.partitions.map(({ behind, ignored }) => [behind, ignored])).toEqual([
      [120, undefined],
      [20, 'foreign'],
      [0, 'empty'],
      [0, 'empty'],
    ]);
    expect(snapshot.partitions[0]?.signal?.arrivalPerSecond).toBe(3);
  });

  test('without a usable commit everything that is still there waits', async () => {
    const group = new GroupFixture();
    group.end(0, 500, 100);
    group.end(1, 500, 100);
    group.commit(1, -1);
    group.end(2, 500, 100);
    group.commit(2, 60);
    const { partitions } = await takeSnapshot(group.admin, worker, NOW);
    expect(partitions.map(({ behind }) => behind)).toEqual([400, 400, 400, 0]);
  });

  test('a commit beyond an end that was read a moment earlier is no negative backlog', async () => {
    const group = new GroupFixture();
    group.end(0, 10);
    group.commit(0, 12);
    expect((await takeSnapshot(group.admin, worker, NOW)).partitions[0]?.behind).toBe(0);
  });

  test('metadata that was copied beside another offset is no signal', async () => {
    const group = new GroupFixture();
    group.end(0, 500);
    group.signal(0, 380, { sentAt: NOW, offset: 90_000 });
    const [first] = (await takeSnapshot(group.admin, worker, NOW)).partitions;
    expect(first).toMatchObject({ signal: undefined, ignored: 'other-offset', behind: 120 });
  });

  test('a missing topic is an error, not an empty one', async () => {
    const group = new GroupFixture();
    group.ends = [];
    await expect(takeSnapshot(group.admin, worker, NOW)).rejects.toThrow(TopicMissingError);
  });

  test('the order in which the broker answers changes nothing', async () => {
    const group = new GroupFixture();
    group.members(3);
    for (const partition of [0, 1, 2, 3]) {
      group.end(partition, 900 * (partition + 1));
      group.signal(partition, 0, { sentAt: NOW });
    }
    const before = await takeSnapshot(group.admin, worker, NOW);
    group.ends = [...group.ends].reverse();
    group.group = { ...group.group, members: [...group.group.members].reverse() };
    const after = await takeSnapshot(group.admin, worker, NOW);
    expect(after).toEqual(before);
    expect(plan(planInput(after, worker.scaling))).toEqual(plan(planInput(before, worker.scaling)));
    expect(after.partitions[0]?.topic).toBe(TOPIC);
  });
});
