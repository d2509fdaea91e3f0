/**
 * Everything that will be published, decided before anything is: the events in their order, the files behind their
 * attachments, the faults, and the ledger that says what must come of it. The same seed gives the same plan (URLs carry
 * the servers' ports, so media ids differ between runs unless the ports are the same).
 */
import { createHash } from 'node:crypto';
import { type Random, seededRandom } from '@weir/core';
import { attachmentCount, makeEvent, makePoison, makeTraceId } from './events.ts';
import { drawFault, expectedStatus, type Fault, faultName } from './faults.ts';
import type { FileCatalogue, SourceFile } from './files.ts';
import { eventIdOf, mediaIdOf } from './identity.ts';
import type { LedgerEntry } from './ledger.ts';
import type { Attachment } from './server.ts';

export interface PlanOptions {
  readonly events: number;
  readonly seed: number;
  readonly faults: boolean;
  readonly files: FileCatalogue;
  readonly hosts: number;
  /** Milliseconds since the epoch, of the first event. */
  readonly startAt: number;
  /** Mean wait of a server before its first byte. */
  readonly latencyMs: number;
  /** Registers an attachment and returns its URL. */
  readonly serve: (host: number, attachment: Attachment) => string;
}

export interface PlannedRecord {
  /** The topic's key; null for a record that has no readable trace id. */
  readonly key: string | null;
  readonly value: Buffer;
}

export interface SourcePlan {
  readonly records: readonly PlannedRecord[];
  readonly ledger: readonly LedgerEntry[];
  readonly totals: {
    readonly events: number;
    readonly attachments: number;
    /** Of attachments that will be completed. */
    readonly bytes: number;
    readonly poison: number;
    readonly faults: number;
  };
}

/** One poison record for so many events, and three at least. */
const POISON_EVERY = 100;

export async function planSource(options: PlanOptions): Promise<SourcePlan> {
  const { events, seed, faults, startAt } = options;
  const random = seededRandom(seed);
  const records: PlannedRecord[] = [];
  const ledger: LedgerEntry[] = [];
  const totals = { events, attachments: 0, bytes: 0, poison: 0, faults: 0 };
  const poisonCount = faults && events > 0 ? Math.max(3, Math.floor(events / POISON_EVERY)) : 0;

  for (let index = 0; index < events; index++) {
    const at = startAt + index * 10;
    // Never past the last event: poison number k comes before event (k + ½) / count of them all.
    while (totals.poison < poisonCount && (totals.poison + 0.5) / poisonCount <= (index + 1) / events) {
      const poison = makePoison(totals.poison++, random, at);
      records.push({ key: null, value: poison.value });
      ledger.push({
        event: null,
        url: null,
        sha256: createHash('sha256').update(poison.value).digest('hex'),
        bytes: poison.value.length,
        fault: poison.reason,
        expectedStatus: 'dead_letter',
      });
    }

    const traceId = makeTraceId(random);
    const attachments = Array.from({ length: attachmentCount(random) }, () => drawAttachment(options, random));
    const urls = attachments.map(({ host, attachment }) => withQuery(options.serve(host, attachment), random));
    const event = makeEvent(random, at, traceId, urls);
    const eventId = eventIdOf(traceId);
    records.push({ key: traceId, value: Buffer.from(event.json) });
    if (!event.assigned || urls.length === 0) ledger.push({ event: eventId, traceId, url: null, expectedStatus: null });
    else {
      for (const [position, url] of urls.entries()) {
        const { file, fault } = attachments[position]!.attachment;
        const status = expectedStatus(fault);
        const kept = status === 'completed';
        ledger.push({
          event: eventId,
          traceId,
          mediaId: mediaIdOf(traceId, url),
          url,
          sha256: kept ? await file.sha256() : null,
          bytes: kept ? file.bytes : null,
          fault: faultName(fault),
          expectedStatus: status,
        });
        totals.attachments++;
        if (kept) totals.bytes += file.bytes;
        if (fault) totals.faults++;
      }
    }
  }
  return { records, ledger, totals };
}

function drawAttachment(options: PlanOptions, random: Random): { host: number; attachment: Attachment } {
  const file = options.files.next(random);
  const host = random.below(options.hosts);
  const drawn = options.faults ? drawFault(host, random) : undefined;
  const latencyMs = options.latencyMs * (0.4 + 1.2 * random.next());
  return { host, attachment: { file, fault: possible(drawn, file), latencyMs } };
}

/** A file of one byte cannot be cut in half: the line breaks before it instead. */
function possible(fault: Fault | undefined, file: SourceFile): Fault | undefined {
  return fault?.kind === 'truncated' && file.bytes < 2 ? { kind: 'reset' } : fault;
}

/** Some URLs are signed, as presigned ones are: what follows the question mark must not reach logs and tables. */
function withQuery(url: string, random: Random): string {
  return random.next() < 0.15 ? `${url}?signature=${makeTraceId(random)}` : url;
}
