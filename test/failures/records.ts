/**
 * Rows about single records: what one of them can do to itself and to its neighbours. Of the replaced system's 45 poison
 * records none reached a dead-letter topic, one unreadable date kept a batch of 100 out of the table, files of
 * one name within an event overwrote each other, and the last rows appeared at the shutdown.
 */
import { createHash } from 'node:crypto';
import { isAttachment, isPoison } from '@weir/cli';
import { seededRandom } from '@weir/core';
import { expect, test } from 'vitest';
import { makePoison } from '../../packages/cli/src/source/events.ts';
import { filePath, NumberedFile } from '../support/pipeline/files.ts';
import type { Work, World } from './world.ts';

const ROW_MS = 120_000;
const NOTHING_WRONG = { ok: true, lost: 0, duplicates: 0, problems: [] };

export function recordRows(world: () => World): void {
  test(
    'files of one name within an event are stored side by side',
    async () => {
      const files = Array.from({ length: 20 }, (_, index) => new NumberedFile(index, 2_000 + index));
      const attachments = await Promise.all(
        files.map(async (file) => ({
          url: `${world().pipeline.files.url}${filePath({ number: file.number, bytes: file.bytes, waitMs: 0 }, 'report.pdf')}`,
          sha256: await file.sha256(),
          bytes: file.bytes,
        })),
      );
      await world().publish(world().event(attachments));
      await world().settled();
      expect(await world().verify()).toMatchObject(NOTHING_WRONG);
    },
    ROW_MS,
  );

  test(
    'a half-full batch is in the table within its wait, while everything runs',
    async () => {
      const rows = await world().pipeline.events.look();
      const since = performance.now();
      await world().publish(world().event([]));
      await world().settled();
      expect(world().pipeline.events.rows).toBe(rows + 1);
      // A second for the batch; the rest is what a busy machine takes.
      expect(performance.now() - since).toBeLessThan(6_000);
    },
    ROW_MS,
  );

  test(
    '45 of 45 poison records are dead letters with their bytes untouched, and hold up nobody',
    async () => {
      const good = await world().plan({ events: 90 });
      const random = seededRandom(45);
      const poison = Array.from({ length: 45 }, (_, index) => poisoned(makePoison(index, random, Date.now())));
      const records = good.records.flatMap((record, index) =>
        index % 2 === 0 ? [record, ...poison[index / 2]!.records] : [record],
      );
      const work = { records, ledger: [...good.ledger, ...poison.flatMap(({ ledger }) => ledger)] };
      const dead = (await world().pipeline.deadLetters()).length;
      await world().publish(work);
      await world().settled();

      const verdict = await world().verify();
      expect(verdict).toMatchObject(NOTHING_WRONG);
      const expected = work.ledger.filter(isPoison).length;
      expect({ expected, found: verdict.deadLetters.found - dead }).toEqual({ expected: 45, found: 45 });
    },
    ROW_MS,
  );

  test(
    'an event with an unreadable date keeps none of the other 99 of its batch out of the table',
    async () => {
      const events = Array.from({ length: 99 }, () => world().event([]));
      const bad = poisoned({
        reason: 'unreadable date',
        value: Buffer.from(
          JSON.stringify({ ...JSON.parse(String(events[0]!.records[0]!.value)), utcDateTime: '31.02.2026 later' }),
        ),
      });
      const rows = await world().pipeline.events.look();
      // One key, so one partition and one batch, with the bad one in its middle.
      const records = [...events.slice(0, 50), bad, ...events.slice(50)].flatMap((each) => each.records);
      await world().publish({
        records: records.map(({ value }) => ({ key: 'one-batch', value })),
        ledger: [...events, bad].flatMap(({ ledger }) => ledger),
      });
      await world().settled();
      expect((await world().pipeline.events.look()) - rows).toBe(99);
      expect(await world().verify()).toMatchObject(NOTHING_WRONG);
    },
    ROW_MS,
  );

  test(
    'with nothing wrong, nothing is missing',
    async () => {
      const work = await world().plan({ events: 200 });
      await world().publish(work);
      await world().settled();
      expect(work.ledger.filter(isAttachment).length).toBeGreaterThan(500);
      expect(await world().verify()).toMatchObject(NOTHING_WRONG);
    },
    ROW_MS,
  );
}

function poisoned({ reason, value }: { reason: string; value: Buffer }): Work {
  const sha256 = createHash('sha256').update(value).digest('hex');
  return {
    records: [{ key: null, value }],
    ledger: [{ event: null, url: null, sha256, bytes: value.length, fault: reason, expectedStatus: 'dead_letter' }],
  };
}
