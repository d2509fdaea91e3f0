import { type Logger, silentLogger } from '@weir/core';
import { ManualClock } from '@weir/core/testing';
import { describe, expect, test } from 'vitest';
import { CommitFailedError, CommitFencedError } from '../errors.ts';
import type { CommitEntry } from '../kafka/port.ts';
import { Committer } from './committer.ts';
import { Owned } from './owned.ts';

/** One partition with a record more done before each round, and a broker that fails when told to. */
function world() {
  const clock = new ManualClock();
  const owned = new Owned({ topic: 't', partition: 0 }, { start: 0, committed: 0, order: 'none' });
  const lines: { fields: Record<string, unknown>; message: string }[] = [];
  const note = (fields: object, message = '') => void lines.push({ fields: { ...fields }, message });
  const log: Logger = { ...silentLogger, warn: note, info: note };
  const sent: CommitEntry[] = [];
  const broker: { failure: Error | undefined } = { failure: undefined };
  const committer = new Committer({
    consumer: () => ({
      commit: async (entries) => {
        if (broker.failure) throw broker.failure;
        sent.push(...entries);
      },
    }),
    owned: () => [owned],
    metadata: () => '',
    metadataRefused: () => undefined,
    renewAfterMs: 30_000,
    ...{ clock, log, metrics: { committed: () => undefined } },
  });
  let offset = 0;
  const rounds = async (count: number) => {
    for (let round = 0; round < count; round++) {
      owned.ledger.finish(owned.ledger.take(offset++));
      await committer.commit();
      await clock.advance(1_000);
    }
  };
  return { broker, lines, rounds, sent, watermark: () => owned.ledger.watermark };
}

describe('commits that fail', () => {
  const gone = new CommitFailedError('This server does not host this topic-partition');

  test('are told once with the whole error and what to do, then in a line every 30 s, and their end once', async () => {
    const { broker, lines, rounds, sent, watermark } = world();
    broker.failure = gone;
    await rounds(70);
    broker.failure = undefined;
    await rounds(5);
    expect(lines).toEqual([
      { fields: { error: gone, partitions: 1 }, message: expect.stringContaining('`weir topics create`') },
      {
        fields: { partitions: 1, rounds: 31, seconds: 30 },
        message: expect.stringContaining('does not host this topic-partition'),
      },
      { fields: { partitions: 1, rounds: 61, seconds: 60 }, message: expect.any(String) },
      { fields: { rounds: 70, seconds: 70 }, message: 'commits get through again' },
    ]);
    expect(sent.at(-1)?.offset).toBe(watermark());
  });

  test('later on are told anew', async () => {
    const { broker, lines, rounds } = world();
    for (let time = 0; time < 2; time++) {
      broker.failure = gone;
      await rounds(2);
      broker.failure = undefined;
      await rounds(2);
    }
    expect(lines.map(({ fields }) => 'error' in fields)).toEqual([true, false, true, false]);
  });

  test('because a join is under way are no failures: nothing is told', async () => {
    const { broker, lines, rounds } = world();
    broker.failure = new CommitFencedError('a join is under way');
    await rounds(3);
    broker.failure = undefined;
    await rounds(3);
    expect(lines).toEqual([]);
  });
});
