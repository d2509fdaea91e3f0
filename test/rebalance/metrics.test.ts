/** What workers say of rebalances, held against what happened: on the dev broker, where every rebalance is ours. */
import { startBroker } from '@weir/dev-broker';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { Crew, type CrewOptions, PARTITIONS } from './crew.ts';

const WATCH_MS = 500;

describe('metrics of rebalances', () => {
  let broker: Awaited<ReturnType<typeof startBroker>>;
  beforeAll(async () => {
    broker = await startBroker({ port: 0 });
  });
  afterAll(() => broker?.stop());

  const crewOf = (name: string, options: Omit<CrewOptions, 'brokers' | 'name'>) =>
    new Crew({ brokers: broker.brokers, name, ...options });

  const said = async (crew: Crew) => ({
    rebalances: await crew.metric('weir_rebalances_total'),
    timed: await crew.metric('weir_rebalance_seconds_count'),
    moved: await crew.metric('weir_rebalance_partitions_moved_total'),
    redelivered: await crew.metric('weir_redelivered_total'),
    handedOver: await crew.metric('weir_handed_over_total'),
    assigned: await crew.metric('weir_assigned_partitions'),
  });

  test('a first join is none; one that comes, and one that goes, are one each for the member that stays', {
    timeout: 60_000,
  }, async () => {
    const crew = crewOf('counted', { handlerMs: 0, recordsPerSecond: 500 });
    try {
      await crew.open();
      await crew.resize(1, WATCH_MS);
      const still = { rebalances: 0, timed: 0, moved: 0, redelivered: 0, handedOver: 0, assigned: PARTITIONS };
      expect(await said(crew)).toEqual(still);
      const { moved } = await crew.resize(2, WATCH_MS);
      expect(moved).toBe(PARTITIONS / 2);
      expect(await said(crew)).toEqual({ ...still, rebalances: 1, timed: 1, moved });
      const back = await crew.resize(1, WATCH_MS);
      // What the one that went had has another owner now.
      expect(back.moved).toBe(PARTITIONS / 2);
      expect(await said(crew)).toMatchObject({ rebalances: 2, timed: 2, moved: PARTITIONS, redelivered: 0 });
      const seconds = await crew.metric('weir_rebalance_seconds_sum');
      expect(seconds).toBeGreaterThan(0);
      expect(seconds * 1_000).toBeLessThan(10_000);
      await crew.close();
      expect(crew.repeats).toBe(0);
      expect(await crew.metric('weir_handed_over_total')).toBe(0);
    } finally {
      await crew.quit();
    }
  });

  test('handed over is what was begun and is begun again elsewhere', { timeout: 60_000 }, async () => {
    const crew = crewOf('cut-off', { handlerMs: 3_000, recordsPerSecond: 12, env: { WEIR_REVOKE_WAIT_MS: '300' } });
    try {
      await crew.open();
      await crew.resize(1, 2_000);
      await crew.resize(2, WATCH_MS);
      const { handedOver } = await said(crew);
      expect(handedOver).toBeGreaterThan(0);
      await crew.close();
      expect(crew.abandoned).toBeGreaterThan(0);
      expect(await crew.metric('weir_handed_over_total')).toBe(crew.repeats);
    } finally {
      await crew.quit();
    }
  });
});
