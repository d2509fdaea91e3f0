/**
 * What Weir relies on, of a broker and of the adapter together. It runs on the dev broker and on Apache Kafka: what
 * passes on one and fails on the other is a bug in the dev broker or a promise that Kafka does not keep.
 *
 * Every test makes its own topic and group. Most wait for timeouts that only the broker can shorten, so they run side by
 * side.
 */
import kafkajs, { type Transaction } from 'kafkajs';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { CommitFailedError, CommitFencedError, ProduceFailedError } from '../../packages/sdk/src/errors.ts';
import { assignFresh } from '../../packages/sdk/src/kafka/assigner.ts';
import { partitionOf } from '../../packages/sdk/src/kafka/partitioner.ts';
import { run, works } from '../foreign-clients/command.ts';
import { skipWithout } from '../foreign-clients/requirement.ts';
import { API, Network } from './faulty-client.ts';
import { Bench, type Capabilities, type Harness } from './harness.ts';
import { until, World } from './member.ts';

const { CompressionTypes, CompressionCodecs } = kafkajs;

export function kafkaSuite(name: string, open: () => Promise<Harness>, can: Capabilities): void {
  describe.concurrent(name, () => {
    let harness: Harness;
    beforeAll(async () => {
      harness = await open();
    });
    afterAll(() => harness?.stop());

    /** A test with its own bench, closed at the end whatever happens. */
    const check = (fact: string, body: (bench: Bench) => Promise<void>) =>
      test(fact, { timeout: 90_000 }, async () => {
        const bench = new Bench(harness);
        try {
          await body(bench);
        } finally {
          await bench.close();
        }
      });

    const raw = () => new kafkajs.Kafka({ brokers: [...harness.brokers], logLevel: kafkajs.logLevel.NOTHING });

    // ---- records ----------------------------------------------------------------------------------------------------

    check('records of a key arrive in order, in the partition that every Kafka client would choose', async (bench) => {
      await bench.createTopic(6);
      await bench.produce(
        Array.from({ length: 3_000 }, (_, index) => ({
          topic: bench.topic,
          key: `key-${index % 50}`,
          value: Buffer.from(String(index)),
          headers: { 'weir-attempt': '1', bytes: Buffer.from([0, 255]) },
          timestamp: 1_700_000_000_000 + index,
        })),
      );
      const member = await bench.member().start();
      await until('all records', () => member.delivered === 3_000);
      const last = new Map<string, number>();
      for (const record of member.batches.flatMap(({ records }) => records)) {
        const key = String(record.rawKey);
        const index = Number(record.raw);
        expect(index).toBeGreaterThan(last.get(key) ?? -1);
        last.set(key, index);
        expect(record.partition).toBe(partitionOf(key, 6));
        expect(record.timestamp).toBe(1_700_000_000_000 + index);
        expect(record.rawHeaders).toEqual({ 'weir-attempt': Buffer.from('1'), bytes: Buffer.from([0, 255]) });
      }
      expect(last.size).toBe(50);
      expect(member.world.repeats).toBe(0);
    });

    check('tombstones, absent keys and empty values arrive as they were sent', async (bench) => {
      await bench.createTopic(1);
      await bench.produce([
        { topic: bench.topic, key: 'gone', value: null },
        { topic: bench.topic, key: null, value: Buffer.alloc(0) },
        { topic: bench.topic, key: Buffer.from([1, 2]), value: Buffer.from([3]) },
      ]);
      const member = await bench.member().start();
      await until('three records', () => member.delivered === 3);
      const records = member.batches.flatMap((batch) => batch.records);
      expect(records.map(({ raw }) => raw)).toEqual([null, Buffer.alloc(0), Buffer.from([3])]);
      expect(records.map(({ rawKey }) => rawKey)).toEqual([Buffer.from('gone'), null, Buffer.from([1, 2])]);
      expect(member.batches.at(-1)).toMatchObject({ lastOffset: 2, highWatermark: 3 });
    });

    check('batches in every codec are read; one that cannot be is reported and stepped over', async (bench) => {
      await bench.createTopic(1);
      breakLz4Poison();
      const producer = raw().producer();
      await producer.connect();
      bench.atEnd(() => producer.disconnect());
      const send = (name: 'GZIP' | 'Snappy' | 'LZ4' | 'ZSTD', count: number, value: string = name) =>
        producer.send({
          topic: bench.topic,
          compression: CompressionTypes[name],
          messages: Array.from({ length: count }, () => ({ value, partition: 0 })),
        });
      await send('GZIP', 2);
      await send('LZ4', 5, POISON);
      await send('ZSTD', 2);
      await send('Snappy', 2);
      await send('LZ4', 2);
      const member = await bench.member().start();
      await until('what can be read', () => member.delivered >= 8);
      const values = member.batches.flatMap(({ records }) => records.map(({ raw: value }) => String(value)));
      expect(values).toEqual(['GZIP', 'GZIP', 'ZSTD', 'ZSTD', 'Snappy', 'Snappy', 'LZ4', 'LZ4']);
      expect(member.happened.filter(({ kind }) => kind === 'unreadable')).toMatchObject([
        { firstOffset: 2, lastOffset: 6 },
      ]);
      await until('all is covered', () => [...member.ledgers.values()][0]?.base === 13);
    });

    for (const codec of KCAT_CODECS) {
      check(`batches that librdkafka compresses with ${codec} are read`, async (bench) => {
        await bench.createTopic(1);
        // Beyond 64 KiB, so that the formats show their second block.
        const lines = Array.from({ length: 2_000 }, (_, index) => `${codec} ${index} ${'abcdefgh'.repeat(index % 20)}`);
        const args = ['-P', '-b', harness.brokers.join(','), '-t', bench.topic, '-p', '0', '-z', codec];
        const { code, stderr } = await run('kcat', args, { input: `${lines.join('\n')}\n` });
        expect(code, stderr).toBe(0);
        const member = await bench.member().start();
        await until('all are read', () => member.delivered === lines.length);
        const values = member.batches.flatMap(({ records }) => records.map(({ raw: value }) => String(value)));
        expect(values).toEqual(lines);
        expect(member.happened.filter(({ kind }) => kind === 'unreadable')).toEqual([]);
      });
    }

    check('a record that is too large fails alone, its neighbours are written', async (bench) => {
      await bench.admin.createTopics([{ topic: bench.topic, partitions: 1, config: { 'max.message.bytes': '20000' } }]);
      const producer = bench.port.producer();
      bench.atEnd(() => producer.stop());
      await producer.start();
      const fates: (Error | null)[] = [];
      for (let index = 0; index < 9; index++) {
        const value = Buffer.alloc(index === 4 ? 30_000 : 100, 'x');
        await producer.send({ topic: bench.topic, key: null, value }, (error) => {
          fates[index] = error;
        });
      }
      await producer.flush();
      expect(fates.filter((fate) => fate !== null)).toHaveLength(1);
      expect(fates[4]).toBeInstanceOf(ProduceFailedError);
      expect(fates[4]).toMatchObject({ topic: bench.topic, tooLarge: true });
      expect((await bench.admin.offsets([bench.topic]))[0]?.end).toBe(8);
    });

    check('a lost answer to a produce request is asked for again and writes nothing twice', async (bench) => {
      await bench.createTopic(2);
      const network = new Network();
      const producer = bench.newPort(network).producer();
      bench.atEnd(() => producer.stop());
      await producer.start();
      let acknowledged = 0;
      const send = (count: number) => {
        for (let index = 0; index < count; index++) {
          void producer.send({ topic: bench.topic, key: null, value: Buffer.from('v') }, (error) => {
            if (!error) acknowledged++;
          });
        }
      };
      send(10);
      await producer.flush();
      let cuts = 0;
      network.on(API.produce, () => {
        if (cuts++ > 0) return 'pass';
        return 'cut-after';
      });
      send(500);
      await producer.flush();
      expect(cuts).toBeGreaterThan(1);
      expect(acknowledged).toBe(510);
      const offsets = await bench.admin.offsets([bench.topic]);
      expect(offsets.reduce((sum, { end }) => sum + end, 0)).toBe(510);
    });

    check('a record for a topic that is missing is kept until the topic is there', async (bench) => {
      const producer = bench.port.producer();
      bench.atEnd(() => producer.stop());
      await producer.start();
      await bench.createTopic(1, `${bench.topic}-other`);
      const fates: string[] = [];
      void producer.send({ topic: bench.topic, key: 'k', value: Buffer.from('v') }, (error) => {
        fates.push(error ? 'failed' : 'written');
      });
      void producer.send({ topic: `${bench.topic}-other`, key: 'k', value: Buffer.from('v') }, (error) => {
        fates.push(error ? 'other failed' : 'other written');
      });
      await until('the other topic is not held up', () => fates.includes('other written'));
      expect(fates).toEqual(['other written']);
      await bench.createTopic(1);
      await until('the record is written', () => fates.length === 2);
      expect(fates[1]).toBe('written');
    });

    check('a partition that does not exist fails the record instead of dropping it', async (bench) => {
      await bench.createTopic(2);
      await expect(
        bench.produce([{ topic: bench.topic, partition: 7, key: null, value: Buffer.from('v') }]),
      ).rejects.toThrow(/partition 7 .* does not exist/);
    });

    // ---- commits ----------------------------------------------------------------------------------------------------

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
      const consumer = raw().consumer({ groupId: bench.group, maxWaitTimeInMs: 100, retry: { retries: 0 } });
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

    // ---- flow -------------------------------------------------------------------------------------------------------

    check('a paused partition delivers nothing after the call, and goes on where it was', async (bench) => {
      await bench.createTopic(2);
      await bench.fill(20, 2);
      const member = await bench.member().start();
      await until('all records', () => member.delivered === 20);
      member.consumer.pause([{ topic: bench.topic, partition: 0 }]);
      await bench.fill(200, 2);
      await until('the other partition flows', () => member.ledgers.get(`${bench.topic}/1`)?.base === 110);
      expect(member.ledgers.get(`${bench.topic}/0`)?.next).toBe(10);
      member.consumer.resume([{ topic: bench.topic, partition: 0 }]);
      await until('the paused one flows again', () => member.ledgers.get(`${bench.topic}/0`)?.base === 110);
      expect(member.world.repeats).toBe(0);
      expect(member.world.distinct).toBe(220);
    });

    check('a seek delivers from the offset on, backwards and forwards', async (bench) => {
      await bench.createTopic(1);
      await bench.fill(100, 1);
      const member = await bench.member({ manual: true }).start();
      await until('all records', () => member.delivered === 100);
      const arrived = () => member.batches.flatMap(({ records }) => records.map(({ offset }) => offset));
      member.consumer.seek({ topic: bench.topic, partition: 0, offset: 40 });
      await until('the rest again', () => arrived().length === 160);
      expect(arrived().slice(100)).toEqual(Array.from({ length: 60 }, (_, index) => 40 + index));
      member.consumer.pause([{ topic: bench.topic, partition: 0 }]);
      await bench.fill(50, 1);
      member.consumer.seek({ topic: bench.topic, partition: 0, offset: 120 });
      member.consumer.resume([{ topic: bench.topic, partition: 0 }]);
      await until('the end', () => arrived().at(-1) === 149);
      expect(arrived().slice(160)).toEqual(Array.from({ length: 30 }, (_, index) => 120 + index));
    });

    check('a worker that says where to start is not asked twice and gets nothing from before', async (bench) => {
      await bench.createTopic(1);
      await bench.fill(100, 1);
      const member = bench.member({ manual: true });
      member.assigned = async ({ partitions }) => {
        const [{ logStart, logEnd, committed, retained }] = partitions as [(typeof partitions)[0]];
        expect({ logStart, logEnd, committed, retained }).toEqual({
          logStart: 0,
          logEnd: 100,
          committed: -1,
          retained: false,
        });
        member.ledgers.set(`${bench.topic}/0`, {
          topic: bench.topic,
          partition: 0,
          base: 70,
          next: 70,
          done: new Set(),
          committed: -1,
        });
        return [{ topic: bench.topic, partition: 0, offset: 70 }];
      };
      await member.start();
      await until('the end', () => member.ledgers.get(`${bench.topic}/0`)?.base === 100);
      expect(member.batches[0]?.records[0]?.offset).toBe(70);
      expect(member.delivered).toBe(30);
    });

    check('nothing is delivered before `assigned` resolves', async (bench) => {
      await bench.createTopic(2);
      await bench.fill(10, 2);
      const member = bench.member();
      const gate = Promise.withResolvers<void>();
      const assigned = member.assigned.bind(member);
      member.assigned = async (assignment) => {
        const positions = await assigned(assignment);
        await gate.promise;
        return positions;
      };
      await member.start();
      await until('the assignment', () => member.assignments.length === 1);
      // Half a dozen fetches would fit in here, and several heartbeats must.
      const seen = member.consumer.lastSeenMs;
      await until('heartbeats go on', () => member.consumer.lastSeenMs > seen + 600);
      expect(member.delivered).toBe(0);
      gate.resolve();
      await until('all records', () => member.delivered === 10);
    });

    // ---- joins ------------------------------------------------------------------------------------------------------

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

    // ---- fence ------------------------------------------------------------------------------------------------------

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
      const holdMs = harness.sessionTimeoutMs + 1_500;
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

    // ---- trouble ----------------------------------------------------------------------------------------------------

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
        const producer = raw().producer({ transactionalId: bench.name, maxInFlightRequests: 1, idempotent: true });
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
      await until('an assignment', () => member.owned === 1, harness.sessionTimeoutMs + 10_000);
      await member.stop();
      await until(
        'the group is empty',
        async () => (await bench.admin.describeGroup(bench.group)).members.length === 0,
      );
      expect(member.consumer.status.state).toBe('stopped');
      expect(member.happened.at(-1)).toMatchObject({ kind: 'lost', reason: 'stopped' });
    });

    // ---- admin ------------------------------------------------------------------------------------------------------

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
  });
}

const POISON = 'a batch that no decoder can read';
let lz4Broken = false;

/** Batches with the poison in them cannot be decompressed any more; the table is one per process, so it stays that way. */
function breakLz4Poison(): void {
  if (lz4Broken) return;
  lz4Broken = true;
  const table = CompressionCodecs as Record<number, () => { decompress(buffer: Buffer): Promise<Buffer> }>;
  const { decompress } = table[CompressionTypes.LZ4]!();
  const codec = {
    // Not compressed, so that the poison shows.
    compress: async ({ buffer }: { buffer: Buffer }) => lz4Stored(buffer),
    decompress: async (buffer: Buffer) => {
      if (buffer.includes(POISON)) throw new Error('no such codec');
      return decompress(buffer);
    },
  };
  table[CompressionTypes.LZ4] = () => codec;
}

/** librdkafka's command line. */
const withoutKcat = skipWithout('kcat', await works('kcat', ['-V']), 'install it (Debian: kcat)');
const KCAT_CODECS = withoutKcat ? [] : ['gzip', 'snappy', 'lz4', 'zstd'];

/** An LZ4 frame with stored blocks: valid, and written without a codec. */
function lz4Stored(data: Buffer): Buffer {
  const parts: Buffer[] = [Buffer.from('04224d18604082', 'hex')];
  for (let at = 0; at < data.length; at += 65_536) {
    const block = data.subarray(at, at + 65_536);
    const head = Buffer.alloc(4);
    head.writeUInt32LE((block.length | 0x80000000) >>> 0);
    parts.push(head, block);
  }
  parts.push(Buffer.alloc(4));
  return Buffer.concat(parts);
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
  const kafka = new kafkajs.Kafka({ brokers: [...bench.harness.brokers], logLevel: kafkajs.logLevel.NOTHING });
  kafka.consumer({
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

/** Retention, on demand. */
async function removeBefore(bench: Bench, offset: number): Promise<void> {
  const admin = new kafkajs.Kafka({ brokers: [...bench.harness.brokers], logLevel: kafkajs.logLevel.NOTHING }).admin();
  await admin.connect();
  await admin.fetchTopicOffsets(bench.topic); // it asks for leaders, which nothing else has loaded
  await admin.deleteTopicRecords({ topic: bench.topic, partitions: [{ partition: 0, offset: String(offset) }] });
  await admin.disconnect();
}
