/**
 * A worker's group on real Kafka, scaled 1 -> 2 -> 3 -> 6 -> 3 -> 1 under load, with handlers that take 0, 300 and 1500 ms
 * and with handlers that outlast the revoke wait. The figures are printed: docs/rebalances.md has them.
 */
import kafkajs, { type Cluster } from 'kafkajs';
import { afterAll, describe, expect, test } from 'vitest';
import { startKafka } from '../support/kafka.ts';
import { Crew, type CrewOptions, PARTITIONS, type Step } from './crew.ts';

const SIZES = [2, 3, 6, 3, 1];
/** How long the group is watched after it has settled. */
const WATCH_MS = 1_000;
const LONGEST_GAP_MS = 1_000;
const ROUNDS = 3;

const kafka = await startKafka();

if (!kafka) {
  describe.skip('scaling under load', () => {
    test('needs a Kafka', () => undefined);
  });
} else {
  afterAll(() => kafka.stop());

  describe('scaling 1 -> 2 -> 3 -> 6 -> 3 -> 1 under load', () => {
    test('with handlers that take no time the whole group pauses for less than a second, and nothing is repeated', {
      timeout: 120_000,
    }, async () => {
      // A machine that is busy with other tests stands still by itself now and then, for all its processes: a step that
      // took too long is tried again. What is repeated or lost counts in every round.
      const best = SIZES.map(() => Number.POSITIVE_INFINITY);
      for (let round = 0; round < ROUNDS && Math.max(...best) >= LONGEST_GAP_MS; round++) {
        const { crew, steps } = await scale({ handlerMs: 0, recordsPerSecond: 2_000 });
        await print('0 ms', steps);
        expect(crew.repeats).toBe(0);
        expect(await crew.metric('weir_redelivered_total')).toBe(0);
        expect(await crew.metric('weir_handed_over_total')).toBe(0);
        for (const [at, { gapMs }] of steps.entries()) best[at] = Math.min(best[at]!, gapMs);
      }
      for (const gapMs of best) expect(gapMs).toBeLessThan(LONGEST_GAP_MS);
    });

    test('with handlers of 300 and of 1500 ms nothing is repeated', { timeout: 120_000 }, async () => {
      const both = await Promise.all([
        scale({ handlerMs: 300, recordsPerSecond: 100 }),
        scale({ handlerMs: 1_500, recordsPerSecond: 25 }),
      ]);
      for (const [at, { crew, steps }] of both.entries()) {
        await print(`${[300, 1_500][at]} ms`, steps);
        expect(crew.repeats).toBe(0);
        expect(await crew.metric('weir_handed_over_total')).toBe(0);
      }
    });

    test('handlers that outlast the revoke wait are handed over, counted, and begun once more each', {
      timeout: 120_000,
    }, async () => {
      const { crew, steps } = await scale({
        handlerMs: 3_000,
        recordsPerSecond: 12,
        env: { WEIR_REVOKE_WAIT_MS: '500' },
      });
      await print('3000 ms, revoke wait 500 ms', steps);
      // What was cut off is begun once more, and so is what ended after the last commit that the join allowed.
      expect(crew.abandoned).toBeGreaterThan(0);
      expect(crew.repeats).toBeGreaterThanOrEqual(crew.abandoned);
      expect(await crew.metric('weir_handed_over_total')).toBe(crew.repeats);
    });
  });

  async function scale(options: Omit<CrewOptions, 'brokers' | 'name'>): Promise<{ crew: Crew; steps: Step[] }> {
    const name = `scale-${options.handlerMs}-${Date.now().toString(36)}`;
    const crew = new Crew({ brokers: kafka!.brokers, name, ...options });
    try {
      await crew.open();
      await crew.resize(1, WATCH_MS);
      const steps: Step[] = [];
      for (const size of SIZES) {
        const rebalancesBefore = await crew.metric('weir_rebalances_total');
        const movedBefore = await crew.metric('weir_rebalance_partitions_moved_total');
        const step = await crew.resize(size, WATCH_MS);
        steps.push(step);
        // Those that were there and stayed went through one rebalance or more (newcomers do not all join in the same
        // moment); what moved is counted once, by whoever lost it to a newcomer or got it from somebody who left.
        const stayed = Math.min(step.from, step.to);
        const rebalances = (await crew.metric('weir_rebalances_total')) - rebalancesBefore;
        expect(rebalances).toBeGreaterThanOrEqual(stayed);
        expect(rebalances).toBeLessThanOrEqual(Math.max(step.from, step.to) * Math.abs(step.to - step.from));
        const moved = (await crew.metric('weir_rebalance_partitions_moved_total')) - movedBefore;
        expect(moved).toBeGreaterThanOrEqual(step.moved);
      }
      await crew.close();
      const count = await crew.metric('weir_rebalance_seconds_count');
      expect(count).toBe(await crew.metric('weir_rebalances_total'));
      expect(crew.done.size).toBe(crew.sent);
      return { crew, steps };
    } catch (error) {
      await crew.quit().catch(() => undefined);
      throw error;
    }
  }
}

/** Partitions that change hands when kafkajs's round robin deals, on average: ids are random, and it deals by their order. */
async function movedByRoundRobin(from: number, to: number): Promise<number> {
  const cluster = {
    findTopicPartitionMetadata: () => Array.from({ length: PARTITIONS }, (_, partitionId) => ({ partitionId })),
  } as unknown as Cluster;
  const assigner = kafkajs.PartitionAssigners.roundRobin({ cluster, groupId: 'g', logger: undefined as never });
  const owners = async (ids: readonly string[]) => {
    const dealt = await assigner.assign({
      members: ids.map((memberId) => ({ memberId, memberMetadata: Buffer.alloc(0) })),
      topics: ['t'],
    });
    return new Map(
      dealt.flatMap(({ memberId, memberAssignment }) =>
        (kafkajs.AssignerProtocol.MemberAssignment.decode(memberAssignment)?.assignment.t ?? []).map(
          (partition) => [partition, memberId] as const,
        ),
      ),
    );
  };
  const rounds = 200;
  let moved = 0;
  for (let round = 0; round < rounds; round++) {
    const all = Array.from({ length: Math.max(from, to) }, () => Math.random().toString(36));
    const before = await owners(all.slice(0, from));
    const after = await owners(all.slice(0, to));
    moved += [...before].filter(([partition, id]) => after.get(partition) !== id).length;
  }
  return moved / rounds;
}

async function print(title: string, steps: readonly Step[]): Promise<void> {
  const rows = await Promise.all(
    steps.map(async ({ from, to, moved, gapMs, settledMs }) =>
      [
        title.padEnd(28),
        `${from} -> ${to}`.padEnd(8),
        `moved ${String(moved).padStart(2)} (round robin ${(await movedByRoundRobin(from, to)).toFixed(1).padStart(4)})`,
        `gap ${String(Math.round(gapMs)).padStart(5)} ms`,
        `settled after ${String(Math.round(settledMs)).padStart(5)} ms`,
      ].join('  '),
    ),
  );
  console.log(rows.join('\n'));
}
