import { DownloadResult, xactAttachments } from '@weir/contracts';
import { expect, test } from 'vitest';
import { resultOf } from './result.fixture.ts';
import { attachmentRow } from './row.ts';

const source = { partition: 2, offset: 7 };

test('a row has every column of the table and no other', () => {
  const row = attachmentRow(resultOf(), source);
  expect(new Set(Object.keys(row))).toEqual(new Set(xactAttachments.columns.map((column) => column.name)));
});

test('a completed and a failed result become rows of the same shape', () => {
  expect(attachmentRow(resultOf(), source)).toMatchObject({
    media_id: 'm-1',
    replays: 0,
    status: 'completed',
    bytes_downloaded: 3,
    event_date: '2026-11-21',
    completed_at: Date.UTC(2026, 10, 22, 1),
    error_class: null,
    source_partition: 2,
    source_offset: 7,
  });
  const failed = resultOf({
    status: 'failed',
    bytesDownloaded: 0,
    sha256: undefined,
    errorClass: 'transient',
    errorMessage: 'm',
  });
  expect(attachmentRow(failed, source)).toMatchObject({ status: 'failed', sha256: null, error_class: 'transient' });
});

test('what a producer left unredacted is redacted here', () => {
  const result = resultOf({
    attachmentUrl: 'https://h.example/a?sig=TOPSECRET',
    errorMessage: 'at https://h.example/a?sig=TOPSECRET',
  });
  expect(JSON.stringify(attachmentRow(result, source))).not.toContain('TOPSECRET');
});

test('a count beyond the column’s type is poison, not a failed batch', () => {
  const result = DownloadResult.parse(resultOf({ attempts: 2 ** 40 }));
  expect(() => attachmentRow(result, source)).toThrow(expect.objectContaining({ class: 'poison' }));
});
