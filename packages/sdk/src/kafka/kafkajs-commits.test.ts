import { silentLogger, systemRandom } from '@weir/core';
import { ManualClock, settle } from '@weir/core/testing';
import kafkajs, { type Cluster } from 'kafkajs';
import { describe, expect, test } from 'vitest';
import { CommitFailedError, CommitFencedError } from '../errors.ts';
import { Commits } from './kafkajs-commits.ts';
import type { CommitEntry } from './port.ts';

const SESSION_TIMEOUT_MS = 6_000;

interface Sent {
  readonly groupGenerationId: number;
  readonly memberId: string;
  readonly topics: { topic: string; partitions: { partition: number; offset: string; metadata: string }[] }[];
}

/** A coordinator that answers when told, and a fence that the test opens and shuts. */
function setUp() {
  const clock = new ManualClock();
  const sent: Sent[] = [];
  const world = {
    clock,
    sent,
    isOpen: true,
    generation: 3,
    lookups: 0,
    seen: [] as number[],
    lookup: async () => undefined as unknown,
    answer: async (_request: Sent) => undefined as unknown,
  };
  const coordinator = {
    isConnected: () => true,
    offsetCommit: (request: Sent) => {
      sent.push(request);
      return world.answer(request);
    },
    heartbeat: async () => {
      throw Object.assign(new Error('rebalancing'), { type: 'REBALANCE_IN_PROGRESS' });
    },
  };
  const cluster = {
    findGroupCoordinator: async () => {
      world.lookups++;
      await world.lookup();
      return coordinator;
    },
  };
  const commits = new Commits({
    context: {
      clock,
      log: silentLogger,
      random: systemRandom,
      Kafka: kafkajs.Kafka,
      settings: {
        brokers: ['b:1'],
        clientId: 'c',
        ssl: false,
        sasl: undefined,
        sessionTimeoutMs: SESSION_TIMEOUT_MS,
        heartbeatIntervalMs: 500,
        rebalanceTimeoutMs: 60_000,
        fetchMinBytes: 1,
        fetchMaxWaitMs: 250,
      },
    },
    group: 'g',
    cluster: () => cluster as unknown as Cluster,
    identity: () => ({ generation: world.generation, memberId: 'me' }),
    checkFence: () => {
      if (!world.isOpen) throw new CommitFencedError('shut');
    },
    seen: (atMs) => world.seen.push(atMs),
  });
  return { world, commits };
}

const entry = (partition: number, offset: number, metadata = 'm'): CommitEntry => ({
  topic: 't',
  partition,
  offset,
  metadata,
});

describe('Commits', () => {
  test('a commit goes out once, with generation and member id, and counts as a sign of life when it was sent', async () => {
    const { world, commits } = setUp();
    await commits.commit([entry(0, 5), entry(1, 6)]);
    expect(world.sent).toHaveLength(1);
    expect(world.sent[0]).toMatchObject({
      groupGenerationId: 3,
      memberId: 'me',
      topics: [
        {
          topic: 't',
          partitions: [
            { partition: 0, offset: '5', metadata: 'm' },
            { partition: 1, offset: '6', metadata: 'm' },
          ],
        },
      ],
    });
    expect(world.seen).toEqual([world.clock.monotonic()]);
  });

  test('a fence that shuts while the coordinator is looked up stops the commit', async () => {
    const { world, commits } = setUp();
    const gate = Promise.withResolvers<void>();
    world.lookup = () => gate.promise;
    const committing = commits.commit([entry(0, 5)]);
    await settle();
    world.isOpen = false;
    gate.resolve();
    await expect(committing).rejects.toThrow(CommitFencedError);
    expect(world.sent).toEqual([]);
  });

  test('a shut fence is told in the same tick: not even a lookup', async () => {
    const { world, commits } = setUp();
    world.isOpen = false;
    await expect(commits.commit([entry(0, 5)])).rejects.toThrow(CommitFencedError);
    expect(world.lookups).toBe(0);
  });

  test('commits go out in the order of their calls', async () => {
    const { world, commits } = setUp();
    const gate = Promise.withResolvers<void>();
    world.lookup = () => gate.promise;
    const both = [commits.commit([entry(0, 1)]), commits.commit([entry(0, 2)])];
    await settle();
    gate.resolve();
    await Promise.all(both);
    expect(world.sent.map(({ topics }) => topics[0]?.partitions[0]?.offset)).toEqual(['1', '2']);
  });

  test('512 KB of metadata are the most of one request', async () => {
    const { world, commits } = setUp();
    await commits.commit(Array.from({ length: 300 }, (_, partition) => entry(partition, 1, 'x'.repeat(4_096))));
    expect(world.sent.length).toBeGreaterThan(2);
    const sizes = world.sent.map(({ topics }) =>
      topics.reduce(
        (sum, { partitions }) => sum + partitions.reduce((bytes, { metadata }) => bytes + metadata.length, 0),
        0,
      ),
    );
    expect(Math.max(...sizes)).toBeLessThanOrEqual(512 * 1024);
    expect(sizes.reduce((sum, size) => sum + size, 0)).toBe(300 * 4_096);
  });

  test.each([
    'ILLEGAL_GENERATION',
    'UNKNOWN_MEMBER_ID',
    'REBALANCE_IN_PROGRESS',
  ])('%s is the broker’s fence, and is not repeated', async (type) => {
    const { world, commits } = setUp();
    world.answer = async () => {
      throw Object.assign(new Error('no'), { type });
    };
    await expect(commits.commit([entry(0, 5)])).rejects.toThrow(CommitFencedError);
    expect(world.sent).toHaveLength(1);
    expect(world.seen).toEqual([]);
  });

  test('metadata that the broker finds too large is told apart: less of it may get through', async () => {
    const { world, commits } = setUp();
    world.answer = async () => {
      throw Object.assign(new Error('no'), { type: 'OFFSET_METADATA_TOO_LARGE' });
    };
    await expect(commits.commit([entry(0, 5)])).rejects.toMatchObject({ metadataTooLarge: true });
    world.answer = async () => {
      throw Object.assign(new Error('no'), { type: 'COORDINATOR_LOAD_IN_PROGRESS' });
    };
    await expect(commits.commit([entry(0, 5)])).rejects.toMatchObject({ metadataTooLarge: false });
  });

  test('an answer that does not come fails the commit within the session timeout, and frees the next one', async () => {
    const { world, commits } = setUp();
    world.answer = () => new Promise(() => undefined);
    const committing = commits.commit([entry(0, 5)]).catch((error: unknown) => error);
    await world.clock.advance(SESSION_TIMEOUT_MS);
    expect(await committing).toBeInstanceOf(CommitFailedError);
    world.answer = async () => undefined;
    await commits.commit([entry(0, 6)]);
    expect(world.lookups).toBe(2);
    expect(world.clock.pending).toBe(0);
  });

  test('what was sent is ours until the broker confirms something newer; what was found is ours too', async () => {
    const { world, commits } = setUp();
    commits.found('t/0', 4, 'before');
    expect(commits.isOurs('t/0', 4, 'before')).toBe(true);
    world.answer = async () => {
      throw new Error('connection reset');
    };
    await expect(commits.commit([entry(0, 5, 'lost')])).rejects.toThrow(CommitFailedError);
    // It may have arrived or not.
    expect(commits.isOurs('t/0', 4, 'before')).toBe(true);
    expect(commits.isOurs('t/0', 5, 'lost')).toBe(true);
    world.answer = async () => undefined;
    await commits.commit([entry(0, 6, 'new')]);
    expect(commits.isOurs('t/0', 5, 'lost')).toBe(false);
    expect(commits.isOurs('t/0', 6, 'new')).toBe(true);
    expect(commits.isOurs('t/0', 6, 'other')).toBe(false);
    commits.forget('t/0');
    expect(commits.isOurs('t/0', 6, 'new')).toBe(false);
  });

  test.each([
    ['metadata of 4,097 characters', entry(0, 5, 'x'.repeat(4_097))],
    ['a negative offset', entry(0, -2)],
    ['half an offset', entry(0, 1.5)],
  ])('%s is refused before anything is sent', async (_what, wrong) => {
    const { world, commits } = setUp();
    await expect(commits.commit([entry(1, 1), wrong])).rejects.toThrow(CommitFailedError);
    expect(world.sent).toEqual([]);
  });

  test('a heartbeat that is answered with "rebalancing" is a sign of life', async () => {
    const { world, commits } = setUp();
    await commits.beat();
    expect(world.seen).toHaveLength(1);
  });
});
