/**
 * The pipeline's Delta tables as plain data: the shape that @weir/lake opens a table with. Names and types are public;
 * a column may be added, never renamed or given another meaning.
 */
export type ColumnType = 'string' | 'long' | 'int' | 'double' | 'boolean' | 'timestamp' | 'date' | 'list<string>';

export interface ColumnSpec {
  readonly name: string;
  readonly type: ColumnType;
  readonly nullable: boolean;
  readonly description: string;
}

export interface TableSpec {
  readonly name: string;
  readonly description: string;
  readonly columns: readonly ColumnSpec[];
  readonly partitionBy: readonly string[];
  /** Columns that identify a row; a second row of the same key is not written. */
  readonly key: readonly string[];
}

const column = (name: string, type: ColumnType, description: string): ColumnSpec => ({
  name,
  type,
  nullable: true,
  description,
});
const required = (name: string, type: ColumnType, description: string): ColumnSpec => ({
  ...column(name, type, description),
  nullable: false,
});

const SOURCE = [
  required('source_partition', 'int', 'Partition of the record that the row was made of.'),
  required('source_offset', 'long', 'Offset of that record.'),
];

export const xactEvents: TableSpec = {
  name: 'xact_events',
  description: 'Every event once.',
  partitionBy: ['event_date'],
  key: ['event_id'],
  columns: [
    required('event_id', 'string', '`eventId`, else UUIDv5 of the trace id.'),
    required('trace_id', 'string', '`traceId`.'),
    required('type', 'string', '`type`.'),
    required('status_subtype', 'string', 'Last dotted part of `type`.'),
    required('version', 'string', '`version`, always as text.'),
    required('utc_date_time', 'timestamp', '`utcDateTime`.'),
    required('ingested_at', 'timestamp', 'When the record reached Kafka.'),
    required('event_date', 'date', 'Day of `utcDateTime` in UTC.'),
    column('assignment_id', 'string', '`data.assignmentId`.'),
    column('original_assignment_id', 'string', '`data.originalAssignmentId`.'),
    column('description', 'string', '`data.description`.'),
    column('xn_address', 'string', '`data.xnAddress`.'),
    column('carrier_id', 'string', '`data.carrierId`.'),
    column('estimate_version', 'string', '`data.estimateVersion`.'),
    column('note', 'string', '`data.note`.'),
    column('author', 'string', '`data.author`.'),
    column('sender_reviewer_name', 'string', '`data.senderReviewerName`.'),
    column('sender_reviewer_email', 'string', '`data.senderReviewerEmail`.'),
    column('carrier_reviewer_name', 'string', '`data.carrierReviewerName`.'),
    column('carrier_reviewer_email', 'string', '`data.carrierReviewerEmail`.'),
    column('event_datetime_mdt', 'string', '`data.dateTime`, as written.'),
    column('claim_number', 'string', '`data.adm.coverageLoss.claimNumber`.'),
    column('contact_type', 'string', '`data.contact.type`.'),
    column('contact_name', 'string', '`data.contact.name`.'),
    column('contact_phone_type', 'string', '`data.contact.contactMethods.phone.type`.'),
    column('contact_phone_number', 'string', '`data.contact.contactMethods.phone.number`.'),
    column('contact_phone_extension', 'string', '`data.contact.contactMethods.phone.extension`.'),
    column('contact_email_address', 'string', '`data.contact.contactMethods.email.address`.'),
    column('attachments', 'list<string>', '`data.attachments`, query strings redacted.'),
    required('raw_json', 'string', 'The event as JSON, query strings redacted.'),
    required('created_at', 'timestamp', 'When the row was made.'),
    ...SOURCE,
  ],
};

export const xactAttachments: TableSpec = {
  name: 'xact_attachments',
  description:
    'Every attachment once, completed or failed; a replay appends a row with a higher `replays`, the latest wins.',
  partitionBy: ['event_date'],
  key: ['media_id', 'replays'],
  columns: [
    required('media_id', 'string', 'UUIDv5 of `{traceId}:{url}`.'),
    required('replays', 'int', 'How often an operator replayed the download; 0 at first.'),
    required('trace_id', 'string', 'Trace id of the event.'),
    required('attachment_url', 'string', 'The URL, its query redacted.'),
    required('blob_path', 'string', 'Key in the object store.'),
    required('file_type', 'string', 'Extension in capitals, or `UNKNOWN`.'),
    required('status_subtype', 'string', 'Last dotted part of the event’s type.'),
    required('assignment_id', 'string', 'Assignment the attachment belongs to.'),
    required('status', 'string', '`completed`, `failed` or `failed_permanent`.'),
    column('http_status', 'int', 'Status of the last answer, when there was one.'),
    required('bytes_downloaded', 'long', 'Bytes stored; 0 unless completed.'),
    column('sha256', 'string', 'SHA-256 of the stored bytes, hex.'),
    required('attempts', 'int', 'Calls made, the last one included.'),
    column('error_class', 'string', 'transient, permanent, expired, auth, dependency or poison.'),
    column('error_message', 'string', 'What went wrong, secrets removed, 500 characters at most.'),
    required('created_at', 'timestamp', 'When the task was first seen.'),
    required('completed_at', 'timestamp', 'When the outcome was known.'),
    required('event_date', 'date', 'Day of the event’s `utcDateTime` in UTC.'),
    ...SOURCE,
  ],
};

export const DEAD_LETTER_STATES = ['dead', 'replayed', 'resolved'] as const;
export type DeadLetterState = (typeof DEAD_LETTER_STATES)[number];

export const deadLetters: TableSpec = {
  name: 'dead_letters',
  description:
    'Every dead letter, and every change of its state as a row more; the latest `changed_at` of an origin wins.',
  partitionBy: [],
  key: ['worker', 'origin_topic', 'origin_partition', 'origin_offset', 'replays', 'state'],
  columns: [
    required('origin_topic', 'string', 'Topic where the record first was.'),
    required('origin_partition', 'int', 'Its partition there.'),
    required('origin_offset', 'long', 'Its offset there.'),
    required('replays', 'int', 'How often it had been replayed before it died.'),
    required('state', 'string', '`dead`, `replayed` or `resolved`.'),
    required('worker', 'string', 'Worker whose dead letter it is.'),
    required('dlq_topic', 'string', 'Dead-letter topic with the original bytes.'),
    required('dlq_partition', 'int', 'Partition there.'),
    required('dlq_offset', 'long', 'Offset there.'),
    required('error_class', 'string', 'transient, permanent, expired, auth, dependency or poison.'),
    required('error', 'string', 'What went wrong, secrets removed.'),
    required('attempts', 'int', 'Calls that failed.'),
    required('first_seen', 'timestamp', 'When a worker first saw the record.'),
    required('failed_at', 'timestamp', 'When it became a dead letter.'),
    required('changed_at', 'timestamp', 'When this row’s state began.'),
    column('key', 'string', 'Key of the record.'),
    column('bytes', 'long', 'Size of its value; null for a tombstone.'),
  ],
};

export const TABLES: readonly TableSpec[] = [xactEvents, xactAttachments, deadLetters];
