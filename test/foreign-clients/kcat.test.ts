/** librdkafka's command line against the dev broker: another implementation's idea of the protocol. */
import { type Broker, startBroker } from '@weir/dev-broker';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { Running, run, works } from './command.ts';
import { skipWithout } from './requirement.ts';

const skip = skipWithout('kcat', await works('kcat', ['-V']), 'apt-get install kcat');

describe.skipIf(skip)('kcat', () => {
  let broker: Broker;
  const running: Running[] = [];
  beforeEach(async () => {
    broker = await startBroker({ nodes: 2 });
    broker.createTopic('t', { partitions: 4 });
  });
  afterEach(async () => {
    for (const each of running.splice(0)) await each.end('SIGKILL');
    await broker.stop();
  });
  const kcat = (args: readonly string[], input?: string) =>
    run('kcat', ['-b', broker.brokers.join(','), ...args], input === undefined ? {} : { input });
  const start = (args: readonly string[]) => {
    const each = new Running('kcat', ['-b', broker.brokers.join(','), ...args]);
    running.push(each);
    return each;
  };

  test('lists brokers, topics and partitions', async () => {
    const listed = await kcat(['-L', '-J']);
    const metadata = JSON.parse(listed.stdout) as {
      brokers: unknown[];
      topics: { partitions: { leader: number }[] }[];
    };
    expect(metadata.brokers).toHaveLength(2);
    expect(metadata.topics[0]?.partitions.map(({ leader }) => leader)).toEqual([1, 2, 1, 2]);
  });

  test.each(['none', 'gzip', 'snappy', 'lz4', 'zstd'])('what it produces with %s it consumes', async (codec) => {
    const lines = Array.from({ length: 200 }, (_, index) => `k${index}:value ${index}`);
    const produced = await kcat(['-P', '-t', 't', '-K', ':', '-z', codec, '-H', 'a=b'], lines.join('\n'));
    expect(produced).toMatchObject({ code: 0 });
    const consumed = await kcat(['-C', '-t', 't', '-e', '-f', '%k:%s %h\n']);
    expect(consumed.stdout.trim().split('\n').sort()).toEqual(lines.map((line) => `${line} a=b`).sort());
  });

  test('an idempotent producer and a timestamp query', async () => {
    const produced = await kcat(['-P', '-t', 't', '-p', '1', '-X', 'enable.idempotence=true'], 'one\ntwo\nthree');
    expect(produced).toMatchObject({ code: 0 });
    expect((await kcat(['-Q', '-t', 't:1:-1'])).stdout).toContain('t [1] offset 3');
    expect((await kcat(['-Q', '-t', 't:1:1000'])).stdout).toContain('t [1] offset 0');
  });

  test('two members of a balanced group share the partitions, and one gets all when the other leaves', async () => {
    const lines = Array.from({ length: 100 }, (_, index) => `k${index}:v${index}`);
    await kcat(['-P', '-t', 't', '-K', ':'], lines.join('\n'));
    const member = ['-u', '-f', '%p %s\n', '-X', 'auto.offset.reset=earliest', '-X', 'session.timeout.ms=6000'];
    const group = ['-X', 'heartbeat.interval.ms=300', '-G', 'g', 't'];
    const stable = (members: number) =>
      eventually(() => {
        const found = broker.inspect().groups.find(({ id }) => id === 'g');
        return found?.state === 'Stable' && found.members.length === members ? found : undefined;
      });
    const first = start([...member, ...group]);
    await first.until((seen) => (seen.length >= 100 ? seen : undefined), '100 records');
    const second = start([...member, ...group]);
    const shared = await stable(2);
    expect(shared.members.every(({ assignment }) => assignment.length > 0)).toBe(true);
    expect(shared.members.map(({ assignment }) => partitionsIn(assignment)).sort()).toEqual([2, 2]);
    await kcat(['-P', '-t', 't', '-K', ':'], lines.map((line) => `${line}b`).join('\n'));
    await second.until((seen) => (seen.length > 0 ? seen : undefined), 'records of the second member');
    await first.end('SIGTERM');
    const alone = await stable(1);
    expect(alone.members.map(({ assignment }) => partitionsIn(assignment))).toEqual([4]);
    expect(alone.offsets.map(({ offset }) => offset).reduce((sum, offset) => sum + offset, 0)).toBeGreaterThan(0);
  });
});

/** How many partitions of one topic an assignment in the consumer protocol names. */
function partitionsIn(assignment: Buffer): number {
  const topicLength = assignment.readInt16BE(6);
  return assignment.readInt32BE(8 + topicLength);
}

async function eventually<T>(find: () => T | undefined): Promise<T> {
  let found: T | undefined;
  await expect
    .poll(
      () => {
        found = find();
        return found !== undefined;
      },
      { timeout: 20_000, interval: 50 },
    )
    .toBe(true);
  return found as T;
}
