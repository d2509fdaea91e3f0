/**
 * Who gets which partition in a real group: what members say when they join, what the leader makes of it, and how
 * workers live with members that know nothing of our assigner. Like the conformance suite it runs on the dev broker and
 * on Apache Kafka.
 */
import { setTimeout as sleep } from 'node:timers/promises';
import kafkajs, { type Assigner, type ConsumerConfig } from 'kafkajs';
import { afterAll, beforeAll, describe, expect } from 'vitest';
import { ASSIGNER_NAME } from '../../packages/sdk/src/kafka/kafkajs-assigner.ts';
import { until } from '../support/until.ts';
import { type Bench, checkOn, type Harness } from './harness.ts';
import { type Member, World } from './member.ts';

const { AssignerProtocol, PartitionAssigners } = kafkajs;

export function assignerSuite(name: string, open: () => Promise<Harness>): void {
  describe.concurrent(`${name}: assigner`, () => {
    let harness: Harness;
    beforeAll(async () => {
      harness = await open();
    });
    afterAll(() => harness?.stop());

    const check = checkOn(() => harness);

    const raw = () =>
      new kafkajs.Kafka({
        brokers: [...harness.brokers],
        logLevel: kafkajs.logLevel.NOTHING,
        retry: { initialRetryTime: 50, retries: 20 },
      });

    const protocolOf = async (bench: Bench): Promise<string | undefined> => {
      const admin = raw().admin();
      await admin.connect();
      try {
        const [group] = (await admin.describeGroups([bench.group])).groups;
        return group?.state === 'Stable' ? group.protocol : undefined;
      } finally {
        await admin.disconnect();
      }
    };

    /** A consumer that has nothing of ours. What it begins is counted in the same world. */
    async function plainMember(bench: Bench, world: World, config: Partial<ConsumerConfig> = {}) {
      const consumer = raw().consumer({
        groupId: bench.group,
        sessionTimeout: harness.sessionTimeoutMs,
        heartbeatInterval: 200,
        maxWaitTimeInMs: 100,
        ...config,
      });
      bench.atEnd(() => consumer.disconnect());
      const member = { owned: 0, begun: 0, stop: () => consumer.disconnect() };
      consumer.on('consumer.group_join', ({ payload }) => {
        member.owned = Object.values(payload.memberAssignment).flat().length;
      });
      await consumer.connect();
      await consumer.subscribe({ topic: bench.topic, fromBeginning: true });
      await consumer.run({
        eachMessage: async ({ topic, partition, message }) => {
          const key = `${topic}/${partition}:${message.offset}`;
          world.started.set(key, (world.started.get(key) ?? 0) + 1);
          member.begun++;
        },
      });
      return member;
    }

    /** Twenty records a second and partition, until `stop`; it says how many there were. */
    async function load(bench: Bench, partitions: number) {
      const producer = bench.port.producer();
      bench.atEnd(() => producer.stop());
      await producer.start();
      let going = true;
      let sent = 0;
      const failures: Error[] = [];
      const sending = (async () => {
        while (going) {
          for (let partition = 0; partition < partitions; partition++, sent++) {
            const record = { topic: bench.topic, partition, key: null, value: Buffer.from('v') };
            await producer.send(record, (error) => error && failures.push(error));
          }
          await sleep(50);
        }
      })();
      return {
        stop: async () => {
          going = false;
          await sending;
          await producer.flush();
          expect(failures).toEqual([]);
          return sent;
        },
      };
    }

    const share = (members: readonly { owned: number }[], partitions: number) => () =>
      members.every(({ owned }) => owned > 0) && members.reduce((sum, { owned }) => sum + owned, 0) === partitions;

    check(
      'a group of plain round-robin consumers is taken over one by one: nothing lost, nothing twice',
      async (bench) => {
        await bench.createTopic(6);
        const world = new World();
        const feed = await load(bench, 6);
        const plain = [await plainMember(bench, world), await plainMember(bench, world)];
        await until('two plain consumers share', share(plain, 6));
        const ours: Member[] = [await bench.member({ world }).start()];
        await until('three share', share([...plain, ...ours], 6));
        await until('by round robin', async () => (await protocolOf(bench)) === 'RoundRobinAssigner');
        await plain[0]!.stop();
        ours.push(await bench.member({ world }).start());
        await until('one plain consumer and two of ours share', share([plain[1]!, ...ours], 6));
        await until('still by round robin', async () => (await protocolOf(bench)) === 'RoundRobinAssigner');
        await plain[1]!.stop();
        await until('ours share', share(ours, 6));
        await until('by our assigner', async () => (await protocolOf(bench)) === ASSIGNER_NAME);
        const kept = ours.map(({ ledgers }) => [...ledgers.keys()].sort());
        // And back: somebody rolls the last deployment back.
        const back = await plainMember(bench, world);
        await until('a plain consumer is let in again', share([back, ...ours], 6));
        await until('by round robin again', async () => (await protocolOf(bench)) === 'RoundRobinAssigner');
        await back.stop();
        await until('ours share again', share(ours, 6));
        const sent = await feed.stop();
        await until('all are begun', () => world.distinct === sent);
        expect(plain.every(({ begun }) => begun > 0)).toBe(true);
        expect(world.repeats).toBe(0);
        expect(kept.map((keys) => keys.length)).toEqual([3, 3]);
      },
    );

    check('what another client puts into its user data is passed over, and it gets its share', async (bench) => {
      await bench.createTopic(6);
      const world = new World();
      await bench.fill(60, 6);
      const first = await bench.member({ world }).start();
      await until('one has all', () => first.owned === 6);
      const strangers = [];
      for (const userData of [
        Buffer.alloc(0),
        Buffer.from('{"previous":{"t":[0,1,2]}}'),
        Buffer.from([...Buffer.from('WEIR'), 2, 0, 0, 0, 0, 1, 0, 1, 2, 3, 4, 5, 6]),
      ]) {
        strangers.push(
          await plainMember(bench, world, {
            partitionAssigners: [
              (config): Assigner => ({
                ...PartitionAssigners.roundRobin(config),
                name: ASSIGNER_NAME,
                protocol: ({ topics }) => ({
                  name: ASSIGNER_NAME,
                  metadata: AssignerProtocol.MemberMetadata.encode({ version: 0, topics, userData }),
                }),
              }),
            ],
          }),
        );
      }
      await until('four share', share([first, ...strangers], 6));
      expect(await protocolOf(bench)).toBe(ASSIGNER_NAME);
      await until('all are begun', () => world.distinct === 60);
    });

    check('one that joins gets what is due to it and the others keep the rest, whoever leads', async (bench) => {
      await bench.createTopic(12);
      const members = [await bench.member().start()];
      await until('one has all', () => members[0]!.owned === 12);
      for (const least of [6, 4, 3]) {
        const before = members.map(({ ledgers }) => new Set(ledgers.keys()));
        members.push(await bench.member().start());
        await until(`${members.length} share`, () => members.every(({ owned }) => owned === least));
        for (const [at, member] of members.slice(0, -1).entries())
          expect([...member.ledgers.keys()].filter((key) => !before[at]!.has(key))).toEqual([]);
      }
      // The first one to go led the group.
      const before = members.map(({ ledgers }) => new Set(ledgers.keys()));
      await members[0]!.stop();
      const left = members.slice(1);
      await until('three share', () => left.every(({ owned }) => owned === 4));
      for (const [at, member] of left.entries())
        for (const key of before[at + 1]!) expect(member.ledgers.has(key)).toBe(true);
    });

    check('one that is draining is given nothing, also when it leads', async (bench) => {
      await bench.createTopic(4);
      let leaving = false;
      const first = await bench.member({ leaving: () => leaving }).start();
      await until('one has all', () => first.owned === 4);
      leaving = true;
      const second = await bench.member().start();
      await until('the other one has all', () => second.owned === 4 && first.owned === 0);
      expect(first.assignments.at(-1)).toMatchObject({ partitions: [], leader: true });
    });

    check(
      'the leader joins again when told: a partition that has become hot gets a member to itself',
      async (bench) => {
        await bench.createTopic(6);
        let hot: string | undefined;
        const loadOf = ({ topic, partition }: { topic: string; partition: number }) =>
          `${topic}/${partition}` === hot ? 100 : 10;
        const members = [await bench.member({ loadOf }).start(), await bench.member({ loadOf }).start()];
        await until('two share', () => members.every(({ owned }) => owned === 3));
        await until('both know it', () =>
          members.every((member) => member.assignments.at(-1)?.partitions.length === 3),
        );
        hot = [...members[0]!.ledgers.keys()][0]!;
        const leader = members.find((member) => member.assignments.at(-1)?.leader)!;
        const follower = members.find((member) => member !== leader)!;
        expect(follower.consumer.rejoin()).toBe(false);
        await until('the leader may', () => leader.consumer.rejoin());
        await until('it is alone', () => members[0]!.owned === 1 && members[1]!.owned === 5);
        expect([...members[0]!.ledgers.keys()]).toEqual([hot]);
        // What is lost is told before what is assigned has been read back.
        const generationOf = (member: Member) => member.assignments.at(-1)!.generation;
        await until('both are in one generation', () => generationOf(leader) === generationOf(follower));
      },
    );

    check('members with different topics get what they read, though the leader reads less', async (bench) => {
      const other = `${bench.topic}-other`;
      await bench.createTopic(4);
      await bench.createTopic(4, other);
      const first = await bench.member().start();
      await until('one has its topic', () => first.owned === 4);
      const second = await bench.member({ topics: [bench.topic, other] }).start();
      await until('each has four', () => first.owned === 4 && second.owned === 4);
      expect([...second.ledgers.keys()].every((key) => key.startsWith(`${other}/`))).toBe(true);
    });

    check('a join that fails before it is sent is held like any other when it is tried again', async (bench) => {
      await bench.createTopic(4);
      await bench.fill(4_000, 4);
      const world = new World();
      let failures = 0;
      class Failing extends kafkajs.Kafka {
        override consumer(config?: ConsumerConfig) {
          const partitionAssigners = config?.partitionAssigners?.map((make): typeof make => (given) => {
            const inner = make(given);
            const protocol: Assigner['protocol'] = (subscription) => {
              const made = inner.protocol(subscription);
              if (failures > 0 && made.name === ASSIGNER_NAME) {
                failures--;
                throw new Error('the coordinator has hung up');
              }
              return made;
            };
            return { ...inner, protocol };
          });
          return super.consumer({ ...config!, ...(partitionAssigners ? { partitionAssigners } : {}) });
        }
      }
      const port = bench.newPort({ Kafka: Failing as never });
      const first = await bench.member({ port, world, handlerMs: 400 }).start();
      await until('one has all', () => first.owned === 4 && world.distinct > 0);
      failures = 2;
      const second = await bench.member({ world, handlerMs: 400 }).start();
      await until('two share', () => first.owned === 2 && second.owned === 2);
      expect(failures).toBe(0);
      expect(first.happened.map(({ kind }) => kind)).toContain('revoking');
      await until('all are begun', () => world.distinct === 4_000);
      expect(world.repeats).toBe(0);
    });
  });
}
