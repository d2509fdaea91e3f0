export { expiryOf, fileNameOf, fileTypeOf, UNKNOWN_FILE_TYPE } from './attachment.ts';
export { type BlobPathParts, blobPathOf, safePart } from './blob-path.ts';
export {
  DOWNLOAD_STATUSES,
  DownloadResult,
  type DownloadStatus,
  DownloadTask,
  ERROR_MESSAGE_LIMIT,
} from './download.ts';
export { dataOf, Event, type EventData, statusSubtypeOf } from './event.ts';
export { eventIdOf, mediaIdOf } from './ids.ts';
export { redactUrlsIn, redactValue } from './redaction.ts';
export { storeAccess, storeAccessSettings, storeUrlSetting } from './store-settings.ts';
export {
  type ColumnSpec,
  type ColumnType,
  DEAD_LETTER_STATES,
  type DeadLetterState,
  deadLetters,
  TABLES,
  type TableSpec,
  xactAttachments,
  xactEvents,
} from './tables.ts';
export { optionalText, text } from './text.ts';
export { formatTimestamp, parseTimestamp } from './timestamp.ts';
export { downloadsPending, downloadsResults, eventsRaw } from './topics.ts';
