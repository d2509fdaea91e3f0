import { DownloadTask, mediaIdOf } from '@weir/contracts';
import { expect, test } from 'vitest';
import { eventOf } from './event.fixture.ts';
import { readEvent } from './reading.ts';
import { tasksOf } from './tasks.ts';

const now = Date.UTC(2026, 10, 22);

test('one task per attachment, with the whole URL and what is derived from it', () => {
  const url = 'https://h.example/a/photo 1.jpg?X-Amz-Signature=TOPSECRET';
  const tasks = tasksOf(readEvent(eventOf()), now);
  expect(tasks).toHaveLength(2);
  expect(tasks[0]).toEqual({
    traceId: 'trace-1',
    mediaId: mediaIdOf('trace-1', url),
    attachmentUrl: url,
    blobPath: `documentsReceived/A-1/trace-1/${mediaIdOf('trace-1', url).slice(0, 8)}_photo 1.jpg`,
    statusSubtype: 'documentsReceived',
    fileType: 'JPG',
    assignmentId: 'A-1',
    eventType: 'verisk.claims.property.xn.documentsReceived',
    estimateVersion: 3,
    originalTimestamp: '2026-11-22T01:30:00.123Z',
  });
  for (const task of tasks) expect(DownloadTask.parse(task)).toEqual(task);
});

test('an event read again gives the same tasks', () => {
  expect(tasksOf(readEvent(eventOf()), now)).toEqual(tasksOf(readEvent(eventOf()), now + 1000));
});

test('no assignment, no tasks', () => {
  expect(tasksOf(readEvent(eventOf({ data: { attachments: ['https://h.example/a'] } })), now)).toEqual([]);
});

test('a presigned URL tells when it runs out, and whether it came too late', () => {
  const sign = (date: string) => `https://h.example/a.pdf?X-Amz-Date=${date}&X-Amz-Expires=3600`;
  const data = { assignmentId: 'A', attachments: [sign('20261122T000000Z'), sign('20261121T000000Z')] };
  const [later, late] = tasksOf(readEvent(eventOf({ data })), now);
  expect(later).toMatchObject({ expiresAt: '2026-11-22T01:00:00.000Z' });
  expect(later).not.toHaveProperty('expiredAtIngest');
  expect(late).toMatchObject({ expiresAt: '2026-11-21T01:00:00.000Z', expiredAtIngest: true });
});

test('what is no URL makes a task all the same: its refusal is a row', () => {
  const data = { assignmentId: 'A', attachments: ['not a url', 'ftp://h.example/a.pdf'] };
  const tasks = tasksOf(readEvent(eventOf({ data })), now);
  expect(tasks.map((task) => task.fileType)).toEqual(['UNKNOWN', 'PDF']);
  for (const task of tasks) expect(DownloadTask.safeParse(task).success).toBe(true);
});
