/** Commits: how much metadata goes beside an offset, and what comes back. */
import { expect } from 'vitest';
import { CommitFailedError, CommitFencedError } from '../../packages/sdk/src/errors.ts';
import { until } from '../support/until.ts';
import type { Check } from './harness.ts';

export function commitFacts(check: Check): void {
  check('a commit keeps up to 4,096 characters of metadata beside the offset; 4,097 are refused', async (bench) => {
    await bench.createTopic(3);
    await bench.fill(30, 3);
    const member = await bench.member({ manual: true }).start();
    await until('all records', () => member.delivered === 30);
    const long = 'ü'.repeat(4_096);
    await member.consumer.commit([
      { topic: bench.topic, partition: 0, offset: 4, metadata: long },
      { topic: bench.topic, partition: 1, offset: 5, metadata: '' },
    ]);
    const read = async () =>
      new Map((await bench.admin.committed(bench.group, [bench.topic])).map((row) => [row.partition, row]));
    expect(await read()).toEqual(
      new Map([
        [0, { topic: bench.topic, partition: 0, offset: 4, metadata: long }],
        [1, { topic: bench.topic, partition: 1, offset: 5, metadata: '' }],
        [2, { topic: bench.topic, partition: 2, offset: -1, metadata: '' }],
      ]),
    );
    await expect(
      member.consumer.commit([{ topic: bench.topic, partition: 0, offset: 6, metadata: 'x'.repeat(4_097) }]),
    ).rejects.toThrow(CommitFailedError);
    await expect(
      member.consumer.commit([{ topic: bench.topic, partition: 9, offset: 6, metadata: '' }]),
    ).rejects.toThrow(CommitFencedError);
    expect((await read()).get(0)?.offset).toBe(4);
    // The same offset with new metadata: how an idle partition renews its signal.
    await member.consumer.commit([{ topic: bench.topic, partition: 0, offset: 4, metadata: 'renewed' }]);
    expect((await read()).get(0)).toMatchObject({ offset: 4, metadata: 'renewed' });
  });

  check('the broker itself refuses metadata of 4,097 characters', async (bench) => {
    await bench.createTopic(1);
    await bench.fill(1, 1);
    const consumer = bench.raw().consumer({ groupId: bench.group, maxWaitTimeInMs: 100, retry: { retries: 0 } });
    bench.atEnd(() => consumer.disconnect());
    await consumer.connect();
    await consumer.subscribe({ topics: [bench.topic], fromBeginning: true });
    const refused = Promise.withResolvers<unknown>();
    await consumer.run({
      autoCommit: false,
      eachBatch: async ({ commitOffsetsIfNecessary }) => {
        const partitions = [{ partition: 0, offset: '1', metadata: 'x'.repeat(4_097) }];
        refused.resolve(
          await commitOffsetsIfNecessary({ topics: [{ topic: bench.topic, partitions }] }).catch((e) => e),
        );
      },
    });
    expect(await refused.promise).toMatchObject({ type: 'OFFSET_METADATA_TOO_LARGE' });
    expect((await bench.admin.committed(bench.group, [bench.topic]))[0]?.offset).toBe(-1);
  });

  check('metadata of many partitions is committed in one call and read back whole', async (bench) => {
    await bench.createTopic(300);
    const member = await bench.member({ manual: true }).start();
    const entries = Array.from({ length: 300 }, (_, partition) => ({
      topic: bench.topic,
      partition,
      offset: 0,
      metadata: `${partition}:`.padEnd(4_096, 'm'),
    }));
    // A young topic's partitions show up in parts, and each part is a join: what a join refuses is committed again.
    await until('one commit for all', async () => {
      if (member.owned < 300) return false;
      try {
        await member.consumer.commit(entries);
        return true;
      } catch (error) {
        if (error instanceof CommitFencedError) return false;
        throw error;
      }
    });
    const committed = await bench.admin.committed(bench.group, [bench.topic]);
    expect(committed).toHaveLength(300);
    for (const { partition, offset, metadata } of committed) {
      expect(offset).toBe(0);
      expect(metadata).toBe(`${partition}:`.padEnd(4_096, 'm'));
    }
  });
}
