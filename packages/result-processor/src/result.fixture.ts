import { DownloadResult } from '@weir/contracts';

/** A completed result, checked by its schema. */
export const resultOf = (over: Record<string, unknown> = {}): DownloadResult =>
  DownloadResult.parse({
    traceId: 't-1',
    mediaId: 'm-1',
    attachmentUrl: 'https://h.example/a.pdf',
    blobPath: 's/a/t/m_a.pdf',
    statusSubtype: 's',
    fileType: 'PDF',
    assignmentId: 'a',
    eventType: 'x.s',
    originalTimestamp: '2026-11-21T23:00:00Z',
    status: 'completed',
    httpStatus: 200,
    bytesDownloaded: 3,
    sha256: 'a'.repeat(64),
    attempts: 1,
    replays: 0,
    createdAt: '2026-11-22T00:00:00Z',
    completedAt: '2026-11-22T01:00:00Z',
    ...over,
  });
