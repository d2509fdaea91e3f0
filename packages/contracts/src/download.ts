/**
 * What goes between the ingester and the download worker, and from there to the results: one task per attachment, one
 * result per final outcome. Attempts and errors of a task travel in headers, never in its value.
 */
import { ERROR_CLASSES } from '@weir/sdk';
import { z } from 'zod';
import { optionalText, text } from './text.ts';
import { parseTimestamp } from './timestamp.ts';

const time = text.refine((value) => parseTimestamp(value) !== undefined, 'is not an ISO 8601 time');
const optionalTime = optionalText.refine(
  (value) => value === undefined || parseTimestamp(value) !== undefined,
  'is not an ISO 8601 time',
);
const count = z.number().int().nonnegative();

const common = {
  traceId: text.describe('Trace id of the event.'),
  mediaId: text.describe('UUIDv5 of `{traceId}:{url}`; key of the topic.'),
  blobPath: text.describe('Key in the object store.'),
  statusSubtype: text.describe('Last dotted part of the event’s type.'),
  fileType: text.describe('Extension in capitals, or `UNKNOWN`.'),
  assignmentId: text.describe('Assignment the attachment belongs to.'),
  eventType: text.describe('The event’s type.'),
  originalTimestamp: time.describe('`utcDateTime` of the event, ISO 8601.'),
  expiresAt: optionalTime.describe('When the presigned URL runs out, ISO 8601.'),
  expiredAtIngest: z.boolean().optional().describe('The URL had run out before the ingester saw it.'),
};

export const DownloadTask = z.looseObject({
  ...common,
  attachmentUrl: text.describe('The whole URL, its signature included: redact it before showing it to anybody.'),
  estimateVersion: z.union([z.string(), z.number()]).nullish().describe('`data.estimateVersion` of the event.'),
});
export type DownloadTask = z.output<typeof DownloadTask>;

export const DOWNLOAD_STATUSES = ['completed', 'failed', 'failed_permanent'] as const;
export type DownloadStatus = (typeof DOWNLOAD_STATUSES)[number];

/** Longest `errorMessage`, characters. */
export const ERROR_MESSAGE_LIMIT = 500;

export const DownloadResult = z.looseObject({
  ...common,
  attachmentUrl: text.describe('The URL without its query.'),
  status: z
    .enum(DOWNLOAD_STATUSES)
    .describe('`completed`; `failed`: retries used up; `failed_permanent`: refused for good.'),
  httpStatus: z.number().int().min(100).max(599).optional().describe('Status of the last answer, when there was one.'),
  bytesDownloaded: count.describe('Bytes stored; 0 unless completed.'),
  sha256: z
    .string()
    .regex(/^[0-9a-f]{64}$/)
    .optional()
    .describe('SHA-256 of the stored bytes, hex.'),
  contentType: optionalText.describe('Content type of the answer.'),
  attempts: count.describe('Calls made, the last one included.'),
  replays: count.describe('How often an operator replayed the task.'),
  errorClass: z.enum(ERROR_CLASSES).optional().describe('Class of the error.'),
  errorMessage: z
    .string()
    .max(ERROR_MESSAGE_LIMIT)
    .optional()
    .describe(`What went wrong, secrets removed, ${ERROR_MESSAGE_LIMIT} characters at most.`),
  createdAt: time.describe('When the task was first seen, ISO 8601.'),
  completedAt: time.describe('When the outcome was known, ISO 8601.'),
});
export type DownloadResult = z.output<typeof DownloadResult>;
