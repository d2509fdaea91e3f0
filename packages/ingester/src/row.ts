/** The row of an event in `xact_events` (docs/contracts.md). No URL in it keeps its query: signatures and tokens live there. */
import { redactUrlsIn, redactValue } from '@weir/contracts';
import { redactUrl } from '@weir/core';
import { type Reading, textOf } from './reading.ts';

/** Where the record was, and when; times in ms since the epoch. */
export interface RowSource {
  readonly partition: number;
  readonly offset: number;
  /** When Kafka got the record. */
  readonly timestamp: number;
  readonly now: number;
}

export function eventRow(reading: Reading, source: RowSource): Record<string, unknown> {
  const { event, data } = reading;
  const at = (...path: readonly string[]) => {
    const text = textOf(dig(data, path));
    return text === undefined ? null : redactUrlsIn(text);
  };
  const contact = (...path: readonly string[]) => at('contact', ...path);
  return {
    event_id: reading.eventId,
    trace_id: event.traceId,
    type: event.type,
    status_subtype: reading.statusSubtype,
    version: String(event.version),
    utc_date_time: reading.happenedAt,
    ingested_at: source.timestamp,
    event_date: reading.day,
    assignment_id: at('assignmentId'),
    original_assignment_id: at('originalAssignmentId'),
    description: at('description'),
    xn_address: at('xnAddress'),
    carrier_id: at('carrierId'),
    estimate_version: at('estimateVersion'),
    note: at('note'),
    author: at('author'),
    sender_reviewer_name: at('senderReviewerName'),
    sender_reviewer_email: at('senderReviewerEmail'),
    carrier_reviewer_name: at('carrierReviewerName'),
    carrier_reviewer_email: at('carrierReviewerEmail'),
    event_datetime_mdt: at('dateTime'),
    claim_number: at('adm', 'coverageLoss', 'claimNumber'),
    contact_type: contact('type'),
    contact_name: contact('name'),
    contact_phone_type: contact('contactMethods', 'phone', 'type'),
    contact_phone_number: contact('contactMethods', 'phone', 'number'),
    contact_phone_extension: contact('contactMethods', 'phone', 'extension'),
    contact_email_address: contact('contactMethods', 'email', 'address'),
    attachments: reading.attachments.map(redactUrl),
    raw_json: JSON.stringify(redactValue(event)),
    created_at: source.now,
    source_partition: source.partition,
    source_offset: source.offset,
  };
}

function dig(value: unknown, path: readonly string[]): unknown {
  let current = value;
  for (const name of path) {
    if (typeof current !== 'object' || current === null || !Object.hasOwn(current, name)) return undefined;
    current = (current as Record<string, unknown>)[name];
  }
  return current;
}
