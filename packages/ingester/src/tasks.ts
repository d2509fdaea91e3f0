/**
 * One download task for each distinct attachment of an event that has an assignment. A URL that cannot be downloaded (no
 * https, not allowed, expired already) still makes a task: refusing it is the download worker's to do, which gives it a
 * result, so that every attachment has a row that says what became of it.
 */
import { blobPathOf, type DownloadTask, expiryOf, fileTypeOf, formatTimestamp, mediaIdOf } from '@weir/contracts';
import type { Reading } from './reading.ts';

/** @param seenAt  when the event arrived, ms since the epoch: a URL that had expired by then came too late */
export function tasksOf(reading: Reading, seenAt: number): DownloadTask[] {
  const { assignmentId, event, statusSubtype } = reading;
  if (assignmentId === undefined) return [];
  const { traceId } = event;
  const estimateVersion = reading.data.estimateVersion;
  return reading.attachments.map((url) => {
    const mediaId = mediaIdOf(traceId, url);
    const expiresAt = expiryOf(url);
    return {
      traceId,
      mediaId,
      attachmentUrl: url,
      blobPath: blobPathOf({ statusSubtype, assignmentId, traceId, mediaId, url }),
      statusSubtype,
      fileType: fileTypeOf(url),
      assignmentId,
      eventType: event.type,
      ...(typeof estimateVersion === 'string' || typeof estimateVersion === 'number' ? { estimateVersion } : {}),
      originalTimestamp: formatTimestamp(reading.happenedAt),
      ...(isShowable(expiresAt) ? { expiresAt: formatTimestamp(expiresAt) } : {}),
      ...(expiresAt !== undefined && expiresAt <= seenAt ? { expiredAtIngest: true } : {}),
    };
  });
}

/** Years 0 to 9999: beyond them there is no ISO 8601 of four digits, and no expiry that matters. */
const isShowable = (ms: number | undefined): ms is number => ms !== undefined && ms < 253_402_300_800_000;
