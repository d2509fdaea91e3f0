/**
 * Keys. The rules are the same for every store, the strictest of all: what works on a developer's folder works in a
 * bucket, and no key that came from outside can leave the store's root.
 */
import { InvalidKeyError } from './errors.ts';

/** Where a folder store keeps what is not whole yet; no object may live there, in any store. */
export const TEMPORARY = '.weir-tmp';

const LONGEST_KEY_BYTES = 1024;
const LONGEST_PART_BYTES = 255;
// biome-ignore lint/suspicious/noControlCharactersInRegex: control characters are what it looks for
const CONTROL = /[\u0000-\u001f\u007f]/;

/** @throws InvalidKeyError naming the rule that is broken */
export function checkKey(key: string): void {
  if (key === '') throw new InvalidKeyError(key, 'it is empty');
  if (key.startsWith('/')) throw new InvalidKeyError(key, 'it starts with a slash');
  if (CONTROL.test(key)) throw new InvalidKeyError(key, 'it has a control character');
  if (key.includes('\\')) throw new InvalidKeyError(key, 'it has a backslash');
  if (!key.isWellFormed()) throw new InvalidKeyError(key, 'it has half a surrogate pair');
  if (Buffer.byteLength(key) > LONGEST_KEY_BYTES)
    throw new InvalidKeyError(key, `it is over ${LONGEST_KEY_BYTES} bytes`);
  const parts = key.split('/');
  if (parts[0] === TEMPORARY) throw new InvalidKeyError(key, `${TEMPORARY} is where unfinished writes live`);
  for (const part of parts) {
    if (part === '') throw new InvalidKeyError(key, 'it has an empty part (two slashes together, or one at the end)');
    if (part === '.' || part === '..') throw new InvalidKeyError(key, `it has a part "${part}"`);
    if (Buffer.byteLength(part) > LONGEST_PART_BYTES) {
      throw new InvalidKeyError(key, `a part is over ${LONGEST_PART_BYTES} bytes`);
    }
  }
}

/** A prefix to list: empty, or the beginning of a key, cut anywhere. */
export function checkPrefix(prefix: string): void {
  if (prefix.startsWith('/') || CONTROL.test(prefix) || prefix.includes('\\') || prefix.includes('//')) {
    throw new InvalidKeyError(prefix, 'a prefix is the beginning of a key');
  }
  if (prefix.split('/').some((part) => part === '.' || part === '..')) {
    throw new InvalidKeyError(prefix, 'it has a part "." or ".."');
  }
}

/** Order of keys in every listing: bytes of UTF-8, as S3 sorts. */
export function compareKeys(a: string, b: string): number {
  return Buffer.compare(Buffer.from(a), Buffer.from(b));
}
