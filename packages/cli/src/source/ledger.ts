/**
 * The source's own ledger, OUT/source.ndjson: what the pipeline must make of everything that was published, written
 * before the first record is sent, so that it covers whatever arrives. One line for each attachment; an event without
 * tasks has one line with `url` null; a record that must become a dead letter has one with `event` null.
 */
import { createReadStream, createWriteStream } from 'node:fs';
import { createInterface } from 'node:readline';
import { finished } from 'node:stream/promises';
import { z } from 'zod';
import { LedgerInvalidError } from '../errors.ts';

const attachmentEntry = z.object({
  event: z.string(),
  traceId: z.string(),
  mediaId: z.string(),
  url: z.string(),
  /** Null when no bytes are to be kept: the download must fail. */
  sha256: z.string().nullable(),
  bytes: z.number().int().nullable(),
  fault: z.string().nullable(),
  expectedStatus: z.enum(['completed', 'failed', 'failed_permanent']),
});
const bareEventEntry = z.object({
  event: z.string(),
  traceId: z.string(),
  url: z.null(),
  expectedStatus: z.null(),
});
const poisonEntry = z.object({
  event: z.null(),
  url: z.null(),
  /** Of the record's value, which the dead letter must carry untouched. */
  sha256: z.string(),
  bytes: z.number().int(),
  fault: z.string(),
  expectedStatus: z.literal('dead_letter'),
});
const entrySchema = z.union([attachmentEntry, bareEventEntry, poisonEntry]);

export type AttachmentEntry = z.output<typeof attachmentEntry>;
export type PoisonEntry = z.output<typeof poisonEntry>;
export type LedgerEntry = z.output<typeof entrySchema>;

export function isAttachment(entry: LedgerEntry): entry is AttachmentEntry {
  return entry.url !== null;
}
export function isPoison(entry: LedgerEntry): entry is PoisonEntry {
  return entry.event === null;
}

export async function writeLedger(path: string, entries: Iterable<LedgerEntry>): Promise<void> {
  const file = createWriteStream(path);
  const done = finished(file);
  done.catch(() => undefined);
  for (const entry of entries) {
    if (!file.write(`${JSON.stringify(entry)}\n`)) {
      await Promise.race([new Promise<void>((resolve) => file.once('drain', resolve)), done]);
    }
  }
  file.end();
  await done;
}

/** @throws LedgerInvalidError naming the first line that is not an entry */
export async function readLedger(path: string): Promise<LedgerEntry[]> {
  const entries: LedgerEntry[] = [];
  let number = 0;
  for await (const line of createInterface({ input: createReadStream(path), crlfDelay: Number.POSITIVE_INFINITY })) {
    number++;
    if (line.trim() === '') continue;
    let data: unknown;
    try {
      data = JSON.parse(line);
    } catch (error) {
      throw new LedgerInvalidError(path, number, 'is not JSON', { cause: error });
    }
    const parsed = entrySchema.safeParse(data);
    if (!parsed.success) throw new LedgerInvalidError(path, number, 'is no ledger entry', { cause: parsed.error });
    entries.push(parsed.data);
  }
  return entries;
}
