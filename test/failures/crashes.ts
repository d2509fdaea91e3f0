/**
 * Rows about processes and brokers that go away in the middle of the work, for any broker. The replaced system lost 27 %
 * of the events to a killed ingester, and a killed download worker cost a minute and 15 rows too many.
 */
import { isAttachment } from '@weir/cli';
import { expect, test } from 'vitest';
import { until } from '../support/pipeline/pipeline.ts';
import { SESSION_MS, StallWatch, type World } from './world.ts';

const ROW_MS = 180_000;
const NOTHING_WRONG = { lost: 0, duplicates: 0, problems: [] };

export interface CrashOptions {
  /** Kills the broker and starts it again with its data; for brokers that have some on a disk. */
  readonly restartBroker?: () => Promise<void>;
}

export function crashRows(world: () => World, { restartBroker }: CrashOptions = {}): void {
  test(
    'an ingester killed at 40 % loses no event, writes none twice, and its successor goes on after one session',
    async () => {
      const { pipeline } = world();
      const work = await world().plan({ events: 400 });
      const before = await pipeline.events.look();
      const stall = new StallWatch(pipeline.events);
      const published = world().publish(work, 100);
      await until('40 % are in the table', 60_000, async () => (await pipeline.events.look()) - before >= 160);

      await world().kill(world().running('event-ingester'));
      const killedAt = performance.now();
      await pipeline.start('event-ingester');
      const successorMs = performance.now() - killedAt;
      await published;
      await world().settled();

      const stalledMs = await stall.stop();
      console.info(
        `ingester killed: ${seconds(stalledMs)} s without a row, successor ready after ${seconds(successorMs)} s`,
      );
      // What the session and the start of a process take is the setting's and the machine's; the rest is ours.
      expect(stalledMs).toBeLessThan(Math.max(successorMs, SESSION_MS) + 8_000);
      expect(await world().verify()).toMatchObject(NOTHING_WRONG);
    },
    ROW_MS,
  );

  test(
    'a download worker killed among 10 % slow files costs no file and no row too many',
    async () => {
      const { pipeline } = world();
      const victim = await pipeline.start('download-worker');
      const work = await world().plan({ events: 250, waitMs: (number) => (number % 10 === 0 ? 2_000 : 0) });
      const before = await pipeline.attachments.look();
      const count = work.ledger.filter(isAttachment).length;
      const { requests } = await pipeline.files.totals();
      const stall = new StallWatch(pipeline.attachments);
      await world().publish(work);
      await until(
        '40 % are in the table',
        60_000,
        async () => (await pipeline.attachments.look()) - before >= 0.4 * count,
      );

      await world().kill(victim);
      await world().settled();

      const stalledMs = await stall.stop();
      const again = (await pipeline.files.totals()).requests - requests - count;
      console.info(`download worker killed: ${seconds(stalledMs)} s without a row, ${again} of ${count} fetched again`);
      expect(stalledMs).toBeLessThan(SESSION_MS + 12_000);
      // In flight and finished since the last commit: fetched again, never written again.
      expect(again).toBeLessThan(count / 4);
      expect(await world().verify()).toMatchObject(NOTHING_WRONG);
    },
    ROW_MS,
  );

  test(
    'workers that come and go under slow downloads repeat none of them',
    async () => {
      const { pipeline } = world();
      const work = await world().plan({ events: 250, waitMs: (number) => (number % 10 === 0 ? 2_000 : 0) });
      const count = work.ledger.filter(isAttachment).length;
      const { requests } = await pipeline.files.totals();
      await world().publish(work, 60);
      const second = await pipeline.start('download-worker');
      expect(await world().terminate(second)).toBe(0);
      await world().settled();

      expect((await pipeline.files.totals()).requests - requests).toBe(count);
      expect(await world().verify()).toMatchObject(NOTHING_WRONG);
    },
    ROW_MS,
  );

  if (restartBroker)
    test(
      'a broker that is killed and comes back stops nobody for good, and nothing is lost or written twice',
      async () => {
        const { pipeline } = world();
        const before = await pipeline.attachments.look();
        const work = await world().plan({ events: 250, waitMs: (number) => (number % 10 === 0 ? 2_000 : 0) });
        await world().publish(work);
        await until('work is going on', 60_000, async () => (await pipeline.attachments.look()) > before);
        await restartBroker();
        await world().settled();

        for (const name of ['event-ingester', 'download-worker', 'result-processor', 'retry-scheduler', 'dlq-handler'])
          expect(await world().metric(world().running(name), 'process_start_time_seconds')).toBeGreaterThan(0);
        expect(await world().verify()).toMatchObject(NOTHING_WRONG);
      },
      ROW_MS,
    );
}

function seconds(ms: number): string {
  return (ms / 1000).toFixed(1);
}
