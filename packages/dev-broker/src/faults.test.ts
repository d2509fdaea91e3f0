/** Every fault, seen through a client, and what several nodes add to it. */
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { type Broker, startBroker } from './broker.ts';
import { Clients, signalled } from './kafkajs-client.fixture.ts';
import { RawClient, recordBatch } from './testing/raw-client.ts';
import { CODES } from './wire/codes.ts';

let broker: Broker;
let clients: Clients;
const raws: RawClient[] = [];
beforeEach(async () => {
  broker = await startBroker({ nodes: 3 });
  broker.createTopic('t', { partitions: 6, replicationFactor: 2 });
  clients = new Clients(broker);
});
afterEach(async () => {
  for (const raw of raws.splice(0)) raw.close();
  await clients.close();
  await broker.stop();
});

async function raw(node = 1): Promise<RawClient> {
  const client = await RawClient.connect(broker.brokers[node - 1]!);
  raws.push(client);
  return client;
}

const groupView = () => broker.inspect().groups.find((group) => group.id === 'g');
const endOffsets = () => broker.inspect().topics[0]!.partitions.map(({ endOffset }) => endOffset);

/** A running member that counts what it gets. */
async function member() {
  const consumer = await clients.consumer('g');
  await consumer.subscribe({ topic: 't', fromBeginning: true });
  const values: string[] = [];
  const generations: string[] = [];
  const joins: number[] = [];
  consumer.on('consumer.group_join', ({ payload }) => joins.push((payload.memberAssignment.t ?? []).length));
  await consumer.run({
    eachMessage: async ({ message }) => void values.push(message.value!.toString()),
  });
  await expect.poll(() => joins.length, { timeout: 15_000 }).toBeGreaterThan(0);
  return { consumer, values, generations, joins };
}

describe('several nodes', () => {
  test('leaders are spread, and the wrong node refuses', async () => {
    expect(broker.inspect().topics[0]?.partitions.map(({ leader }) => leader)).toEqual([1, 2, 3, 1, 2, 3]);
    const client = await raw(1);
    const fetched = await client.ask('Fetch', 4, {
      topics: [{ topic: 't', partitions: [{ partition: 1, partitionMaxBytes: 10 }] }],
    });
    expect(fetched?.topics[0]?.partitions[0]?.errorCode).toBe(CODES.NOT_LEADER_OR_FOLLOWER);
    const produced = await client.ask('Produce', 3, {
      acks: 1,
      topics: [{ name: 't', partitions: [{ index: 2, records: recordBatch() }] }],
    });
    expect(produced?.topics[0]?.partitions[0]?.errorCode).toBe(CODES.NOT_LEADER_OR_FOLLOWER);
    const coordinator = (await client.ask('FindCoordinator', 0, { key: 'g' }))!.nodeId;
    const other = await raw((coordinator % 3) + 1);
    const beat = await other.ask('Heartbeat', 0, { groupId: 'g', generationId: 1, memberId: 'm' });
    expect(beat?.errorCode).toBe(CODES.NOT_COORDINATOR);
  });

  test('kafkajs produces and consumes over all of them', async () => {
    const producer = await clients.producer({ idempotent: true });
    const messages = Array.from({ length: 60 }, (_, index) => ({ value: `v${index}`, partition: index % 6 }));
    await producer.send({ topic: 't', messages });
    const { values } = await member();
    await expect.poll(() => new Set(values).size, { timeout: 15_000 }).toBe(60);
  });

  test('a node that stops hands its partitions over and takes them back; a client rides it out', async () => {
    const producer = await clients.producer({ retry: { initialRetryTime: 50, retries: 20 } });
    const { values } = await member();
    // One partition at a time: when a leader moves in the middle of a send, kafkajs 2.2.4 forgets the records that now
    // belong to a node which has answered already, and resolves all the same.
    const send = async (from: number) => {
      for (let index = 0; index < 12; index++) {
        await producer.send({ topic: 't', messages: [{ value: `v${from + index}`, partition: index % 6 }] });
      }
    };
    await send(0);
    await broker.faults.stopNode(2);
    expect(broker.inspect().topics[0]?.partitions[1]).toMatchObject({ leader: 3, leaderEpoch: 1 });
    await send(100);
    await broker.faults.startNode(2);
    expect(broker.inspect().topics[0]?.partitions[1]).toMatchObject({ leader: 2, leaderEpoch: 2 });
    await send(200);
    await expect.poll(() => new Set(values).size, { timeout: 20_000 }).toBe(36);
  });

  test('the coordinator of a group moves with its node, and back; its members go on', async () => {
    const { consumer } = await member();
    const home = groupView()!.coordinator;
    const commits = () =>
      expect
        .poll(() => consumer.commitOffsets([{ topic: 't', partition: 0, offset: '0' }]).catch(() => 'refused'), {
          timeout: 15_000,
        })
        .toBeUndefined();
    await broker.faults.stopNode(home);
    expect(groupView()!.coordinator).toBe((home % 3) + 1);
    await commits();
    await broker.faults.startNode(home);
    expect(groupView()!.coordinator).toBe(home);
    await commits();
  });

  test('a partition whose only replica is down has no leader; with its state lost it comes back empty', async () => {
    broker.createTopic('single', { partitions: 1, replicationFactor: 1 });
    const leader = broker.inspect().topics[1]!.partitions[0]!.leader;
    const client = await raw(leader);
    await client.ask('Produce', 3, {
      acks: 1,
      topics: [{ name: 'single', partitions: [{ index: 0, records: recordBatch() }] }],
    });
    await broker.faults.stopNode(leader);
    await client.untilClosed();
    const other = await raw((leader % 3) + 1);
    const answer = await other.ask('Metadata', 1, { topics: [{ name: 'single' }] });
    expect(answer?.topics[0]?.partitions[0]).toMatchObject({ errorCode: CODES.LEADER_NOT_AVAILABLE, leaderId: -1 });
    expect(answer?.brokers).toHaveLength(2);
    await broker.faults.startNode(leader, { state: 'lose' });
    expect(broker.inspect().topics[1]?.partitions[0]).toMatchObject({ leader, endOffset: 0 });
  });

  test('a leader is moved', async () => {
    broker.faults.moveLeader('t', 0, 3);
    expect(broker.inspect().topics[0]?.partitions[0]).toMatchObject({ leader: 3, leaderEpoch: 1 });
    const client = await raw(1);
    const answer = await client.ask('Fetch', 9, {
      topics: [{ topic: 't', partitions: [{ partition: 0, currentLeaderEpoch: 0, partitionMaxBytes: 10 }] }],
    });
    expect(answer?.topics[0]?.partitions[0]?.errorCode).toBe(CODES.NOT_LEADER_OR_FOLLOWER);
  });
});

describe('faults', () => {
  test('dropped connections: the client comes back', async () => {
    const admin = await clients.admin();
    await admin.listTopics();
    expect(broker.faults.dropConnections(({ clientId }) => clientId === 'test')).toBeGreaterThan(0);
    expect(broker.faults.dropConnections(({ clientId }) => clientId === 'nobody')).toBe(0);
    await expect.poll(() => admin.listTopics().catch(() => undefined), { timeout: 10_000 }).toEqual(['t']);
  });

  test('a lost produce answer: an idempotent producer repeats it, and it is stored once', async () => {
    const producer = await clients.producer({ idempotent: true });
    await producer.send({ topic: 't', messages: [{ value: 'first', partition: 0 }] });
    const repeats: boolean[] = [];
    broker.events.on('records:appended', ({ repeated }) => repeats.push(repeated));
    broker.faults.loseProduceAnswers(1);
    await producer.send({ topic: 't', messages: [{ value: 'second', partition: 0 }] });
    expect(repeats).toEqual([false, true]);
    expect(endOffsets()[0]).toBe(2);
  });

  test('refused commits: as many as were asked for, then none', async () => {
    const { consumer } = await member();
    broker.faults.refuseCommits(2, CODES.COORDINATOR_LOAD_IN_PROGRESS);
    let asked = 0;
    broker.control('OffsetCommit', () => {
      asked++;
      return undefined;
    });
    await consumer.commitOffsets([{ topic: 't', partition: 0, offset: '1' }]);
    expect(asked).toBe(1);
    expect(groupView()?.offsets.find(({ partition }) => partition === 0)?.offset).toBe(1);
  });

  test('a forced rebalance: everyone joins again', async () => {
    const { joins } = await member();
    const before = groupView()!.generation;
    await expect.poll(() => groupView()?.state, { timeout: 10_000 }).toBe('Stable');
    expect(broker.faults.forceRebalance('g')).toBe(true);
    await expect.poll(() => groupView()?.generation, { timeout: 10_000 }).toBe(before + 1);
    await expect.poll(() => joins.length, { timeout: 10_000 }).toBe(2);
    expect(broker.faults.forceRebalance('unknown')).toBe(false);
  });

  test('an expired member: it is told, and joins as a new one', async () => {
    await member();
    await expect.poll(() => groupView()?.state, { timeout: 10_000 }).toBe('Stable');
    const before = groupView()!.members[0]!.id;
    expect(broker.faults.expireMember('g')).toBe(1);
    await expect.poll(() => groupView()?.members.length, { timeout: 10_000 }).toBe(1);
    expect(groupView()!.members[0]!.id).not.toBe(before);
  });

  test('a moved coordinator: who asks the old one is told, members find the new one and commit there', async () => {
    const { consumer } = await member();
    await expect.poll(() => groupView()?.state, { timeout: 10_000 }).toBe('Stable');
    const { coordinator } = groupView()!;
    const next = (coordinator % 3) + 1;
    broker.faults.moveCoordinator('g', next);
    const old = await raw(coordinator);
    const beat = await old.ask('Heartbeat', 0, { groupId: 'g', generationId: 1, memberId: 'm' });
    expect(beat?.errorCode).toBe(CODES.NOT_COORDINATOR);
    await expect
      .poll(() => consumer.commitOffsets([{ topic: 't', partition: 0, offset: '0' }]).catch(() => 'refused'), {
        timeout: 10_000,
      })
      .toBeUndefined();
    expect(groupView()).toMatchObject({ coordinator: next, offsets: [{ partition: 0, offset: 0 }] });
  });

  test('a delayed fetch', async () => {
    const client = await raw(1);
    const request = { topics: [{ topic: 't', partitions: [{ partition: 0, partitionMaxBytes: 10 }] }] };
    broker.faults.delayFetches(400, 1);
    const took = async () => {
      const start = performance.now();
      await client.ask('Fetch', 4, request);
      return performance.now() - start;
    };
    expect(await took()).toBeGreaterThan(390);
    expect(await took()).toBeLessThan(390);
  });

  test('served again: a fetch brings what lies below the offset it asked for, and a consumer drops it', async () => {
    const producer = await clients.producer();
    for (const value of ['a', 'b', 'c']) await producer.send({ topic: 't', messages: [{ value, partition: 0 }] });
    const client = await raw(1);
    const fetched = async () => {
      const answer = await client.ask('Fetch', 4, {
        topics: [{ topic: 't', partitions: [{ partition: 0, fetchOffset: 2, partitionMaxBytes: 10_000 }] }],
      });
      return Buffer.concat(answer!.topics[0]!.partitions[0]!.records).readBigInt64BE(0);
    };
    const stop = broker.faults.serveAgain(1);
    expect(await fetched()).toBe(1n);
    stop();
    expect(await fetched()).toBe(2n);
    const { values } = await member();
    await expect.poll(() => values.length, { timeout: 15_000 }).toBe(3);
    broker.faults.serveAgain(2);
    await producer.send({ topic: 't', messages: [{ value: 'd', partition: 0 }] });
    await expect.poll(() => values.length, { timeout: 15_000 }).toBe(4);
    expect(values).toEqual(['a', 'b', 'c', 'd']);
  });

  test('a late answer: the work is done at once', async () => {
    const client = await raw(1);
    broker.control('Produce', () => ({ lateMs: 400 }), { times: 1 });
    const start = performance.now();
    const answered = client.ask('Produce', 3, {
      acks: 1,
      topics: [{ name: 't', partitions: [{ index: 0, records: recordBatch() }] }],
    });
    await expect.poll(() => endOffsets()[0], { timeout: 390, interval: 10 }).toBe(1);
    await answered;
    expect(performance.now() - start).toBeGreaterThan(390);
  });

  test('a hook sees the decoded request and may answer in the broker’s place', async () => {
    const client = await raw(1);
    broker.control('Heartbeat', ({ memberId }, { clientId }) =>
      memberId === 'bad' && clientId === 'raw' ? { errorCode: CODES.ILLEGAL_GENERATION } : undefined,
    );
    broker.control('ListGroups', () => ({ respond: { groups: [{ groupId: 'made up' }] } }), { times: 1 });
    const coordinated = broker.inspect();
    expect(coordinated.nodes).toHaveLength(3);
    const beat = (memberId: string) => client.ask('Heartbeat', 0, { groupId: 'x', generationId: 1, memberId });
    expect((await beat('bad'))?.errorCode).toBe(CODES.ILLEGAL_GENERATION);
    expect((await beat('good'))?.errorCode).not.toBe(CODES.ILLEGAL_GENERATION);
    expect((await client.ask('ListGroups', 0, {}))?.groups[0]?.groupId).toBe('made up');
    expect((await client.ask('ListGroups', 0, {}))?.groups).toEqual([]);
    broker.control('ApiVersions', () => 'drop', { times: 1 });
    expect(await client.ask('ApiVersions', 0, {})).toBeUndefined();
  });

  test.each([
    ['Produce', 8, { acks: 1, topics: [{ name: 't', partitions: [{ index: 0 }] }] }],
    ['Fetch', 11, { topics: [{ topic: 't', partitions: [{ partition: 0 }] }] }],
    ['ListOffsets', 5, { topics: [{ name: 't', partitions: [{ partitionIndex: 0 }] }] }],
    ['Metadata', 5, { topics: [{ name: 't' }] }],
    ['OffsetCommit', 7, { groupId: 'g', topics: [{ name: 't', partitions: [{ partitionIndex: 0 }] }] }],
    ['OffsetFetch', 8, { groups: [{ groupId: 'g', topics: [] }] }],
    ['FindCoordinator', 4, { coordinatorKeys: ['g'] }],
    ['JoinGroup', 5, { groupId: 'g' }],
    ['SyncGroup', 3, { groupId: 'g' }],
    ['LeaveGroup', 3, { groupId: 'g' }],
    ['DescribeGroups', 4, { groups: ['g'] }],
    ['CreateTopics', 4, { topics: [{ name: 'n' }] }],
    ['DeleteTopics', 3, { topicNames: ['t'] }],
    ['DeleteRecords', 1, { topics: [{ name: 't', partitions: [{ partitionIndex: 0 }] }] }],
    ['InitProducerId', 1, {}],
    ['OffsetForLeaderEpoch', 3, { topics: [{ topic: 't', partitions: [{ partition: 0 }] }] }],
    ['DescribeConfigs', 3, { resources: [{ resourceType: 2, resourceName: 't' }] }],
    ['AlterConfigs', 1, { resources: [{ resourceType: 2, resourceName: 't' }] }],
    ['IncrementalAlterConfigs', 0, { resources: [{ resourceType: 2, resourceName: 't' }] }],
    ['CreatePartitions', 1, { topics: [{ name: 't', count: 9 }] }],
    ['DeleteGroups', 1, { groupsNames: ['g'] }],
  ] as const)('%s is refused with any code, wherever its clients look', async (name, version, request) => {
    const client = await raw(1);
    broker.control(name, () => ({ errorCode: 41 }));
    const answer = await client.ask(name, version, request as never);
    expect(JSON.stringify(answer)).toContain('"errorCode":41');
  });

  test('clear takes all hooks away', async () => {
    broker.control('ApiVersions', () => 'drop');
    broker.faults.clear();
    expect(await (await raw()).ask('ApiVersions', 0, {})).toBeDefined();
  });
});

test('one node restarted without its state has forgotten records and groups', async () => {
  const single = await startBroker();
  single.createTopic('t');
  const others = new Clients(single);
  const producer = await others.producer();
  await producer.send({ topic: 't', messages: [{ value: 'a' }] });
  const admin = await others.admin();
  await admin.setOffsets({ groupId: 'g', topic: 't', partitions: [{ partition: 0, offset: '1' }] });
  const port = single.brokers[0];
  await single.faults.stopNode(1);
  await single.faults.startNode(1);
  expect(single.brokers[0]).toBe(port);
  expect(single.inspect().topics[0]?.partitions[0]?.endOffset).toBe(1);
  expect(single.inspect().groups).toHaveLength(1);
  await single.faults.stopNode(1);
  await single.faults.startNode(1, { state: 'lose' });
  expect(single.inspect().topics[0]?.partitions[0]?.endOffset).toBe(0);
  expect(single.inspect().groups).toEqual([]);
  const again = signalled();
  single.events.once('records:appended', () => again.fire());
  await producer.send({ topic: 't', messages: [{ value: 'b' }] });
  await again.promise;
  await others.close();
  await single.stop();
});
