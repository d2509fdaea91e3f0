/** The result of a task: one for every final outcome, and no secret in any of them. */
import { type DownloadResult, type DownloadTask, ERROR_MESSAGE_LIMIT, formatTimestamp } from '@weir/contracts';
import { redactText, redactUrl } from '@weir/core';
import type { DeadLetterReason } from '@weir/sdk';
import type { Downloaded } from './download.ts';
import { httpStatusOf } from './outcome.ts';

/** What is known about the record that brought the task. Times in ms since the epoch. */
export interface Circumstances {
  readonly attempts: number;
  readonly replays: number;
  readonly firstSeenAt: number;
  readonly now: number;
}

export function completed(task: DownloadTask, file: Downloaded, circumstances: Circumstances): DownloadResult {
  return {
    ...common(task, circumstances),
    status: 'completed',
    httpStatus: file.httpStatus,
    bytesDownloaded: file.bytes,
    sha256: file.sha256,
    ...(file.contentType === undefined ? {} : { contentType: file.contentType }),
  };
}

export function failed(task: DownloadTask, reason: DeadLetterReason, circumstances: Circumstances): DownloadResult {
  const httpStatus = httpStatusOf(reason.cause);
  // A login that was wanted twice will be wanted for ever, although it was tried again.
  const permanent = !reason.exhausted || reason.class === 'auth';
  return {
    ...common(task, circumstances),
    status: permanent ? 'failed_permanent' : 'failed',
    ...(httpStatus === undefined ? {} : { httpStatus }),
    bytesDownloaded: 0,
    errorClass: reason.class,
    errorMessage: redactText(reason.message).toWellFormed().slice(0, ERROR_MESSAGE_LIMIT),
  };
}

function common(task: DownloadTask, { attempts, replays, firstSeenAt, now }: Circumstances) {
  return {
    traceId: task.traceId,
    mediaId: task.mediaId,
    attachmentUrl: redactUrl(task.attachmentUrl),
    blobPath: task.blobPath,
    statusSubtype: task.statusSubtype,
    fileType: task.fileType,
    assignmentId: task.assignmentId,
    eventType: task.eventType,
    originalTimestamp: task.originalTimestamp,
    attempts,
    replays,
    createdAt: formatTimestamp(Math.min(firstSeenAt, now)),
    completedAt: formatTimestamp(now),
    ...(task.expiresAt === undefined ? {} : { expiresAt: task.expiresAt }),
    ...(task.expiredAtIngest === undefined ? {} : { expiredAtIngest: task.expiredAtIngest }),
  };
}
