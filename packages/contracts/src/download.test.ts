import { expect, test } from 'vitest';
import { DownloadResult, DownloadTask } from './download.ts';
import { downloadsPending, downloadsResults } from './topics.ts';

const task = {
  traceId: 't',
  mediaId: 'm',
  attachmentUrl: 'https://h.example/a.pdf?sig=1',
  blobPath: 's/a/t/m_a.pdf',
  statusSubtype: 's',
  fileType: 'PDF',
  assignmentId: 'a',
  eventType: 'x.s',
  originalTimestamp: '2026-11-21T12:00:00Z',
};
const result = {
  ...task,
  status: 'completed',
  bytesDownloaded: 3,
  attempts: 1,
  replays: 0,
  createdAt: '2026-11-21T12:00:00Z',
  completedAt: '2026-11-21T12:00:01Z',
};

test('a task keeps the full URL and fields it does not know', () => {
  expect(DownloadTask.parse({ ...task, later: 1 })).toEqual({ ...task, later: 1 });
});

test('a task whose time is unreadable is refused', () => {
  expect(DownloadTask.safeParse({ ...task, originalTimestamp: 'soon' }).success).toBe(false);
  expect(DownloadTask.safeParse({ ...task, expiresAt: 'soon' }).success).toBe(false);
  expect(DownloadTask.parse({ ...task, expiresAt: ' ' }).expiresAt).toBeUndefined();
});

test('a result has a status of the three, a real hash and a bounded message', () => {
  expect(DownloadResult.safeParse(result).success).toBe(true);
  expect(DownloadResult.safeParse({ ...result, status: 'done' }).success).toBe(false);
  expect(DownloadResult.safeParse({ ...result, sha256: 'abc' }).success).toBe(false);
  expect(DownloadResult.safeParse({ ...result, errorMessage: 'x'.repeat(501) }).success).toBe(false);
});

test('task and result share the key, so all records of an attachment share a partition', () => {
  expect(downloadsPending.key?.(DownloadTask.parse(task))).toBe('m');
  expect(downloadsResults.key?.(DownloadResult.parse(result))).toBe('m');
});
