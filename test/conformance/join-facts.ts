/** Joins: members come and go, topics grow; what is kept goes on, what is not begins where the broker says. */
import kafkajs from 'kafkajs';
import { expect } from 'vitest';
import { until } from '../support/until.ts';
import type { Bench, Check } from './harness.ts';
import { World } from './member.ts';

export function joinFacts(check: Check): void {
  for (const handlerMs of [0, 300, 1_500]) {
    check(
      `handlers of ${handlerMs} ms: three members come one by one, one goes, nothing is repeated or lost`,
      async (bench) => {
        await bench.createTopic(12);
        const world = new World();
        const options = { world, handlerMs };
        let sent = 0;
        let sending = true;
        const producer = bench.port.producer();
        await producer.start();
        bench.atEnd(() => producer.stop());
        const feeding = (async () => {
          while (sending) {
            for (let partition = 0; partition < 12; partition++, sent++) {
              void producer.send(
                { topic: bench.topic, partition, key: null, value: Buffer.from('v') },
                () => undefined,
              );
            }
            await producer.flush();
            await new Promise((resolve) => setTimeout(resolve, 40));
          }
        })();
        const first = await bench.member(options).start();
        await until('the first flows', () => first.delivered > 50);
        const second = await bench.member(options).start();
        await until('two share', () => first.owned === 6 && second.owned === 6 && second.delivered > 20, 40_000);
        const third = await bench.member(options).start();
        await until('three share', () => first.owned === 4 && third.owned === 4 && third.delivered > 20, 40_000);
        await until('the second has no gap', () => second.owned === 4);
        // A leaving member pauses, finishes and commits; then it goes.
        third.consumer.pause(third.assignments.at(-1)?.partitions ?? []);
        await third.revoking();
        await third.stop();
        await until('two share again', () => first.owned === 6 && second.owned === 6, 40_000);
        sending = false;
        await feeding;
        await until('all are started', () => world.distinct === sent, 40_000);
        expect(world.repeats).toBe(0);
        expect(first.happened.filter(({ kind }) => kind === 'revoking').length).toBeGreaterThanOrEqual(3);
      },
    );
  }

  check('kept partitions are told from fresh ones, and go on without a repeat', async (bench) => {
    await bench.createTopic(4);
    await bench.fill(400, 4);
    const world = new World();
    const first = await bench.member({ world }).start();
    await until('all records', () => first.delivered === 400);
    await until('all is committed', () => [...first.ledgers.values()].every(({ committed }) => committed === 100));
    const second = await bench.member({ world }).start();
    await until('two share', () => first.owned === 2 && second.owned === 2);
    expect(first.assignments.at(-1)?.partitions.map(({ retained, committed }) => ({ retained, committed }))).toEqual([
      { retained: true, committed: 100 },
      { retained: true, committed: 100 },
    ]);
    expect(second.assignments[0]?.partitions.every(({ retained }) => !retained)).toBe(true);
    expect(second.assignments[0]?.partitions.map(({ metadata }) => metadata.length > 0)).toEqual([true, true]);
    const lost = first.happened.find(({ kind }) => kind === 'lost');
    expect(lost).toMatchObject({ reason: 'rebalance' });
    expect(lost?.kind === 'lost' && lost.partitions.length).toBe(2);
    expect(first.assignments.at(-1)?.generation).toBeGreaterThan(first.assignments[0]?.generation ?? 0);
    await bench.fill(40, 4);
    await until('the new ones too', () => world.distinct === 440);
    expect(world.repeats).toBe(0);
  });

  check('a partition that somebody else has committed in between is not kept', async (bench) => {
    await bench.createTopic(2);
    await bench.fill(20, 2);
    const first = await bench.member({ manual: true }).start();
    await until('all records', () => first.delivered === 20);
    await first.commit();
    const [assignment] = first.assignments;
    await commitAs(bench, assignment?.memberId ?? '', assignment?.generation ?? -1, 0, 7);
    const second = await bench.member({ manual: true, topics: [bench.topic] }).start();
    await until('two share', () => first.owned === 1 && second.owned === 1);
    const rows = [...(first.assignments.at(-1)?.partitions ?? []), ...(second.assignments.at(-1)?.partitions ?? [])];
    const foreign = rows.find(({ partition }) => partition === 0);
    expect(foreign).toMatchObject({ committed: 7, metadata: 'foreign', retained: false });
    const kept = first.assignments.at(-1)?.partitions.find(({ partition }) => partition === 1);
    if (kept) expect(kept).toMatchObject({ committed: 10, retained: true });
  });

  check('new partitions of a topic are found, and found without a repeat', async (bench) => {
    await bench.createTopic(2);
    const world = new World();
    const member = await bench.member({ world, handlerMs: 300 }).start();
    await until('an assignment', () => member.owned === 2);
    await bench.admin.createPartitions(bench.topic, 4);
    let sent = 0;
    await until(
      'four partitions',
      async () => {
        await bench.fill(8, 4);
        sent += 8;
        return member.owned === 4;
      },
      40_000,
    );
    await until('all are started', () => world.distinct === sent);
    expect(world.repeats).toBe(0);
  });
}

/** Commits with somebody's member id and generation, the way another process with them would. */
async function commitAs(
  bench: Bench,
  memberId: string,
  generation: number,
  partition: number,
  offset: number,
): Promise<void> {
  let cluster: kafkajs.Cluster | undefined;
  bench.raw().consumer({
    groupId: bench.group,
    partitionAssigners: [
      (config) => {
        cluster = config.cluster;
        return kafkajs.PartitionAssigners.roundRobin(config);
      },
    ],
  });
  await cluster?.connect();
  await cluster?.refreshMetadata();
  const coordinator = await cluster?.findGroupCoordinator({ groupId: bench.group });
  await coordinator?.offsetCommit({
    groupId: bench.group,
    groupGenerationId: generation,
    memberId,
    topics: [{ topic: bench.topic, partitions: [{ partition, offset: String(offset), metadata: 'foreign' } as never] }],
  });
  await cluster?.disconnect();
}
