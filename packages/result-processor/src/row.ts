/** The row of a download result in `xact_attachments` (docs/contracts.md). */
import { type DownloadResult, parseTimestamp } from '@weir/contracts';
import { redactText, redactUrl } from '@weir/core';
import { PermanentError } from '@weir/sdk';

export interface RowSource {
  readonly partition: number;
  readonly offset: number;
}

/**
 * Redacts once more: who writes to the results topic is not checked, and a table is for ever.
 * @throws PermanentError (class poison) naming the field that does not fit the table
 */
export function attachmentRow(result: DownloadResult, source: RowSource): Record<string, unknown> {
  return {
    media_id: result.mediaId,
    replays: int32(result.replays, 'replays'),
    trace_id: result.traceId,
    attachment_url: redactUrl(result.attachmentUrl),
    blob_path: result.blobPath,
    file_type: result.fileType,
    status_subtype: result.statusSubtype,
    assignment_id: result.assignmentId,
    status: result.status,
    http_status: result.httpStatus ?? null,
    bytes_downloaded: result.bytesDownloaded,
    sha256: result.sha256 ?? null,
    attempts: int32(result.attempts, 'attempts'),
    error_class: result.errorClass ?? null,
    error_message: result.errorMessage === undefined ? null : redactText(result.errorMessage),
    created_at: time(result.createdAt, 'createdAt'),
    completed_at: time(result.completedAt, 'completedAt'),
    event_date: new Date(time(result.originalTimestamp, 'originalTimestamp')).toISOString().slice(0, 10),
    source_partition: source.partition,
    source_offset: source.offset,
  };
}

function int32(value: number, field: string): number {
  if (value > 0x7fff_ffff) throw new PermanentError(`field "${field}" is too large: ${value}`, { class: 'poison' });
  return value;
}

function time(value: string, field: string): number {
  const ms = parseTimestamp(value);
  if (ms === undefined) throw new PermanentError(`field "${field}" is not an ISO 8601 time`, { class: 'poison' });
  return ms;
}
