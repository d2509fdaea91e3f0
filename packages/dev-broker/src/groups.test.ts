/** Consumer groups under kafkajs: members of one process and of several, offsets, rebalances, lost members. */
import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { type Broker, startBroker } from './broker.ts';
import type { CommitEvent } from './events.ts';
import { Clients, signalled } from './kafkajs-client.fixture.ts';

let broker: Broker;
let clients: Clients;
const processes: ChildProcess[] = [];
beforeEach(async () => {
  broker = await startBroker();
  broker.createTopic('t', { partitions: 6 });
  clients = new Clients(broker);
});
afterEach(async () => {
  for (const child of processes.splice(0)) {
    if (child.exitCode !== null || child.signalCode !== null) continue;
    const closed = once(child, 'close');
    child.kill('SIGKILL');
    await closed;
  }
  await clients.close();
  await broker.stop();
});

const groupView = (id = 'g') => broker.inspect().groups.find((group) => group.id === id);
const stableWith = (members: number) =>
  expect
    .poll(() => [groupView()?.state, groupView()?.members.length], { timeout: 15_000, interval: 20 })
    .toEqual(['Stable', members]);

async function fill(count: number): Promise<void> {
  const producer = await clients.producer();
  await producer.send({
    topic: 't',
    messages: Array.from({ length: count }, (_, index) => ({ value: `v${index}`, partition: index % 6 })),
  });
}

describe('members of one process', () => {
  test('three members share six partitions, and every record reaches one of them once', async () => {
    await fill(600);
    const seen = new Map<string, number>();
    const all = signalled();
    for (let index = 0; index < 3; index++) {
      const consumer = await clients.consumer('g');
      await consumer.subscribe({ topic: 't', fromBeginning: true });
      await consumer.run({
        eachMessage: async ({ message }) => {
          const value = message.value!.toString();
          seen.set(value, (seen.get(value) ?? 0) + 1);
          if (seen.size === 600) all.fire();
        },
      });
    }
    await stableWith(3);
    await all.promise;
    expect(seen.size).toBe(600);
  });

  test('offsets with metadata: 4,096 characters are kept, 4,097 refused, the others of the request stored', async () => {
    await fill(60);
    const commits: CommitEvent[] = [];
    broker.events.on('offset:committed', (event) => commits.push(event));
    const consumer = await clients.consumer('g');
    await consumer.subscribe({ topic: 't', fromBeginning: true });
    const joined = signalled();
    consumer.on('consumer.group_join', () => joined.fire());
    await consumer.run({ autoCommit: false, eachMessage: async () => undefined });
    await joined.promise;
    const metadata = 'é'.repeat(4096);
    await consumer.commitOffsets([{ topic: 't', partition: 0, offset: '5', metadata }]);
    await expect(
      consumer.commitOffsets([
        { topic: 't', partition: 1, offset: '6', metadata: 'x'.repeat(4097) },
        { topic: 't', partition: 2, offset: '7', metadata: '' },
      ]),
    ).rejects.toThrow();
    const admin = await clients.admin();
    const [fetched] = await admin.fetchOffsets({ groupId: 'g', topics: ['t'] });
    const at = (partition: number) => fetched?.partitions.find((each) => each.partition === partition);
    expect(at(0)).toMatchObject({ offset: '5', metadata });
    expect(at(1)).toMatchObject({ offset: '-1' });
    expect(at(2)).toMatchObject({ offset: '7', metadata: null });
    expect(commits.filter(({ errorCode }) => errorCode === 0).map(({ partition }) => partition)).toContain(2);
    expect(commits.filter(({ errorCode }) => errorCode === 12).map(({ partition }) => partition)).toContain(1);
  });

  test('a consumer goes on where its group had committed', async () => {
    await fill(60);
    const read = async (groupId: string) => {
      const consumer = await clients.consumer(groupId);
      await consumer.subscribe({ topic: 't', fromBeginning: true });
      const values: string[] = [];
      const done = signalled();
      await consumer.run({
        eachMessage: async ({ message }) => {
          values.push(message.value!.toString());
          if (values.length === 60) done.fire();
        },
      });
      await done.promise;
      await consumer.disconnect();
      return values;
    };
    await read('g');
    expect(groupView()?.state).toBe('Empty');
    expect(groupView()?.offsets.map(({ offset }) => offset)).toEqual(Array.from({ length: 6 }, () => 10));
    const producer = await clients.producer();
    await producer.send({ topic: 't', messages: [{ value: 'last', partition: 3 }] });
    const consumer = await clients.consumer('g');
    await consumer.subscribe({ topic: 't', fromBeginning: true });
    const next = signalled<string>();
    await consumer.run({ eachMessage: async ({ message }) => next.fire(message.value!.toString()) });
    expect(await next.promise).toBe('last');
  });

  test('a group is deleted only when nobody is in it', async () => {
    const admin = await clients.admin();
    const consumer = await clients.consumer('g');
    await consumer.subscribe({ topic: 't' });
    await consumer.run({ eachMessage: async () => undefined });
    await stableWith(1);
    await expect(admin.deleteGroups(['g'])).rejects.toThrow();
    await consumer.disconnect();
    expect(await admin.deleteGroups(['g'])).toMatchObject([{ groupId: 'g' }]);
    expect(groupView()).toBeUndefined();
  });
});

interface Member {
  readonly child: ChildProcess;
  readonly lines: { assigned?: number; value?: string }[];
}

function startMember(): Member {
  const script = join(import.meta.dirname, 'member.fixture.ts');
  const child = spawn(
    process.execPath,
    ['--conditions=source', '--no-warnings', script, broker.brokers[0]!, 'g', 't'],
    {
      stdio: ['ignore', 'pipe', 'inherit'],
    },
  );
  processes.push(child);
  const lines: Member['lines'] = [];
  createInterface({ input: child.stdout! }).on('line', (line) => lines.push(JSON.parse(line)));
  return { child, lines };
}

const assignedTo = ({ lines }: Member) => lines.filter((line) => line.assigned !== undefined).at(-1)?.assigned;

describe('members in processes of their own', () => {
  test('two share, the one that leaves hands over, the one that is killed is expired', async () => {
    const first = startMember();
    const second = startMember();
    await stableWith(2);
    await expect.poll(() => [assignedTo(first), assignedTo(second)], { timeout: 15_000 }).toEqual([3, 3]);
    await fill(60);
    const values = () => [...first.lines, ...second.lines].filter(({ value }) => value !== undefined).length;
    await expect.poll(values, { timeout: 15_000 }).toBe(60);
    first.child.kill('SIGTERM');
    await stableWith(1);
    await expect.poll(() => assignedTo(second), { timeout: 15_000 }).toBe(6);
    const third = startMember();
    await stableWith(2);
    await expect.poll(() => assignedTo(third), { timeout: 15_000 }).toBe(3);
    second.child.kill('SIGKILL');
    // Nobody says goodbye: only the session timeout (4 s) ends it.
    await stableWith(1);
    await expect.poll(() => assignedTo(third), { timeout: 15_000 }).toBe(6);
    const total = groupView()!.offsets.reduce((sum, { offset }) => sum + offset, 0);
    expect(total).toBe(60);
  });
});
