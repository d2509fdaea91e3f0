/**
 * download-worker: takes a task, fetches its attachment under the rules of guard.ts, streams it to the object store
 * and says how it ended. Every readable task ends in exactly one result: `completed` from the handler, `failed` or
 * `failed_permanent` when the record becomes a dead letter.
 */
import { downloadsPending, downloadsResults, storeAccess } from '@weir/contracts';
import { defineWorker, HEADER, type KafkaRecord, rawStory } from '@weir/sdk';
import { openStore } from '@weir/storage';
import { downloadConfig } from './config.ts';
import { type Calls, type DownloadTools, download } from './download.ts';
import { openFetcher } from './fetch.ts';
import { FileTypes } from './file-types.ts';
import { Guard } from './guard.ts';
import { createMetrics, type DownloadMetrics } from './metrics.ts';
import { outcomeLabel } from './outcome.ts';
import { outlastStore } from './patience.ts';
import { completed, failed } from './result.ts';

/** What the handler works with; a test may bring its own. */
export interface DownloadResources extends DownloadTools {
  readonly metrics: DownloadMetrics;
}

export const downloadWorker = defineWorker({
  name: 'download-worker',
  consumes: downloadsPending,
  produces: { results: downloadsResults },
  order: 'none',
  concurrency: { start: 10, max: 64 },
  env: { concurrency: 'DOWNLOAD_CONCURRENCY', concurrencyMax: 'DOWNLOAD_CONCURRENCY_MAX' },
  timeout: '5m',
  retry: { delays: ['5m', '10m', '20m', '40m'], topics: 'downloads' },
  // `blobs` covers the whole transfer, whose limit is DOWNLOAD_TIMEOUT_MS (blamed on the slower side): its own comes after.
  dependencies: { hosts: { keyed: true, timeout: '60s' }, blobs: { timeout: '280s' } },
  scaling: { min: 4, catchUp: '5m' },
  config: downloadConfig,

  async open({ config, log, clock, registry }): Promise<DownloadResources> {
    if (config.ALLOW_PRIVATE_ADDRESSES) {
      log.warn(
        {},
        'ALLOW_PRIVATE_ADDRESSES is on: attachments may be fetched from inside this network. Never in production',
      );
    }
    if (config.ALLOWED_ATTACHMENT_DOMAINS.includes('*')) {
      log.warn({}, 'ALLOWED_ATTACHMENT_DOMAINS has "*": attachments are fetched from any host');
    }
    const metrics = createMetrics(registry);
    const store = await openStore(config.STORE_URL, { ...storeAccess(config.STORE_URL, config), clock, log });
    const fetcher = await openFetcher({
      allowPrivate: config.ALLOW_PRIVATE_ADDRESSES,
      connectTimeoutMs: config.DOWNLOAD_CONNECT_TIMEOUT_MS,
      idleTimeoutMs: config.DOWNLOAD_IDLE_TIMEOUT_MS,
      maxBytes: config.MAX_FILE_BYTES,
      clock,
      onBytes: metrics.received,
    });
    const guard = new Guard({
      domains: config.ALLOWED_ATTACHMENT_DOMAINS,
      ports: config.ALLOWED_PORTS,
      allowHttp: config.ALLOW_HTTP,
    });
    const types = new FileTypes(config.ALLOWED_FILE_TYPES);
    return { store, fetcher, guard, types, clock, metrics, timeoutMs: config.DOWNLOAD_TIMEOUT_MS };
  },

  async close({ fetcher, store }) {
    await fetcher.close();
    await store.close();
  },

  async handle(record, ctx) {
    const { metrics } = ctx.resources;
    const began = ctx.clock.monotonic();
    metrics.started();
    let outcome = 'completed';
    try {
      const calls: Calls = {
        host: (host, work) => ctx.call('hosts', host, work),
        blobs: (work) => ctx.call('blobs', work),
      };
      const file = await outlastStore(() => download(record.value, ctx.resources, calls, ctx.signal), ctx);
      await ctx.send('results', completed(record.value, file, about(record, record.attempt + 1, ctx.clock.now())));
    } catch (error) {
      outcome = outcomeLabel(error);
      throw error;
    } finally {
      metrics.ended(outcome, (ctx.clock.monotonic() - began) / 1000);
    }
  },

  async onDeadLetter(record, reason, ctx) {
    await ctx.send('results', failed(record.value, reason, about(record, reason.attempts, ctx.clock.now())));
  },
});

function about(record: KafkaRecord, attempts: number, now: number) {
  const told = Number(rawStory(record)[HEADER.firstSeen]);
  const firstSeenAt = Number.isSafeInteger(told) && told > 0 ? Math.min(told, record.timestamp) : record.timestamp;
  return { attempts, replays: record.replays, firstSeenAt, now };
}
