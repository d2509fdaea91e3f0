/**
 * An S3 server that goes away under the whole pipeline and comes back: the download worker's only, and everybody's, tables
 * included. In CI it is away for 6 s with a cool-down of 3; by hand for a minute with the cool-down that is the default:
 *
 *   WEIR_OUTAGE_MS=60000 npx vitest run test/failures/store-away.test.ts
 */
import { setTimeout as wait } from 'node:timers/promises';
import { isAttachment } from '@weir/cli';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { type CuttableServer, cuttable } from '../support/cut.ts';
import { until } from '../support/pipeline/pipeline.ts';
import { startS3 } from '../support/s3.ts';
import { openWorld, type World } from './world.ts';

const OUTAGE_MS = Number(process.env.WEIR_OUTAGE_MS ?? 6_000);
/** The default is 30 s. */
const COOL_DOWN_MS = Math.min(30_000, OUTAGE_MS / 2);
const EVENTS_PER_SECOND = 10;
const ROW_MS = 120_000 + 4 * OUTAGE_MS;
const STORED = { outcome: 'completed' };
const NOTHING_WRONG = { lost: 0, duplicates: 0, problems: [] };
/** What the machine may take, over what the settings say. */
const SLACK_MS = 5_000;

const s3 = await startS3();

describe.skipIf(!s3)('an S3 server', () => {
  /** What the download worker reaches it by, and what those with tables do. The test itself goes on seeing what is there. */
  let blobs: CuttableServer;
  let tables: CuttableServer;
  let world: World;

  beforeAll(async () => {
    blobs = await cuttable(s3!.endpoint);
    tables = await cuttable(s3!.endpoint);
    const { accessKeyId, secretAccessKey } = s3!.credentials;
    world = await openWorld({
      bucket: await s3!.bucket(),
      env: {
        S3_ENDPOINT: s3!.endpoint,
        AWS_ACCESS_KEY_ID: accessKeyId,
        AWS_SECRET_ACCESS_KEY: secretAccessKey,
        WEIR_BREAKER_COOL_DOWN_MS: String(COOL_DOWN_MS),
      },
      envOf: {
        'download-worker': { S3_ENDPOINT: blobs.url },
        'event-ingester': { S3_ENDPOINT: tables.url },
        'result-processor': { S3_ENDPOINT: tables.url },
        'dlq-handler': { S3_ENDPOINT: tables.url },
      },
    });
  }, 120_000);

  afterAll(async () => {
    await world?.pipeline.stop();
    await blobs?.stop();
    await tables?.stop();
    await s3?.stop();
  }, 60_000);

  /** What there is so far: files that the download worker has stored, and rows. */
  const files = () => world.metric(world.running('download-worker'), 'download_duration_seconds_count', STORED);
  const events = () => world.pipeline.events.look();
  const attachments = () => world.pipeline.attachments.look();

  /**
   * It is away for a while in the middle of a steady load.
   * @param stopped  what cannot grow meanwhile
   */
  async function outage(
    cut: 'refused' | 'silent',
    servers: readonly CuttableServer[],
    stopped: readonly (() => Promise<number>)[],
  ) {
    const work = await world.plan({ events: EVENTS_PER_SECOND * Math.ceil((OUTAGE_MS + 4_000) / 1000) });
    const expected = work.ledger.filter(isAttachment).length;
    const before = await files();
    const published = world.publish(work, EVENTS_PER_SECOND);
    await until('it flows', 30_000, async () => (await files()) >= before + 20);
    for (const server of servers) await server.become(cut);
    await wait(OUTAGE_MS * 0.8);
    const metrics = await world.metrics(world.running('download-worker'));
    await wait(OUTAGE_MS * 0.2);
    const during = await Promise.all(stopped.map((count) => count()));
    for (const server of servers) await server.become('through');
    const backAt = performance.now();
    const sinceBack = () => performance.now() - backAt;
    const recoveredMs = await Promise.all(
      stopped.map(async (count, at) => {
        await until('it goes on', COOL_DOWN_MS + 60_000, async () => (await count()) > during[at]!);
        return sinceBack();
      }),
    );
    await published;
    await world.settled();
    const [first, last] = [Math.max(...recoveredMs), sinceBack()].map((ms) => (ms / 1000).toFixed(1));
    console.info(
      `${cut} for ${OUTAGE_MS / 1000} s: what stood goes on after ${first} s, all ${expected} files and rows are there after ${last} s`,
    );
    return { work, expected, metrics, recoveredMs: Math.max(...recoveredMs) };
  }

  async function expectNothingBurnt({ work, expected }: Awaited<ReturnType<typeof outage>>): Promise<void> {
    const rows = [...(await world.attachmentsOf(work)).values()];
    expect(rows).toHaveLength(expected);
    expect(rows.filter(({ status, attempts }) => status !== 'completed' || attempts !== 1)).toEqual([]);
    expect(await retried(world)).toBe(0);
    expect(await world.pipeline.deadLetters()).toHaveLength(0);
    expect(await world.verify()).toMatchObject(NOTHING_WRONG);
  }

  test(
    'that is away costs no attempt, no dead letter, no file and no row, and is used again within one cool-down',
    async () => {
      const seen = await outage('refused', [blobs], [files]);
      expect(breakerOf(seen.metrics, 'blobs')).toMatch(/^(open|half-open)$/);
      expect(seen.recoveredMs).toBeLessThan(COOL_DOWN_MS + SLACK_MS);
      await expectNothingBurnt(seen);
    },
    ROW_MS,
  );

  test(
    'that takes connections and never answers costs nothing either',
    async () => {
      const seen = await outage('silent', [blobs], [files]);
      expect(seen.recoveredMs).toBeLessThan(COOL_DOWN_MS + SLACK_MS);
      await expectNothingBurnt(seen);
    },
    ROW_MS,
  );

  test(
    'that is away for everybody, tables included, costs nothing either: each goes on within one cool-down',
    async () => {
      const seen = await outage('refused', [blobs, tables], [files, events, attachments]);
      // Attachments come of files, which come of events: two stages wait for one cool-down at the same time.
      expect(seen.recoveredMs).toBeLessThan(COOL_DOWN_MS + 2 * SLACK_MS);
      await expectNothingBurnt(seen);
    },
    ROW_MS,
  );
});

/** State of a breaker on a page of metrics. */
function breakerOf(metrics: string, dependency: string): string | undefined {
  const line = new RegExp(`^kafka_circuit_breaker_state\\{dependency="${dependency}",state="([^"]+)"[^}]*\\} 1$`, 'm');
  return line.exec(metrics)?.[1];
}

/** Records ever written to a retry topic, of any worker. */
async function retried({ pipeline }: World): Promise<number> {
  const topics = pipeline.pipeline.topology.workers.flatMap(({ retry }) => retry.map(({ name }) => name));
  const offsets = await pipeline.admin.offsets(topics);
  return offsets.reduce((sum, { end }) => sum + end, 0);
}
