import { describe, expect, test } from 'vitest';
import { expiryOf, fileNameOf, fileTypeOf } from './attachment.ts';

describe('file type', () => {
  test.each([
    ['https://h.example/a/b/photo.jpg?X-Amz-Signature=s', 'JPG'],
    ['https://h.example/estimate.ESX', 'ESX'],
    ['https://h.example/a.b/getdoc?filename=report%20final.pdf', 'PDF'],
    ['https://h.example/getdoc?FileName=photo.png', 'PNG'],
    ['https://h.example/getdoc?file=a.tif&name=b.mov', 'TIF'],
    ['https://h.example/getdoc?name=b.mov', 'MOV'],
    ['https://h.example/getdoc?id=7', 'UNKNOWN'],
    ['https://h.example/folder.d/', 'UNKNOWN'],
    ['https://h.example/.bashrc', 'UNKNOWN'],
    ['https://h.example/photo.', 'UNKNOWN'],
    ['https://h.example/archive.tar.gz', 'GZ'],
    ['https://h.example/caf%C3%A9.pdf', 'PDF'],
    ['https://h.example/caf%E9.pdf', 'PDF'],
    ['no url at all.pdf', 'UNKNOWN'],
  ])('%s is %s', (url, type) => {
    expect(fileTypeOf(url)).toBe(type);
  });
});

describe('file name', () => {
  test.each([
    ['https://h.example/a/Caf%C3%A9%20menu.pdf', 'Café menu.pdf'],
    ['https://h.example/getdoc?filename=../../etc/passwd.txt', 'passwd.txt'],
    ['https://h.example/getdoc', 'getdoc'],
    ['https://h.example/', ''],
    ['https://h.example/a%2Fb.pdf', 'a/b.pdf'],
  ])('%s names %j', (url, name) => {
    expect(fileNameOf(url)).toBe(name);
  });
});

describe('expiry of a presigned URL', () => {
  const noon = Date.UTC(2026, 10, 21, 12);
  test.each([
    ['S3 version 4', 'X-Amz-Date=20261121T120000Z&X-Amz-Expires=3600&X-Amz-Signature=s', noon + 3_600_000],
    ['S3 version 4, lower case', 'x-amz-date=20261121T120000Z&x-amz-expires=1', noon + 1000],
    ['S3 version 2', `AWSAccessKeyId=a&Expires=${noon / 1000}&Signature=s`, noon],
    ['milliseconds', `systemDate=${noon}&expires=3600000`, noon + 3_600_000],
    ['milliseconds and a duration that can only be seconds', `systemDate=${noon}&expires=3600`, noon + 3_600_000],
    ['seconds', `systemDate=${noon / 1000}&expires=3600`, noon + 3_600_000],
    ['a date as text', 'systemDate=2026-11-21T12:00:00Z&expires=3600', noon + 3_600_000],
    ['an absolute end', `systemDate=${noon}&expires=${noon + 5}`, noon + 5],
  ])('%s', (_, query, expected) => {
    expect(expiryOf(`https://h.example/f.pdf?${query}`)).toBe(expected);
  });

  test.each([
    'https://h.example/f.pdf',
    'https://h.example/f.pdf?expires=3600',
    'https://h.example/f.pdf?X-Amz-Date=20261121T120000Z',
    'https://h.example/f.pdf?X-Amz-Date=20261399T120000Z&X-Amz-Expires=60',
    'https://h.example/f.pdf?X-Amz-Date=20261121T120000Z&X-Amz-Expires=soon',
    'https://h.example/f.pdf?systemDate=yesterday&expires=3600',
    'not a url',
  ])('%s does not say', (url) => {
    expect(expiryOf(url)).toBeUndefined();
  });
});
