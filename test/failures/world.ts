/**
 * One started pipeline that the rows of a broker share: starting five services takes longer than most rows. What each row
 * publishes is added to one ledger, so that every row's verification covers the rows before it, too: a row cannot hide
 * that it broke what was there.
 *
 * The settings differ from those of production in times only: sessions, batches and retries are seconds instead of half
 * minutes, or the rows would be spent waiting.
 */
import { setTimeout as wait } from 'node:timers/promises';
import { isAttachment, isPoison, type LedgerEntry, type Verdict } from '@weir/cli';
import { xactAttachments } from '@weir/contracts';
import { seededRandom } from '@weir/core';
import { openTable } from '@weir/lake';
import { makeTraceId } from '../../packages/cli/src/source/events.ts';
import { eventIdOf, mediaIdOf } from '../../packages/cli/src/source/identity.ts';
import type { PlannedRecord } from '../../packages/cli/src/source/plan.ts';
import {
  openPipeline,
  type PipelineOptions,
  type RunningPipeline,
  type RunningService,
  until,
} from '../support/pipeline/pipeline.ts';
import { planWork, type WorkOptions } from '../support/pipeline/plan.ts';
import { RowCounter } from '../support/pipeline/row-counter.ts';

/** What is published, and what must come of it. */
export interface Work {
  readonly records: readonly PlannedRecord[];
  readonly ledger: readonly LedgerEntry[];
}

export interface AttachmentFacts {
  readonly mediaId: string;
  readonly replays: number;
  readonly status: string;
  readonly attempts: number;
  readonly errorMessage: string | null;
  /** Milliseconds since the epoch. */
  readonly completedAt: number;
}

export const SESSION_MS = 4_000;
export const COOL_DOWN_MS = 3_000;
export const FIRST_RETRY_MS = 3_000;
/** Of everything that is published to be in the tables: the machine may be busy with other things. */
const SETTLE_MS = 90_000;
const FILE_BYTES = 2_048;

const SETTINGS = {
  KAFKA_SESSION_TIMEOUT_MS: String(SESSION_MS),
  KAFKA_MAX_POLL_INTERVAL_MS: '20000',
  BATCH_TIMEOUT_SECONDS: '1',
  RETRY_DELAYS: '3s,6s,9s,12s',
  WEIR_BREAKER_COOL_DOWN_MS: String(COOL_DOWN_MS),
  WEIR_SCALING_INTERVAL_MS: '1000',
};

const SERVICES = ['event-ingester', 'download-worker', 'result-processor', 'retry-scheduler', 'dlq-handler'] as const;

export class World {
  readonly pipeline: RunningPipeline;
  readonly deadLetters: RowCounter;
  /** Far from the seeds of plans: a trace id must not come twice. */
  readonly #random = seededRandom(1_000_003);
  readonly #ledger: LedgerEntry[] = [];
  readonly #expected = { events: 0, attachments: 0, deadLetters: 0 };
  #seed = 0;

  /** Only `openWorld` makes one. */
  constructor(pipeline: RunningPipeline) {
    this.pipeline = pipeline;
    this.deadLetters = new RowCounter(pipeline.tables, 'dead_letters');
  }

  /** Events as the demo's source makes them, no two rows' the same. */
  async plan(options: { events: number } & Partial<Omit<WorkOptions, 'seed'>>): Promise<Work> {
    const { files } = this.pipeline;
    return planWork({ filesUrls: [files.url], fileBytes: FILE_BYTES, ...options, seed: ++this.#seed });
  }

  /** One event with these attachments; each is stored unless it says otherwise. */
  event(
    attachments: readonly { url: string; sha256: string | null; bytes: number; status?: 'failed_permanent' }[],
    more: Readonly<Record<string, unknown>> = {},
  ): Work {
    const traceId = makeTraceId(this.#random);
    const urls = attachments.map(({ url }) => url);
    const event = {
      type: 'verisk.claims.property.xn.documentsReceived',
      version: 1,
      utcDateTime: new Date().toISOString(),
      traceId,
      data: { assignmentId: 'A-0000001', ...(urls.length > 0 ? { attachments: urls } : {}) },
      ...more,
    };
    const ledger = attachments.map(({ url, sha256, bytes, status }): LedgerEntry => {
      const kept = status === undefined;
      const mediaId = mediaIdOf(traceId, url);
      return {
        ...{ event: eventIdOf(traceId), traceId, mediaId, url, fault: null },
        ...{ sha256: kept ? sha256 : null, bytes: kept ? bytes : null, expectedStatus: status ?? 'completed' },
      };
    });
    const bare: LedgerEntry = { event: eventIdOf(traceId), traceId, url: null, expectedStatus: null };
    return {
      records: [{ key: traceId, value: Buffer.from(JSON.stringify(event)) }],
      ledger: ledger.length > 0 ? ledger : [bare],
    };
  }

  /** Publishes and notes what must come of it. */
  async publish(work: Work, ratePerSecond = 0): Promise<void> {
    this.#ledger.push(...work.ledger);
    const events = new Set(work.ledger.filter((entry) => !isPoison(entry)).map(({ event }) => event));
    const attachments = work.ledger.filter(isAttachment);
    const failing = attachments.filter(({ expectedStatus }) => expectedStatus !== 'completed');
    this.alsoExpect({
      events: events.size,
      attachments: attachments.length,
      deadLetters: work.ledger.filter(isPoison).length + failing.length,
    });
    await this.pipeline.publish(work.records, ratePerSecond);
  }

  /** Rows that come of something else than a publication: what an operator does. */
  alsoExpect(rows: { events?: number; attachments?: number; deadLetters?: number }): void {
    this.#expected.events += rows.events ?? 0;
    this.#expected.attachments += rows.attachments ?? 0;
    this.#expected.deadLetters += rows.deadLetters ?? 0;
  }

  /** Resolves when all tables have the rows that they must have. Whether they are the right ones is `verify`'s. */
  async settled(): Promise<void> {
    await until('all rows are in the tables', SETTLE_MS, async () => {
      await Promise.all([this.pipeline.events.look(), this.pipeline.attachments.look(), this.deadLetters.look()]);
      return (
        this.pipeline.events.rows >= this.#expected.events &&
        this.pipeline.attachments.rows >= this.#expected.attachments &&
        this.deadLetters.rows >= this.#expected.deadLetters
      );
    }).catch(async (error: Error) => {
      const { events, attachments } = this.pipeline;
      const found = { events: events.rows, attachments: attachments.rows, deadLetters: this.deadLetters.rows };
      const { problems } = await this.verify();
      throw new Error(
        `${error.message}; there are ${JSON.stringify(found)}, there must be ${JSON.stringify(this.#expected)}: ${JSON.stringify(problems, null, 1)}`,
      );
    });
  }

  /** Everything that all rows published so far, every byte hashed again. */
  verify(): Promise<Verdict> {
    return this.pipeline.verify(this.#ledger);
  }

  /** Rows of the attachments of this work, by media id; of a replayed one the latest. */
  async attachmentsOf(work: Work): Promise<Map<string, AttachmentFacts>> {
    const wanted = new Set(work.ledger.filter(isAttachment).map(({ mediaId }) => mediaId));
    const found = new Map<string, AttachmentFacts>();
    const table = await openTable({
      store: this.pipeline.tables,
      path: xactAttachments.name,
      spec: xactAttachments,
    });
    const columns = ['media_id', 'replays', 'status', 'attempts', 'error_message', 'completed_at'];
    for await (const row of table.scan({ columns })) {
      const mediaId = String(row.media_id);
      const replays = Number(row.replays);
      if (!wanted.has(mediaId) || (found.get(mediaId)?.replays ?? -1) > replays) continue;
      found.set(mediaId, {
        mediaId,
        replays,
        status: String(row.status),
        attempts: Number(row.attempts),
        errorMessage: row.error_message === null || row.error_message === undefined ? null : String(row.error_message),
        completedAt: Number(row.completed_at),
      });
    }
    await table.close();
    return found;
  }

  /** The process of that name which was started last and still runs. */
  running(name: string): RunningService {
    const found = this.pipeline.services.filter((each) => each.name === name && !this.#gone.has(each)).at(-1);
    if (!found) throw new Error(`no ${name} runs`);
    return found;
  }

  readonly #gone = new Set<RunningService>();

  /** `kill -9`: nothing is finished, committed or left. */
  async kill(service: RunningService): Promise<void> {
    this.#gone.add(service);
    service.process.kill();
    await service.process.exited;
  }

  async terminate(service: RunningService): Promise<number | null> {
    this.#gone.add(service);
    service.process.terminate();
    return (await service.process.exited).code;
  }

  /** Sum over the labels of what a process tells on /metrics, of the series whose labels all match. */
  async metric(service: RunningService, name: string, labels: Readonly<Record<string, string>> = {}): Promise<number> {
    let sum = 0;
    for (const line of (await this.metrics(service)).split('\n')) {
      const [, series, given, value] = /^([a-z_]+)(?:\{(.*)\})? (\S+)/.exec(line) ?? [];
      if (series !== name) continue;
      if (Object.entries(labels).every(([label, wanted]) => given?.includes(`${label}="${wanted}"`))) {
        sum += Number(value);
      }
    }
    return sum;
  }

  async metrics({ process }: RunningService): Promise<string> {
    return (await fetch(`http://127.0.0.1:${process.metricsPort}/metrics`)).text();
  }
}

export async function openWorld(options: PipelineOptions = {}): Promise<World> {
  const pipeline = await openPipeline({ ...options, env: { ...SETTINGS, ...options.env } });
  try {
    await Promise.all(SERVICES.map((name) => pipeline.start(name)));
    return new World(pipeline);
  } catch (error) {
    await pipeline.stop();
    throw error;
  }
}

/** Watches a table. `longestMs` is the longest time without a new row so far. */
export class StallWatch {
  longestMs = 0;
  readonly #over = new AbortController();
  readonly #watching: Promise<void>;

  constructor(counter: RowCounter) {
    this.#watching = this.#watch(counter);
  }

  async stop(): Promise<number> {
    this.#over.abort();
    await this.#watching;
    return this.longestMs;
  }

  async #watch(counter: RowCounter): Promise<void> {
    let rows = await counter.look();
    let since = performance.now();
    while (!this.#over.signal.aborted) {
      await wait(50);
      const now = performance.now();
      const seen = await counter.look();
      this.longestMs = Math.max(this.longestMs, now - since);
      if (seen !== rows) since = now;
      rows = seen;
    }
  }
}
