/** Trouble: connections that break, sessions that end, topics and offsets that are not there, transactions, an early stop. */
import type { Transaction } from 'kafkajs';
import { expect } from 'vitest';
import { CommitFencedError } from '../../packages/sdk/src/errors.ts';
import { until } from '../support/until.ts';
import { API, Network } from './faulty-client.ts';
import type { Bench, Capabilities, Check } from './harness.ts';
import { World } from './member.ts';

export function troubleFacts(check: Check, can: Capabilities): void {
  check('connections that break while joining end in a working group, and nothing is lost', async (bench) => {
    await bench.createTopic(6);
    const world = new World();
    const network = new Network();
    const first = await bench.member({ network, world }).start();
    await until('an assignment', () => first.owned === 6);
    let cuts = 0;
    network.on(API.joinGroup, () => (cuts++ < 3 ? 'cut' : 'pass'));
    const second = await bench.member({ world }).start();
    await bench.fill(600, 6);
    await until('two share', () => first.owned === 3 && second.owned === 3, 60_000);
    expect(cuts).toBeGreaterThan(2);
    await bench.fill(600, 6);
    await until('all are started', () => world.distinct === 1_200, 40_000);
  });

  check('a client that gives up is replaced, and its partitions are reported lost first', async (bench) => {
    await bench.createTopic(2);
    const network = new Network();
    const member = await bench.member({ network }).start();
    await until('an assignment', () => member.owned === 2);
    // An answer that no client can read: kafkajs crashes and does not restart.
    network.on(API.heartbeat, () => 'cut');
    network.on(API.findCoordinator, () => 'cut');
    await until('the crash', () => member.statuses.some(({ state }) => state === 'crashed'), 60_000);
    expect(member.owned).toBe(0);
    const last = member.happened.at(-1);
    expect(last).toMatchObject({ kind: 'lost' });
    network.off(API.heartbeat);
    network.off(API.findCoordinator);
    await bench.fill(20, 2);
    await until('it works again', () => member.delivered === 20, 60_000);
  });

  check('a member that the broker cannot hear stops before its partitions are given away', async (bench) => {
    await bench.createTopic(4);
    await bench.fill(40, 4);
    const network = new Network();
    const world = new World();
    const first = await bench.member({ network, world }).start();
    await until('all records', () => first.delivered === 40);
    await until('all is committed', () => [...first.ledgers.values()].every(({ committed }) => committed === 10));
    const second = await bench.member({ world }).start();
    await until('two share', () => first.owned === 2 && second.owned === 2);
    network.goDark();
    await until('the first has given up', () => first.owned === 0, 40_000);
    await until('the second has all', () => second.owned === 4, 40_000);
    const lostAt = first.happened.findLast(({ kind }) => kind === 'lost')?.at ?? Number.POSITIVE_INFINITY;
    const takenAt = second.happened.findLast(({ kind }) => kind === 'assigned')?.at ?? 0;
    expect(lostAt).toBeLessThanOrEqual(takenAt);
    expect(first.happened.findLast(({ kind }) => kind === 'lost')).toMatchObject({ reason: 'session' });
    await expect(
      first.consumer.commit([{ topic: bench.topic, partition: 0, offset: 1, metadata: '' }]),
    ).rejects.toThrow(CommitFencedError);
    network.goLight();
    await until('both share again', () => first.owned === 2 && second.owned === 2, 60_000);
    await bench.fill(40, 4);
    await until('all are started', () => world.distinct === 80);
    expect(world.repeats).toBe(0);
  });

  check('an assignment that the worker refuses is tried again', async (bench) => {
    await bench.createTopic(1);
    await bench.fill(5, 1);
    const member = bench.member();
    const assigned = member.assigned.bind(member);
    let refusals = 0;
    member.assigned = async (assignment) => {
      if (refusals++ === 0) throw new Error('the table cannot be read');
      return assigned(assignment);
    };
    await member.start();
    await until('all records', () => member.delivered === 5);
    expect(member.statuses.some(({ detail }) => detail.includes('the table cannot be read'))).toBe(true);
  });

  check('a topic that is missing is named, looked for, and consumed when it is there', async (bench) => {
    await bench.createTopic(1, `${bench.topic}-there`);
    const member = await bench.member({ topics: [bench.topic, `${bench.topic}-there`] }).start();
    await until('it is named', () => member.consumer.status.detail.includes(bench.topic));
    expect(member.consumer.status).toMatchObject({ state: 'connecting' });
    expect(member.consumer.status.detail).not.toContain(`${bench.topic}-there`);
    expect(await bench.admin.partitionCounts([bench.topic])).toEqual(new Map());
    await bench.createTopic(2);
    await bench.fill(4, 2);
    await until('its records', () => member.delivered === 4, 40_000);
  });

  check('a committed offset that retention has removed is reported; the log’s start comes next', async (bench) => {
    await bench.createTopic(1);
    await bench.fill(50, 1);
    const first = await bench.member({ manual: true }).start();
    await until('all records', () => first.delivered === 50);
    await first.consumer.commit([{ topic: bench.topic, partition: 0, offset: 10, metadata: 'mine' }]);
    await first.stop();
    await removeBefore(bench, 30);
    const second = await bench.member({ manual: true }).start();
    await until('the rest', () => second.delivered === 20);
    expect(second.happened.filter(({ kind }) => kind === 'outOfRange')).toMatchObject([
      { committed: 10, logStart: 30 },
    ]);
    expect(second.batches[0]?.records[0]?.offset).toBe(30);
  });

  check('retention that passes a running consumer is reported, and it goes on at the log’s start', async (bench) => {
    await bench.createTopic(1);
    await bench.fill(10, 1);
    const member = await bench.member().start();
    await until('all records', () => member.delivered === 10);
    member.consumer.pause([{ topic: bench.topic, partition: 0 }]);
    await bench.fill(100, 1);
    await removeBefore(bench, 60);
    member.consumer.resume([{ topic: bench.topic, partition: 0 }]);
    await until('the rest', () => member.delivered === 60, 40_000);
    expect(member.happened.filter(({ kind }) => kind === 'outOfRange')).toMatchObject([
      { committed: 10, logStart: 60 },
    ]);
    await until(
      'it is committed',
      async () => (await bench.admin.committed(bench.group, [bench.topic]))[0]?.offset === 110,
    );
  });

  if (can.transactions) {
    check('aborted transactions and markers are covered: no phantom backlog', async (bench) => {
      await bench.createTopic(1);
      const producer = bench.raw().producer({ transactionalId: bench.name, maxInFlightRequests: 1, idempotent: true });
      await producer.connect();
      bench.atEnd(() => producer.disconnect());
      // A young broker is not its own transaction coordinator yet; that passes.
      const begin = async () => {
        let begun: Transaction | undefined;
        await until('the transaction coordinator is there', async () => {
          begun = await producer.transaction().catch((error: Error) => {
            if (error.name === 'KafkaJSNumberOfRetriesExceeded') return undefined;
            throw error;
          });
          return begun !== undefined;
        });
        return begun!;
      };
      const transact = async (value: string, end: 'commit' | 'abort') => {
        const transaction = await begin();
        await transaction.send({ topic: bench.topic, messages: [{ value }, { value }] });
        await transaction[end]();
      };
      await transact('kept', 'commit');
      await transact('gone', 'abort');
      const member = await bench.member().start();
      await until('all is covered', () => member.ledgers.get(`${bench.topic}/0`)?.base === 6);
      const values = member.batches.flatMap(({ records }) => records.map(({ raw: value }) => String(value)));
      expect(values).toEqual(['kept', 'kept']);
      await until(
        'it is committed',
        async () => (await bench.admin.committed(bench.group, [bench.topic]))[0]?.offset === 6,
      );
    });
  }

  check('stop is safe before start, during the first join, and twice', async (bench) => {
    await bench.createTopic(1);
    await bench.member().stop();
    const early = await bench.member().start();
    await early.stop();
    await early.stop();
    const member = await bench.member().start();
    await until('an assignment', () => member.owned === 1, bench.harness.sessionTimeoutMs + 10_000);
    await member.stop();
    await until('the group is empty', async () => (await bench.admin.describeGroup(bench.group)).members.length === 0);
    expect(member.consumer.status.state).toBe('stopped');
    expect(member.happened.at(-1)).toMatchObject({ kind: 'lost', reason: 'stopped' });
  });
}

/** Retention, on demand. */
async function removeBefore(bench: Bench, offset: number): Promise<void> {
  const admin = bench.raw().admin();
  await admin.connect();
  await admin.fetchTopicOffsets(bench.topic); // it asks for leaders, which nothing else has loaded
  await admin.deleteTopicRecords({ topic: bench.topic, partitions: [{ partition: 0, offset: String(offset) }] });
  await admin.disconnect();
}
