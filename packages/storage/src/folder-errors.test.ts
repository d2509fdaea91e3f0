import { expect, test } from 'vitest';
import {
  InvalidKeyError,
  ObjectNotFoundError,
  StoreAccessDeniedError,
  StoreRefusedError,
  StoreUnavailableError,
} from './errors.ts';
import { isMissing, storeError } from './folder-errors.ts';

const failure = (code: string) => Object.assign(new Error(`${code}: something`), { code });
const seen = (code: string, operation = 'put') =>
  storeError(failure(code), { location: 'file:///data', operation, key: 'a/b' });

test.each([
  ['ENOENT', ObjectNotFoundError],
  ['ENOTDIR', InvalidKeyError],
  ['EISDIR', InvalidKeyError],
  ['EACCES', StoreAccessDeniedError],
  ['EROFS', StoreAccessDeniedError],
  ['ENOSPC', StoreUnavailableError],
  ['EMFILE', StoreUnavailableError],
  ['ELOOP', StoreRefusedError],
])('%s', (code, kind) => {
  const error = seen(code) as Error;
  expect(error).toBeInstanceOf(kind);
  expect(error.cause).toMatchObject({ code });
});

test('a folder where an object is looked for is no object', () => {
  expect(seen('EISDIR', 'get')).toBeInstanceOf(ObjectNotFoundError);
  expect(seen('ENOTDIR', 'get')).toBeInstanceOf(ObjectNotFoundError);
});

test('what is an error of the store already stays as it is', () => {
  const error = new ObjectNotFoundError('a/b', 'file:///data');
  expect(storeError(error, { location: 'file:///data', operation: 'put', key: 'a/b' })).toBe(error);
});

test('missing is a file that is not there, or a way to it that cannot be', () => {
  expect(['ENOENT', 'ENOTDIR', 'EACCES'].map((code) => isMissing(failure(code)))).toEqual([true, true, false]);
  expect(isMissing(undefined)).toBe(false);
});
