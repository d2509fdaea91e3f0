/**
 * Compares what the pipeline made with the source's own ledger: every event one row, every attachment one row with the
 * status and the SHA-256 it must have, the stored bytes equal to the source's (hashed again, from the store), and every
 * poison record among the dead letters with its bytes untouched. Whatever else is there is a finding, too.
 */
import { createHash } from 'node:crypto';
import { type AttachmentEntry, isAttachment, isPoison, type LedgerEntry } from '../source/ledger.ts';

/** A row of xact_attachments, as far as it is verified. */
export interface AttachmentRow {
  readonly mediaId: string;
  readonly replays: number;
  readonly status: string;
  readonly sha256: string | null;
  readonly bytes: number;
  readonly blobPath: string;
}

export interface DeadLetterSeen {
  /** Where it was first, topic/partition/offset by Kafka's names; '' when it does not say. */
  readonly origin: string;
  readonly key: string | null;
  readonly value: Uint8Array;
}

export interface VerifyInput {
  readonly ledger: readonly LedgerEntry[];
  readonly eventIds: AsyncIterable<string> | Iterable<string>;
  readonly attachments: AsyncIterable<AttachmentRow> | Iterable<AttachmentRow>;
  readonly deadLetters: AsyncIterable<DeadLetterSeen> | Iterable<DeadLetterSeen>;
  /** First origins of the rows of dead_letters. */
  readonly listed: AsyncIterable<string> | Iterable<string>;
  /** Hex SHA-256 and size of a stored blob; undefined when there is none. */
  readonly hashBlob: (path: string) => Promise<{ sha256: string; bytes: number } | undefined>;
  /** Kafka's name of the topic that carries the events. */
  readonly eventsTopic: string;
}

export const PROBLEMS = {
  'event-missing': 'events without a row in xact_events',
  'event-duplicate': 'rows too many in xact_events',
  'event-unknown': 'rows of events that the source never sent',
  'attachment-missing': 'attachments without a row in xact_attachments',
  'attachment-duplicate': 'rows too many in xact_attachments',
  'attachment-unknown': 'rows of attachments that the source never named',
  'status-wrong': 'attachments with another status than they must have',
  'sha256-wrong': 'rows with another SHA-256 or size than the source served',
  'blob-missing': 'completed attachments without stored bytes',
  'blob-wrong': 'stored bytes that differ from the source’s',
  'dead-letter-missing': 'records that must be dead letters and are not',
  'dead-letter-unknown': 'dead letters that nobody expected',
  'dead-letter-unlisted': 'dead letters without a row in dead_letters',
} as const;
export type Problem = keyof typeof PROBLEMS;

export interface Verdict {
  readonly ok: boolean;
  readonly rows: { readonly events: number; readonly attachments: number };
  /** Of completed attachments, as hashed from the store. */
  readonly bytes: number;
  readonly lost: number;
  readonly duplicates: number;
  readonly deadLetters: { readonly expected: number; readonly found: number };
  readonly problems: readonly {
    readonly problem: Problem;
    readonly count: number;
    readonly examples: readonly string[];
  }[];
}

const EXAMPLES = 3;

export async function verify(input: VerifyInput): Promise<Verdict> {
  const found = new Findings();
  const events = await verifyEvents(input, found);
  const attachments = await verifyAttachments(input, found);
  const deadLetters = await verifyDeadLetters(input, found);
  const count = (...problems: Problem[]) => problems.reduce((sum, problem) => sum + found.count(problem), 0);
  const problems = found.list();
  return {
    ok: problems.length === 0,
    rows: { events, attachments: attachments.rows },
    bytes: attachments.bytes,
    lost: count('event-missing', 'attachment-missing', 'blob-missing', 'dead-letter-missing'),
    duplicates: count('event-duplicate', 'attachment-duplicate'),
    deadLetters,
    problems,
  };
}

class Findings {
  readonly #found = new Map<Problem, { count: number; examples: string[] }>();

  add(problem: Problem, example: string): void {
    let entry = this.#found.get(problem);
    if (!entry) {
      entry = { count: 0, examples: [] };
      this.#found.set(problem, entry);
    }
    entry.count++;
    if (entry.examples.length < EXAMPLES) entry.examples.push(example);
  }

  count(problem: Problem): number {
    return this.#found.get(problem)?.count ?? 0;
  }

  list(): Verdict['problems'] {
    return [...this.#found].map(([problem, { count, examples }]) => ({ problem, count, examples }));
  }
}

async function verifyEvents({ ledger, eventIds }: VerifyInput, found: Findings): Promise<number> {
  const seen = new Map<string, number>();
  let rows = 0;
  for await (const id of eventIds) {
    rows++;
    seen.set(id, (seen.get(id) ?? 0) + 1);
  }
  const expected = new Map<string, string>();
  for (const entry of ledger) if (!isPoison(entry)) expected.set(entry.event, entry.traceId);
  for (const [event, traceId] of expected) {
    const times = seen.get(event) ?? 0;
    if (times === 0) found.add('event-missing', `event ${event} (trace ${traceId})`);
    for (let extra = 1; extra < times; extra++) found.add('event-duplicate', `event ${event}: ${times} rows`);
  }
  for (const event of seen.keys()) if (!expected.has(event)) found.add('event-unknown', `event ${event}`);
  return rows;
}

async function verifyAttachments(input: VerifyInput, found: Findings): Promise<{ rows: number; bytes: number }> {
  const seen = new Map<string, AttachmentRow[]>();
  let rows = 0;
  for await (const row of input.attachments) {
    rows++;
    const same = seen.get(row.mediaId);
    if (same) same.push(row);
    else seen.set(row.mediaId, [row]);
  }
  let bytes = 0;
  const expected = new Set<string>();
  for (const entry of input.ledger) {
    if (!isAttachment(entry)) continue;
    expected.add(entry.mediaId);
    const [row, ...extra] = seen.get(entry.mediaId) ?? [];
    if (!row) {
      found.add('attachment-missing', describe(entry));
      continue;
    }
    for (const _ of extra) found.add('attachment-duplicate', `${describe(entry)}: ${extra.length + 1} rows`);
    bytes += await verifyRow(entry, row, input, found);
  }
  for (const [mediaId, [row]] of seen) {
    if (!expected.has(mediaId)) found.add('attachment-unknown', `media ${mediaId}, blob ${row?.blobPath}`);
  }
  return { rows, bytes };
}

async function verifyRow(
  entry: AttachmentEntry,
  row: AttachmentRow,
  { hashBlob }: VerifyInput,
  found: Findings,
): Promise<number> {
  if (row.status !== entry.expectedStatus) {
    found.add('status-wrong', `${describe(entry)}: ${row.status}, not ${entry.expectedStatus}`);
    return 0;
  }
  if (entry.sha256 === null) return 0;
  if (row.sha256 !== entry.sha256 || row.bytes !== entry.bytes) {
    found.add(
      'sha256-wrong',
      `${describe(entry)}: ${row.sha256} of ${row.bytes} bytes, not ${entry.sha256} of ${entry.bytes}`,
    );
  }
  const blob = await hashBlob(row.blobPath);
  if (!blob) found.add('blob-missing', `${describe(entry)}: nothing at ${row.blobPath}`);
  else if (blob.sha256 !== entry.sha256 || blob.bytes !== entry.bytes) {
    found.add('blob-wrong', `${describe(entry)}: ${blob.bytes} bytes at ${row.blobPath}, not ${entry.bytes}`);
  }
  return blob?.bytes ?? 0;
}

async function verifyDeadLetters(
  { ledger, deadLetters, listed, eventsTopic }: VerifyInput,
  found: Findings,
): Promise<{ expected: number; found: number }> {
  const tasks = new Set<string>();
  const values = new Set<string>();
  let rows = 0;
  const failing = new Set(
    ledger.flatMap((entry) => (isAttachment(entry) && entry.expectedStatus !== 'completed' ? [entry.mediaId] : [])),
  );
  const poison = ledger.filter(isPoison);
  const expectedValues = new Set(poison.map(({ sha256 }) => sha256));
  const listedOrigins = new Set<string>();
  for await (const origin of listed) listedOrigins.add(origin);
  for await (const { origin, key, value } of deadLetters) {
    rows++;
    if (!listedOrigins.has(origin)) found.add('dead-letter-unlisted', `of ${origin || 'no origin'}, key ${key}`);
    // A topic's name has no slash.
    if (origin.split('/')[0] === eventsTopic) {
      const sha256 = createHash('sha256').update(value).digest('hex');
      values.add(sha256);
      if (!expectedValues.has(sha256)) found.add('dead-letter-unknown', `of ${origin}, key ${key}`);
    } else {
      tasks.add(key ?? '');
      if (!failing.has(key ?? '')) found.add('dead-letter-unknown', `of ${origin || 'no origin'}, key ${key}`);
    }
  }
  for (const entry of poison) {
    if (!values.has(entry.sha256))
      found.add('dead-letter-missing', `poison record: ${entry.fault}, ${entry.bytes} bytes`);
  }
  for (const entry of ledger) {
    if (isAttachment(entry) && entry.expectedStatus !== 'completed' && !tasks.has(entry.mediaId)) {
      found.add('dead-letter-missing', describe(entry));
    }
  }
  return { expected: poison.length + failing.size, found: rows };
}

function describe({ mediaId, url, fault }: AttachmentEntry): string {
  return `media ${mediaId} (${url.replace(/\?.*$/s, '')}${fault ? `, fault ${fault}` : ''})`;
}
