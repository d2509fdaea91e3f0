import { describe, expect, test } from 'vitest';
import { essenceOf, FileTypes, KNOWN_FILE_TYPES } from './file-types.ts';

const all = new FileTypes(KNOWN_FILE_TYPES);
const OFFICE = 'application/vnd.openxmlformats-officedocument';

const ACCEPTED: readonly (readonly [string, string, string | Buffer])[] = [
  ['pdf', 'application/pdf', '%PDF-1.4'],
  ['pdf', 'application/pdf', `${'junk '.repeat(20)}%PDF-1.4`],
  ['xml', 'text/xml; charset=utf-8', '<a/>'],
  ['txt', 'text/plain', 'x'],
  ['csv', 'text/csv', 'a,b'],
  ['csv', 'application/vnd.ms-excel', 'a,b'],
  ['json', 'application/json', '{}'],
  ['html', 'text/html', '<p>'],
  ['htm', 'text/html', '<p>'],
  ['xls', 'application/vnd.ms-excel', 'anything'],
  ['xlsx', `${OFFICE}.spreadsheetml.sheet`, 'PK\x03\x04'],
  ['doc', 'application/msword', '{\\rtf'],
  ['docx', `${OFFICE}.wordprocessingml.document`, 'PK\x03\x04'],
  ['esx', 'application/octet-stream', 'anything'],
  ['jpg', 'image/jpeg', Buffer.from([0xff, 0xd8, 0xff, 0xe0])],
  ['jpeg', 'image/jpg', Buffer.from([0xff, 0xd8, 0xff, 0xe1])],
  ['png', 'image/png', Buffer.from([0x89, 0x50, 0x4e, 0x47, 0x0d, 0x0a, 0x1a, 0x0a])],
  ['gif', 'image/gif', 'GIF89a'],
  ['bmp', 'image/bmp', 'BM'],
  ['tif', 'image/tiff', 'II*\0'],
  ['tiff', 'image/tiff', 'MM\0*'],
  ['webp', 'image/webp', 'RIFF\x01\x02\x03\x04WEBP'],
  ['mov', 'video/quicktime', '\0\0\0\x14ftypqt  '],
  ['mp4', 'video/mp4', '\0\0\0\x18ftypmp42'],
];

describe('accepted', () => {
  test.each(ACCEPTED)('%s as %s', (type, contentType, head) => {
    all.checkName(type.toUpperCase());
    expect(all.checkContentType(type.toUpperCase(), contentType)).toBe(type);
    expect(() => all.checkHead(type, Buffer.from(head as string, 'latin1'))).not.toThrow();
  });

  test('every known type is in that table', () => {
    expect(new Set(ACCEPTED.map(([type]) => type))).toEqual(new Set(KNOWN_FILE_TYPES));
  });

  test.each([
    'application/octet-stream',
    'binary/octet-stream',
    '',
    undefined,
  ])('a png of content type %j', (contentType) => {
    expect(all.checkContentType('PNG', contentType)).toBe('png');
  });
});

describe('refused', () => {
  test.each([
    ['PDF', 'text/html'],
    ['PNG', 'image/jpeg'],
    ['XLSX', 'text/html'],
    ['UNKNOWN', 'application/octet-stream'],
    ['UNKNOWN', undefined],
    ['UNKNOWN', 'application/x-msdownload'],
  ])('%s as %s', (type, contentType) => {
    expect(() => all.checkContentType(type, contentType)).toThrow(
      expect.objectContaining({ code: 'WEIR_DOWNLOAD_FILE_REFUSED' }),
    );
  });

  test.each(
    ACCEPTED.map(([type]) => type).filter(
      (type) => !['xml', 'txt', 'csv', 'json', 'html', 'htm', 'xls', 'doc', 'esx'].includes(type),
    ),
  )('a %s that is a program, or nothing', (type) => {
    expect(() => all.checkHead(type, Buffer.from('MZ\x90\0'))).toThrow();
    expect(() => all.checkHead(type, Buffer.alloc(0))).toThrow();
  });

  test('a known type that is not in the list', () => {
    expect(() => new FileTypes(['pdf']).checkName('PNG')).toThrow();
  });
});

test('a type that the URL does not tell is told by the content type, first bytes included', () => {
  expect(all.checkContentType('UNKNOWN', 'application/pdf')).toBe('pdf');
  expect(() => new FileTypes(['png']).checkContentType('UNKNOWN', 'application/pdf')).toThrow();
});

test('with * nothing is checked', () => {
  const any = new FileTypes(['*']);
  any.checkName('EXE');
  expect(any.checkContentType('PDF', 'text/html')).toBeUndefined();
  any.checkHead(undefined, Buffer.from('MZ'));
});

test('a content type is compared without parameters and case', () => {
  expect(essenceOf(' Text/HTML ; charset=UTF-8')).toBe('text/html');
});
