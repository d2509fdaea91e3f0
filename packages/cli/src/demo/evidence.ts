/** What the verification reads: rows of the tables, stored blobs hashed again, dead letters with their bytes. */
import { createHash } from 'node:crypto';
import { deadLetters, xactAttachments, xactEvents } from '@weir/contracts';
import type { Clock } from '@weir/core';
import { openTable, TableMissingError, type TableSpec } from '@weir/lake';
import { type Admin, type ConsumerListener, type Fetched, HEADER, type KafkaPort, type Topology } from '@weir/sdk';
import { ObjectNotFoundError, type ObjectStore } from '@weir/storage';
import { DemoFailedError } from '../errors.ts';
import type { AttachmentRow, DeadLetterSeen } from './verify.ts';

/** A blob is hashed in pieces: files of 50 MB must not make this process large. */
const PIECE_BYTES = 4 * 1024 * 1024;

async function* rows(store: ObjectStore, spec: TableSpec, columns: readonly string[]) {
  const table = await openTable({ store, path: spec.name, spec }).catch((error: unknown) => {
    // Nothing was ever written: no rows, and the verdict will say which are missing.
    if (error instanceof TableMissingError) return undefined;
    throw error;
  });
  if (!table) return;
  try {
    yield* table.scan({ columns });
  } finally {
    await table.close();
  }
}

export async function* eventIds(tables: ObjectStore): AsyncGenerator<string> {
  for await (const row of rows(tables, xactEvents, ['event_id'])) yield String(row.event_id);
}

export async function* attachmentRows(tables: ObjectStore): AsyncGenerator<AttachmentRow> {
  const columns = ['media_id', 'replays', 'status', 'sha256', 'bytes_downloaded', 'blob_path'];
  for await (const row of rows(tables, xactAttachments, columns)) {
    yield {
      mediaId: String(row.media_id),
      replays: Number(row.replays),
      status: String(row.status),
      sha256: row.sha256 === null || row.sha256 === undefined ? null : String(row.sha256),
      bytes: Number(row.bytes_downloaded),
      blobPath: String(row.blob_path),
    };
  }
}

/** First origins (topic/partition/offset) that the dlq-handler has listed. */
export async function* listedDeadLetters(tables: ObjectStore): AsyncGenerator<string> {
  for await (const row of rows(tables, deadLetters, ['origin_topic', 'origin_partition', 'origin_offset'])) {
    yield `${row.origin_topic}/${row.origin_partition}/${row.origin_offset}`;
  }
}

export async function hashBlob(
  store: ObjectStore,
  path: string,
): Promise<{ sha256: string; bytes: number } | undefined> {
  const head = await store.head(path);
  if (!head) return undefined;
  const hash = createHash('sha256');
  let bytes = 0;
  try {
    while (bytes < head.bytes) {
      const length = Math.min(PIECE_BYTES, head.bytes - bytes);
      const piece = await store.get(path, { range: { start: bytes, length } });
      hash.update(piece);
      bytes += piece.byteLength;
      if (piece.byteLength === 0) break;
    }
  } catch (error) {
    if (error instanceof ObjectNotFoundError) return undefined;
    throw error;
  }
  return { sha256: hash.digest('hex'), bytes };
}

/**
 * Everything in the dead-letter topics, read by a group of its own from the start to the ends of now.
 * @throws DemoFailedError when the topics cannot be read within `timeoutMs`
 */
export async function readDeadLetters(options: {
  kafka: KafkaPort;
  admin: Admin;
  topology: Topology;
  group: string;
  clock: Clock;
  timeoutMs: number;
}): Promise<DeadLetterSeen[]> {
  const { kafka, admin, clock } = options;
  const topics = options.topology.workers.flatMap(({ deadLetters: dead }) => (dead ? [dead.name] : []));
  const ends = await admin.offsets(topics);
  const missing = new Map(ends.filter(({ start, end }) => end > start).map((each) => [nameOf(each), each.end]));
  const found: DeadLetterSeen[] = [];
  if (missing.size === 0) return found;

  const seenUpTo = new Map<string, number>();
  const over = new AbortController();
  const listener: ConsumerListener = {
    assigned: async ({ partitions }) =>
      partitions.map(({ topic, partition, logStart }) => ({
        topic,
        partition,
        offset: seenUpTo.get(nameOf({ topic, partition })) ?? logStart,
      })),
    revoking: async () => undefined,
    lost: () => undefined,
    records: (batch) => {
      const name = nameOf(batch);
      for (const record of batch.records) {
        if (record.offset < (seenUpTo.get(name) ?? 0)) continue;
        found.push(deadLetterOf(record));
      }
      seenUpTo.set(name, batch.lastOffset + 1);
      if ((missing.get(name) ?? 0) <= batch.lastOffset + 1) missing.delete(name);
      if (missing.size === 0) over.abort();
    },
    unreadable: async () => undefined,
    outOfRange: () => undefined,
    status: () => undefined,
  };
  const consumer = kafka.consumer({ group: options.group, topics, listener, revokeWaitMs: 1_000 });
  await consumer.start();
  await clock.sleep(options.timeoutMs, over.signal).catch(() => undefined);
  await consumer.stop();
  if (missing.size > 0)
    throw new DemoFailedError(`dead letters could not be read within ${options.timeoutMs} ms: ${[...missing.keys()]}`);
  return found;
}

function nameOf({ topic, partition }: { topic: string; partition: number }): string {
  return `${topic}/${partition}`;
}

function deadLetterOf(record: Fetched): DeadLetterSeen {
  const header = record.rawHeaders?.[HEADER.origin];
  const origin = String(Array.isArray(header) ? header[0] : (header ?? ''));
  return {
    origin,
    key: record.rawKey?.toString('utf8') ?? null,
    value: record.raw ?? new Uint8Array(),
  };
}
