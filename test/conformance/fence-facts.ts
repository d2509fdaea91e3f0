/** The fence: no commit passes from the moment a join begins until it has ended, and none that comes late moves anything. */
import { expect } from 'vitest';
import { CommitFencedError } from '../../packages/sdk/src/errors.ts';
import { until } from '../support/until.ts';
import { API, Network } from './faulty-client.ts';
import type { Check } from './harness.ts';
import { World } from './member.ts';

export function fenceFacts(check: Check): void {
  check('a commit that reaches the broker after the partition has moved changes nothing', async (bench) => {
    await bench.createTopic(1);
    await bench.fill(100, 1);
    const network = new Network();
    const first = await bench.member({ network, manual: true, revokeWaitMs: 100 }).start();
    await until('all records', () => first.delivered === 100);
    // The commit leaves the adapter in time and is stuck on the way; the member itself stops breathing.
    const gate = Promise.withResolvers<void>();
    network.on(API.offsetCommit, () => gate.promise);
    const late = first.consumer
      .commit([{ topic: bench.topic, partition: 0, offset: 10, metadata: 'late' }])
      .catch((error: unknown) => error);
    network.goDark();
    const second = await bench.member({ manual: true }).start();
    await until('the partition has moved', () => second.delivered === 100, 60_000);
    await second.commit();
    network.goLight();
    gate.resolve();
    network.off(API.offsetCommit);
    expect(await late).toBeInstanceOf(Error);
    await until('the first is back in the group', () => first.consumer.status.state === 'stable', 40_000);
    expect((await bench.admin.committed(bench.group, [bench.topic]))[0]).toMatchObject({ offset: 100 });
  });

  check('from the moment a join begins until it has ended, commits are refused by the adapter', async (bench) => {
    await bench.createTopic(2);
    await bench.fill(20, 2);
    const network = new Network();
    const first = await bench.member({ network, manual: true, revokeWaitMs: 50 }).start();
    await until('all records', () => first.delivered === 20);
    const gate = Promise.withResolvers<void>();
    let commitsSent = 0;
    let joining = false;
    network.on(API.joinGroup, () => {
      joining = true;
      return gate.promise;
    });
    network.on(API.offsetCommit, () => {
      commitsSent++;
      return 'pass';
    });
    first.revoking = async () => undefined;
    const second = await bench.member({ manual: true }).start();
    await until('the first wants to join', () => joining, 40_000);
    await expect(
      first.consumer.commit([{ topic: bench.topic, partition: 0, offset: 3, metadata: '' }]),
    ).rejects.toThrow(CommitFencedError);
    expect(commitsSent).toBe(0);
    gate.resolve();
    network.off(API.joinGroup);
    await until('two share', () => first.owned === 1 && second.owned === 1);
    const mine = [...first.ledgers.values()][0]?.partition === 0 ? 0 : 1;
    const other = { topic: bench.topic, partition: 1 - mine, offset: 3, metadata: '' };
    await expect(first.consumer.commit([other])).rejects.toThrow(CommitFencedError);
    expect(commitsSent).toBe(0);
    await first.consumer.commit([{ topic: bench.topic, partition: mine, offset: 3, metadata: '' }]);
    expect(commitsSent).toBe(1);
  });

  check('a long hold keeps the session alive', async (bench) => {
    await bench.createTopic(2);
    await bench.fill(2, 2);
    const holdMs = bench.harness.sessionTimeoutMs + 1_500;
    const world = new World();
    const first = await bench.member({ world, manual: true, revokeWaitMs: 60_000 }).start();
    await until('all records', () => first.delivered === 2);
    const begun = Promise.withResolvers<void>();
    const revoking = first.revoking.bind(first);
    first.revoking = async () => {
      begun.resolve();
      await new Promise((resolve) => setTimeout(resolve, holdMs));
      await revoking();
    };
    const second = await bench.member({ world, manual: true }).start();
    await begun.promise;
    await until('two share', () => first.owned === 1 && second.owned === 1, 40_000);
    expect(first.happened.some((event) => event.kind === 'lost' && event.reason === 'session')).toBe(false);
    expect(world.repeats).toBe(0);
  });
}
