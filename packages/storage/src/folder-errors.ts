/**
 * What an error of the file system means to those who use a store: the object is not there, its key cannot be one here, the
 * folder is not ours, or the disk is full or busy and will be well again.
 */
import {
  InvalidKeyError,
  ObjectNotFoundError,
  StoreAccessDeniedError,
  StoreRefusedError,
  StoreUnavailableError,
} from './errors.ts';

const UNAVAILABLE = new Set(['ENOSPC', 'EDQUOT', 'EIO', 'EMFILE', 'ENFILE', 'EBUSY', 'ETIMEDOUT', 'ESTALE', 'EAGAIN']);

export function codeOf(error: unknown): string {
  const code = (error as { code?: unknown } | null)?.code;
  return typeof code === 'string' ? code : '';
}

/** Nothing is there: neither the file, nor perhaps a folder on the way to it. */
export function isMissing(error: unknown): boolean {
  return codeOf(error) === 'ENOENT' || codeOf(error) === 'ENOTDIR';
}

/**
 * @param at.key  '' when the operation is about the whole folder
 * @returns one of errors.ts; what is one already comes back as it is
 */
export function storeError(error: unknown, at: { location: string; operation: string; key: string }): unknown {
  const { location, operation, key } = at;
  const code = codeOf(error);
  if (code.startsWith('WEIR_')) return error;
  if (code === 'ENOENT') return new ObjectNotFoundError(key, location, { cause: error });
  if (code === 'EISDIR' || code === 'ENOTDIR' || code === 'EEXIST' || code === 'ENOTEMPTY') {
    if (operation === 'get') return new ObjectNotFoundError(key, location, { cause: error });
    return new InvalidKeyError(key, 'a part of it is an object where a folder is needed, or the reverse', {
      cause: error,
    });
  }
  const what = key === '' ? operation : `${operation} of ${key}`;
  if (code === 'EACCES' || code === 'EPERM' || code === 'EROFS') {
    return new StoreAccessDeniedError(location, what, error);
  }
  if (UNAVAILABLE.has(code)) return new StoreUnavailableError(location, what, error);
  return new StoreRefusedError(location, what, error);
}
