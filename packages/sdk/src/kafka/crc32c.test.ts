import fc from 'fast-check';
import { expect, test } from 'vitest';
import { crc32c, slicingBy8 } from './crc32c.ts';

const tables = slicingBy8();

test('the check value of the standard', () => {
  const digits = Buffer.from('123456789');
  expect(crc32c(digits)).toBe(0xe3069283);
  expect(tables(digits)).toBe(0xe3069283);
  expect(tables(Buffer.alloc(0))).toBe(0);
});

test('tables and native module agree on any bytes', () => {
  fc.assert(fc.property(fc.uint8Array({ maxLength: 300 }), (bytes) => tables(bytes) === crc32c(bytes)));
});
