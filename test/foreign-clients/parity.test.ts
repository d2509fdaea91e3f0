/**
 * The dev broker and Apache Kafka are asked the same things, frame by frame, and must answer the same: codes, offsets,
 * generations, members. Clients hide differences behind retries; bare frames do not. Left out of the comparison is what
 * cannot be equal: made-up ids, addresses, times, the wording of messages.
 */

import { gzipSync } from 'node:zlib';
import { type ApiName, type Broker, type RequestOf, startBroker } from '@weir/dev-broker';
import { RawClient, recordBatch, sealed } from '@weir/dev-broker/testing';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { type RunningKafka, startKafka } from '../support/kafka.ts';

const kafka: RunningKafka | undefined = await startKafka({
  properties: { 'group.initial.rebalance.delay.ms': '0', 'group.min.session.timeout.ms': '1000' },
});
/** Bare frames go to one node, so it must be the one that leads and coordinates everything. */
const comparable = kafka !== undefined && kafka.brokers.length === 1;
let broker: Broker;
beforeAll(async () => {
  broker = await startBroker();
});
afterAll(async () => {
  await broker.stop();
  await kafka?.stop();
});

type Json = null | boolean | number | string | Json[] | { [key: string]: Json };
const NOT_COMPARED = new Set(['throttleTimeMs', 'topicId', 'errorMessage', 'recordErrors', 'abortedTransactions']);
const NOT_COMPARED_EITHER = new Set(['clientHost', 'host', 'port', 'nodeId', 'clusterId', 'controllerId', 'brokers']);

/** One side of the comparison: asks, and keeps what was answered in a form that can be compared. */
class Side {
  readonly answers: [label: string, answer: Json | 'hung up'][] = [];
  readonly #address: string;
  readonly #clients: RawClient[] = [];
  readonly #ids: string[] = [];
  readonly #suffix: string;

  constructor(address: string, suffix: string) {
    this.#address = address;
    this.#suffix = suffix;
  }

  /** A name that no other run uses. */
  name(base: string): string {
    return `${base}-${this.#suffix}`;
  }

  async client(): Promise<RawClient> {
    const client = await RawClient.connect(this.#address);
    this.#clients.push(client);
    return client;
  }

  /** Asks on the first connection, a new one where the broker hung up. */
  async ask<Name extends ApiName>(label: string, name: Name, version: number, request: Loose<RequestOf<Name>>) {
    let client = this.#clients[0];
    if (!client || client.closed) {
      client = await RawClient.connect(this.#address);
      this.#clients[0] = client;
    }
    const answer = await client.ask(name, version, request as never);
    this.answers.push([label, answer === undefined ? 'hung up' : this.#comparable(answer as unknown as Json)]);
    return answer;
  }

  /** Keeps an answer that was read elsewhere. */
  keep(label: string, answer: unknown): void {
    this.answers.push([label, this.#comparable(answer as Json)]);
  }

  close(): void {
    for (const client of this.#clients) client.close();
  }

  #comparable(value: Json | Buffer): Json {
    if (Buffer.isBuffer(value)) return `${value.length} bytes`;
    if (typeof value === 'string') return this.#known(value);
    if (Array.isArray(value)) return value.map((each) => this.#comparable(each));
    if (value === null || typeof value !== 'object') return value;
    const kept: { [key: string]: Json } = {};
    for (const [key, each] of Object.entries(value)) {
      if (NOT_COMPARED.has(key) || NOT_COMPARED_EITHER.has(key)) continue;
      // The time of a repeated batch, and the log's start beside an error: Kafka fills them in at whim.
      if (key === 'logAppendTimeMs' || (key === 'logStartOffset' && value.errorCode !== 0)) continue;
      const compared = this.#comparable(each);
      // Kafka lists members in the order of a hash map.
      kept[key] = key === 'members' && Array.isArray(compared) ? compared.sort(byText) : compared;
    }
    return kept;
  }

  /** Member ids become their order of appearance. */
  #known(text: string): string {
    const plain = text.replaceAll(`-${this.#suffix}`, '');
    if (!/-[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}$/.test(plain)) return plain;
    if (!this.#ids.includes(plain)) this.#ids.push(plain);
    return `member ${this.#ids.indexOf(plain)}`;
  }
}

function byText(a: Json, b: Json): number {
  return JSON.stringify(a) < JSON.stringify(b) ? -1 : 1;
}

/** Requests leave out what does not matter. */
type Loose<T> = T extends Buffer | string | number | boolean | null
  ? T
  : T extends readonly (infer E)[]
    ? readonly Loose<E>[]
    : { readonly [K in keyof T]?: Loose<T[K]> };

async function compare(scenario: (side: Side) => Promise<void>): Promise<void> {
  const suffix = `${process.pid}-${Math.floor(performance.timeOrigin + performance.now()).toString(36)}`;
  const ours = new Side(broker.brokers[0]!, suffix);
  const theirs = new Side(kafka!.brokers[0]!, suffix);
  try {
    await Promise.all([scenario(ours), scenario(theirs)]);
    expect(theirs.answers.length).toBeGreaterThan(0);
    expect(ours.answers).toEqual(theirs.answers);
  } finally {
    ours.close();
    theirs.close();
  }
}

/** Makes a topic and waits until it can be used. */
async function withTopic(side: Side, partitions = 2): Promise<string> {
  const topic = side.name('t');
  const client = await side.client();
  await client.ask('CreateTopics', 4, {
    topics: [{ name: topic, numPartitions: partitions, replicationFactor: 1 }],
    timeoutMs: 5000,
  });
  for (let round = 0; round < 100; round++) {
    // Metadata names a leader a little before that leader knows.
    const found = await client.ask('ListOffsets', 5, {
      replicaId: -1,
      topics: [
        { name: topic, partitions: Array.from({ length: partitions }, (_, partitionIndex) => ({ partitionIndex })) },
      ],
    });
    if (found?.topics[0]?.partitions.every(({ errorCode }) => errorCode === 0)) return topic;
    await new Promise((resolve) => setTimeout(resolve, 20));
  }
  throw new Error(`${topic} got no leaders`);
}

/** Waits until a group's coordinator answers; a fresh Kafka makes its offsets topic first. */
async function withGroup(side: Side, base = 'g'): Promise<string> {
  const groupId = side.name(base);
  const client = await side.client();
  for (let round = 0; round < 400; round++) {
    const found = await client.ask('FindCoordinator', 2, { key: groupId, keyType: 0 });
    const offsets = await client.ask('OffsetFetch', 5, { groupId, topics: [] });
    if (found?.errorCode === 0 && offsets?.errorCode === 0) return groupId;
    await new Promise((resolve) => setTimeout(resolve, 50));
  }
  throw new Error(`${groupId} got no coordinator`);
}

const NOW = Date.now();

describe.skipIf(!comparable)('the dev broker answers as Kafka', () => {
  test('to the making of topics', () =>
    compare(async (side) => {
      const topic = await withTopic(side);
      const create = (label: string, wanted: Loose<RequestOf<'CreateTopics'>['topics'][number]>, twice = false) =>
        side.ask(label, 'CreateTopics', 4, {
          topics: Array.from({ length: twice ? 2 : 1 }, () => ({
            name: side.name('n'),
            numPartitions: 1,
            replicationFactor: 1,
            ...wanted,
          })),
          timeoutMs: 5000,
        });
      const manual = (partitionIndex: number, ...brokerIds: number[]) => [{ partitionIndex, brokerIds }];
      await create('exists', { name: topic });
      await create('illegal', { name: 'a/b' });
      await create('empty', { name: '' });
      await create('dots', { name: '..' });
      await create('long', { name: 'x'.repeat(250) });
      await create('no partitions', { numPartitions: 0 });
      await create('too many replicas', { replicationFactor: 3 });
      await create('unknown setting', { configs: [{ name: 'nope', value: '1' }] });
      await create('bad setting', { configs: [{ name: 'max.message.bytes', value: '-3' }] });
      await create('twice', {}, true);
      await create('partition 1 alone', { numPartitions: -1, replicationFactor: -1, assignments: manual(1, 1) });
      await create('counts and assignment', { assignments: manual(0, 1) });
      await create('unknown node', { numPartitions: -1, replicationFactor: -1, assignments: manual(0, 9) });
      for (const [label, count] of [
        ['same', 2],
        ['fewer', 1],
      ] as const) {
        await side.ask(label, 'CreatePartitions', 1, {
          topics: [{ name: topic, count, assignments: null }],
          timeoutMs: 5000,
        });
      }
      await side.ask('grow unknown', 'CreatePartitions', 1, {
        topics: [{ name: 'no', count: 3, assignments: null }],
        timeoutMs: 5000,
      });
      await side.ask('unknown', 'Metadata', 8, { topics: [{ name: 'nope' }], allowAutoTopicCreation: false });
      await side.ask('illegal name', 'Metadata', 8, { topics: [{ name: 'a/b' }], allowAutoTopicCreation: false });
      await side.ask('gone', 'DeleteTopics', 4, { topicNames: [topic], timeoutMs: 5000 });
      await side.ask('unknown', 'DeleteTopics', 4, { topicNames: ['nope'], timeoutMs: 5000 });
    }));

  test('to batches, sound and broken', () =>
    compare(async (side) => {
      const topic = await withTopic(side);
      const produce = (label: string, records: Buffer, more: { acks?: number; topic?: string; index?: number } = {}) =>
        side.ask(label, 'Produce', 8, {
          acks: more.acks ?? 1,
          timeoutMs: 5000,
          topics: [{ name: more.topic ?? topic, partitions: [{ index: more.index ?? 0, records }] }],
        });
      const batch = (change: (batch: Buffer) => void = () => undefined) => {
        const made = recordBatch({ timestamps: [NOW] });
        change(made);
        return made;
      };
      const byte = (at: number, value: number) =>
        batch((made) => {
          made[at] = value;
        });
      await produce('sound', batch());
      await produce('checksum', byte(61, 0x7f));
      await produce('cut short', batch().subarray(0, 65));
      await produce('two', Buffer.concat([batch(), batch()]));
      await produce('empty', Buffer.alloc(0));
      await produce('format 1', byte(16, 1));
      await produce('format 7', byte(16, 7));
      await produce('count', sealed(byte(60, 9)));
      await produce('old time', recordBatch({ timestamps: [-5] }));
      await produce('large', recordBatch({ values: ['x'.repeat(1_100_000)], timestamps: [NOW] }));
      await produce('unknown topic', batch(), { topic: 'nope' });
      await produce('unknown partition', batch(), { index: 9 });
      await produce('acks 7', batch(), { acks: 7 });
    }));

  test('to an idempotent producer', () =>
    compare(async (side) => {
      const topic = await withTopic(side);
      const produce = (label: string, producerEpoch: number, baseSequence: number, count = 1, producerId = 77) =>
        side.ask(label, 'Produce', 8, {
          acks: -1,
          timeoutMs: 5000,
          topics: [
            {
              name: topic,
              partitions: [
                {
                  index: 0,
                  records: recordBatch({
                    values: Array.from({ length: count }, () => 'v'),
                    timestamps: Array.from({ length: count }, () => NOW),
                    producerId,
                    producerEpoch,
                    baseSequence,
                  }),
                },
              ],
            },
          ],
        });
      await produce('first', 0, 0);
      await produce('second', 0, 1, 2);
      await produce('repeat', 0, 1, 2);
      await produce('part of a repeat', 0, 1);
      await produce('gap', 0, 9);
      for (let sequence = 3; sequence < 9; sequence++) await produce(`${sequence}`, 0, sequence);
      await produce('repeat of what is too long ago', 0, 1, 2);
      await produce('repeat of the fifth last', 0, 4);
      await produce('new epoch, not from 0', 1, 5);
      await produce('new epoch', 1, 0);
      await produce('old epoch', 0, 9);
      await produce('unknown producer, anywhere', 0, 40, 1, 78);
    }));

  test('to fetches and questions about offsets', () =>
    compare(async (side) => {
      const topic = await withTopic(side);
      const batches = [
        recordBatch({ values: ['a', 'b'], timestamps: [NOW, NOW + 5] }),
        recordBatch({ values: ['c'], timestamps: [NOW + 10] }),
        recordBatch({
          values: ['d', 'e'],
          timestamps: [NOW + 30, NOW + 20],
          attributes: 1,
          pack: (records) => gzipSync(records),
        }),
      ];
      for (const [index, records] of batches.entries()) {
        const partitions = [{ index: 0, records }];
        await side.ask(`batch ${index}`, 'Produce', 7, { acks: 1, topics: [{ name: topic, partitions }] });
      }
      const fetch = (label: string, wanted: object = {}, more: object = {}) =>
        side.ask(label, 'Fetch', 11, {
          replicaId: -1,
          maxWaitMs: 50,
          minBytes: 1,
          maxBytes: 1_000_000,
          topics: [{ topic, partitions: [{ partition: 0, logStartOffset: -1, partitionMaxBytes: 1e6, ...wanted }] }],
          ...more,
        });
      await fetch('from 0');
      await fetch('from 1', { fetchOffset: 1 });
      await fetch('from the end', { fetchOffset: 5 });
      await fetch('from beyond', { fetchOffset: 6 });
      await fetch('from -1', { fetchOffset: -1 });
      await fetch('unknown partition', { partition: 7 });
      await fetch('one byte', { partitionMaxBytes: 1 });
      await fetch('no bytes', {}, { maxBytes: 0 });
      await fetch('epoch 0', { currentLeaderEpoch: 0 });
      await fetch('epoch 5', { currentLeaderEpoch: 5 });
      await fetch('a session that is not', {}, { sessionId: 5, sessionEpoch: 1 });
      const offsets = (label: string, timestamp: number, partitionIndex = 0) =>
        side.ask(label, 'ListOffsets', 7, {
          replicaId: -1,
          topics: [{ name: topic, partitions: [{ partitionIndex, timestamp }] }],
        });
      await offsets('latest', -1);
      await offsets('earliest', -2);
      await offsets('newest', -3);
      await offsets('senseless', -9);
      await offsets('in a batch', NOW + 3);
      await offsets('in a gzip batch', NOW + 25);
      await offsets('in the future', NOW + 99);
      await offsets('unknown partition', -1, 8);
      await side.ask('epochs', 'OffsetForLeaderEpoch', 3, {
        replicaId: -1,
        topics: [
          { topic, partitions: [{ partition: 0, leaderEpoch: 0 }, { partition: 0, leaderEpoch: 9 }, { partition: 5 }] },
        ],
      });
      const remove = (label: string, partitionIndex: number, offset: number) =>
        side.ask(label, 'DeleteRecords', 1, {
          timeoutMs: 5000,
          topics: [{ name: topic, partitions: [{ partitionIndex, offset }] }],
        });
      await remove('in the middle of a batch', 0, 1);
      await remove('beyond the end', 0, 99);
      await remove('unknown partition', 9, 1);
      await fetch('below the start', { fetchOffset: 0 });
      await fetch('at the start', { fetchOffset: 1 });
      await offsets('earliest after', -2);
      await offsets('any time after', 0);
    }));

  test('to commits and questions about them', () =>
    compare(async (side) => {
      const topic = await withTopic(side);
      const groupId = await withGroup(side);
      const commit = (label: string, entry: object = {}, more: object = {}) =>
        side.ask(label, 'OffsetCommit', 7, {
          groupId,
          topics: [
            { name: topic, partitions: [{ partitionIndex: 0, committedOffset: 3, committedMetadata: 'm', ...entry }] },
          ],
          ...more,
        });
      const committed = (label: string, topics: RequestOf<'OffsetFetch'>['topics']) =>
        side.ask(label, 'OffsetFetch', 5, { groupId, topics });
      const asked = [{ name: topic, partitionIndexes: [0, 1] }];
      await committed('none yet', asked);
      await committed('none of all', null);
      await commit('a generation of a group that is not', {}, { generationId: 0, memberId: 'x' });
      await commit('without a generation');
      await commit('null metadata', { partitionIndex: 1, committedMetadata: null });
      await committed('both', asked);
      await commit('4,096 characters', { committedMetadata: 'é'.repeat(4096) });
      await commit('4,097 characters', { committedMetadata: 'x'.repeat(4097) });
      await commit('-2', { partitionIndex: 1, committedOffset: -2 });
      await commit('unknown partition', { partitionIndex: 9 });
      await commit('a member of an empty group', {}, { generationId: 1, memberId: 'x' });
      await committed('all', null);
      await committed('a topic that is not', [{ name: 'zz', partitionIndexes: [3] }]);
      await side.ask('delete', 'DeleteGroups', 1, { groupsNames: [groupId] });
      await side.ask('delete again', 'DeleteGroups', 1, { groupsNames: [groupId] });
      await committed('after', asked);
    }));

  test('to members of a group', () =>
    compare(async (side) => {
      const topic = await withTopic(side);
      const groupId = await withGroup(side);
      const request = (more: object = {}) => ({
        groupId,
        sessionTimeoutMs: 10_000,
        rebalanceTimeoutMs: 1500,
        protocolType: 'consumer',
        protocols: [{ name: 'range', metadata: Buffer.alloc(10) }],
        ...more,
      });
      const join = (label: string, version: number, more: object = {}) =>
        side.ask(label, 'JoinGroup', version, request(more));
      const beat = (label: string, memberId: string, generationId: number, group = groupId) =>
        side.ask(label, 'Heartbeat', 3, { groupId: group, memberId, generationId });
      const commit = (label: string, generationId: number, memberId: string) =>
        side.ask(label, 'OffsetCommit', 7, {
          groupId,
          generationId,
          memberId,
          topics: [{ name: topic, partitions: [{ partitionIndex: 0, committedOffset: 1, committedMetadata: '' }] }],
        });
      const describeGroup = (label: string) => side.ask(label, 'DescribeGroups', 4, { groups: [groupId] });

      await beat('unknown group', 'x', 1);
      await beat('no group', 'x', 1, '');
      await join('session too short', 3, { sessionTimeoutMs: 10 });
      await join('no protocols', 3, { protocols: [] });
      await join('no protocol type', 3, { protocolType: '' });
      await join('no group', 3, { groupId: '' });
      await join('unknown member', 3, { memberId: 'zzz' });
      const needed = await join('id required', 5);
      const memberId = needed!.memberId;
      await join('with the id', 5, { memberId });
      await beat('before sync', memberId, 1);
      await commit('before sync', 1, memberId);
      const sync = (label: string, version: number, more: object = {}) =>
        side.ask(label, 'SyncGroup', version, {
          groupId,
          generationId: 1,
          memberId,
          assignments: [{ memberId, assignment: Buffer.from('abc') }],
          ...more,
        });
      await sync('other generation', 3, { generationId: 9 });
      await sync('other member', 3, { memberId: 'q' });
      await sync('other protocol', 5, { protocolType: 'consumer', protocolName: 'nope' });
      await sync('sync', 3);
      await sync('again', 5, { protocolType: 'consumer', protocolName: 'range' });
      for (const generation of [0, 1, 2]) await beat(`generation ${generation}`, memberId, generation);
      for (const generation of [-1, 0, 1, 2]) await commit(`generation ${generation}`, generation, memberId);
      await commit('from outside', -1, '');
      await join('other protocol', 3, { protocols: [{ name: 'own', metadata: Buffer.alloc(0) }] });
      await join('other type', 3, { protocolType: 'connect' });
      await describeGroup('stable');
      await side.ask('delete with members', 'DeleteGroups', 1, { groupsNames: [groupId] });

      const second = await side.client();
      const joining = second.ask('JoinGroup', 3, request());
      let heard = 0;
      const probe = await side.client();
      while (heard !== 27) heard = (await probe.ask('Heartbeat', 3, { groupId, memberId, generationId: 1 }))!.errorCode;
      await commit('while a rebalance is prepared', 1, memberId);
      await sync('while a rebalance is prepared', 3);
      await describeGroup('preparing');
      await join('the leader again', 5, { memberId });
      const joined = (await joining)!;
      side.keep('the second', joined);
      await commit('old generation', 1, memberId);
      await sync('second generation', 3, { generationId: 2 });
      await join('a follower again', 3, { memberId: joined.memberId });
      await side.ask('leave', 'LeaveGroup', 3, {
        groupId,
        members: [{ memberId: joined.memberId }, { memberId: 'bogus' }],
      });
      await beat('after a leave', memberId, 2);
      await commit('after a leave', 2, memberId);
      await new Promise((resolve) => setTimeout(resolve, 2500));
      await beat('after the rebalance timeout', memberId, 2);
      await describeGroup('empty');
      await commit('into the empty group', 3, memberId);
      await side.ask('leave unknown', 'LeaveGroup', 0, { groupId, memberId: 'q' });
      await side.ask('leave nowhere', 'LeaveGroup', 3, { groupId: side.name('u'), members: [{ memberId: 'q' }] });
      await side.ask('describe nobody', 'DescribeGroups', 4, { groups: [side.name('nobody')] });
    }));

  test('to static members', () =>
    compare(async (side) => {
      const groupId = await withGroup(side);
      const groupInstanceId = 'one';
      const join = (label: string, version: number) =>
        side.ask(label, 'JoinGroup', version, {
          groupId,
          groupInstanceId,
          sessionTimeoutMs: 10_000,
          rebalanceTimeoutMs: 3000,
          protocolType: 'consumer',
          protocols: [{ name: 'range', metadata: Buffer.alloc(10) }],
        });
      const first = (await join('first', 5))!.memberId;
      await side.ask('sync', 'SyncGroup', 3, {
        groupId,
        generationId: 1,
        memberId: first,
        groupInstanceId,
        assignments: [{ memberId: first, assignment: Buffer.from('abc') }],
      });
      await join('back', 9);
      const third = (await join('back with an older client', 5))!.memberId;
      const beat = (label: string, memberId: string, instance: string) =>
        side.ask(label, 'Heartbeat', 3, { groupId, memberId, generationId: 1, groupInstanceId: instance });
      await beat('fenced', first, groupInstanceId);
      await beat('unknown instance', third, 'two');
      await beat('current', third, groupInstanceId);
      await side.ask('leave', 'LeaveGroup', 3, {
        groupId,
        members: [{ groupInstanceId }, { groupInstanceId: 'none' }],
      });
    }));

  test('to settings', () =>
    compare(async (side) => {
      const topic = await withTopic(side);
      const read = (label: string, resourceName: string) =>
        side.ask(label, 'DescribeConfigs', 1, {
          resources: [{ resourceType: 2, resourceName, configurationKeys: ['max.message.bytes', 'nope'] }],
        });
      await read('default', topic);
      await read('unknown topic', 'nope');
      const replace = (label: string, resourceName: string, name: string, value: string) =>
        side.ask(label, 'AlterConfigs', 1, {
          resources: [{ resourceType: 2, resourceName, configs: [{ name, value }] }],
        });
      await replace('set', topic, 'max.message.bytes', '5000');
      await replace('unknown topic', 'nope', 'max.message.bytes', '5000');
      await replace('unknown name', topic, 'nope', '1');
      await replace('bad value', topic, 'max.message.bytes', 'x');
      const change = (label: string, name: string, configOperation: number, value: string | null) =>
        side.ask(label, 'IncrementalAlterConfigs', 0, {
          resources: [{ resourceType: 2, resourceName: topic, configs: [{ name, configOperation, value }] }],
        });
      await change('append', 'cleanup.policy', 2, 'compact');
      await change('append to a number', 'max.message.bytes', 2, '7');
      await change('remove', 'max.message.bytes', 1, null);
      await change('unknown', 'nope', 0, '7');
    }));
});
