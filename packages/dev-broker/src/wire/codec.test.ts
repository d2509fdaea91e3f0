import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { APIS } from '../apis/registry.ts';
import { MalformedFrameError } from '../errors.ts';
import { Reader, Writer } from './bytes.ts';
import { decodeMessage, encodeMessage } from './codec.ts';
import { array, arrayOf, type Field, int32, int64, type Layout, nullableString, string, uuid } from './layout.ts';

function roundTrip(layout: Layout, message: Record<string, unknown>, version: number, flexible: boolean): unknown {
  const writer = new Writer(16);
  encodeMessage(layout, message as never, writer, { version, flexible });
  const reader = new Reader(Buffer.concat(writer.finish()));
  const decoded = decodeMessage(layout, reader, { version, flexible });
  expect(reader.left).toBe(0);
  return decoded;
}

/** Values that a field of a version can have. */
function fieldValue(field: Field<unknown>, version: number): fc.Arbitrary<unknown> {
  const plain = ((): fc.Arbitrary<unknown> => {
    switch (field.kind) {
      case 'bool':
        return fc.boolean();
      case 'int8':
        return fc.integer({ min: -128, max: 127 });
      case 'int16':
        return fc.integer({ min: -32_768, max: 32_767 });
      case 'int32':
        return fc.integer();
      case 'int64':
        return fc.maxSafeInteger();
      case 'uuid':
        return fc.uint8Array({ minLength: 16, maxLength: 16 }).map((bytes) => Buffer.from(bytes).toString('hex'));
      case 'string':
        return fc.string({ unit: 'grapheme', maxLength: 200 });
      case 'bytes':
      case 'records':
        return fc.uint8Array({ maxLength: 600 }).map((bytes) => Buffer.from(bytes));
      case 'chunks':
        return fc.uint8Array({ minLength: 1, maxLength: 600 }).map((bytes) => [Buffer.from(bytes)]);
      case 'array':
        return fc.array(fieldValue(field.element!, version), { maxLength: 3 });
      case 'struct':
        return messageOf(field.layout!, version);
      default:
        return field.kind satisfies never;
    }
  })();
  return version >= field.nullableSince ? fc.option(plain, { freq: 8 }) : plain;
}

function messageOf(layout: Layout, version: number): fc.Arbitrary<Record<string, unknown>> {
  return fc.record(
    Object.fromEntries(
      Object.entries(layout).map(([name, field]) => {
        const carried = field.since <= version && version <= field.until;
        return [name, carried ? fieldValue(field, version) : fc.constant(field.fallback)];
      }),
    ),
  );
}

describe.each(APIS.map((api) => [api.name, api] as const))('%s', (_name, api) => {
  test('every version of both messages survives encoding and decoding', () => {
    for (let version = api.versions[0]; version <= api.versions[1]; version++) {
      const flexible = api.flexibleFrom !== undefined && version >= api.flexibleFrom;
      for (const layout of [api.request, api.response]) {
        fc.assert(
          fc.property(messageOf(layout, version), (message) => {
            expect(roundTrip(layout, message, version, flexible)).toEqual(message);
          }),
          { numRuns: 8 },
        );
      }
    }
  });
});

test('fields come and go with the version', () => {
  const layout = { a: int32(), b: string('2+'), c: int64('0-1', { fallback: -1 }) };
  expect(roundTrip(layout, { a: 1, b: 'x', c: 5 }, 1, false)).toEqual({ a: 1, b: '', c: 5 });
  expect(roundTrip(layout, { a: 1, b: 'x', c: 5 }, 2, false)).toEqual({ a: 1, b: 'x', c: -1 });
});

test('null becomes the empty value in versions that have no null', () => {
  const layout = { a: nullableString('0+', { nullable: '3+' }) };
  expect(roundTrip(layout, { a: null }, 2, false)).toEqual({ a: '' });
  expect(roundTrip(layout, { a: null }, 3, false)).toEqual({ a: null });
});

test('tagged fields are left out at their fallback, and unknown ones are skipped', () => {
  const known = { a: int32('0+', { tag: 1, fallback: -1 }), z: int32() };
  const more = { ...known, b: string('0+', { tag: 2 }), c: uuid('0+', { tag: 0 }) };
  expect(roundTrip(known, { z: 7 }, 0, true)).toEqual({ a: -1, z: 7 });
  const writer = new Writer();
  encodeMessage(more, { a: 3, z: 7, b: 'new', c: 'ab'.repeat(16) }, writer, { version: 0, flexible: true });
  const decoded = decodeMessage(known, new Reader(Buffer.concat(writer.finish())), { version: 0, flexible: true });
  expect(decoded).toEqual({ a: 3, z: 7 });
});

describe('what is malformed is refused before memory is spent on it', () => {
  const decode = (layout: Layout, bytes: number[], flexible = false) =>
    decodeMessage(layout, new Reader(Buffer.from(bytes)), { version: 0, flexible });

  test('a string longer than the frame', () => {
    expect(() => decode({ a: string() }, [0x7f, 0xff, 1])).toThrow(MalformedFrameError);
  });
  test('an array of two billion in four bytes', () => {
    expect(() => decode({ a: arrayOf(int32()) }, [0x7f, 0xff, 0xff, 0xff])).toThrow(MalformedFrameError);
  });
  test('a negative length that is not null', () => {
    expect(() => decode({ a: nullableString() }, [0xff, 0xfe])).toThrow(MalformedFrameError);
  });
  test('null where a value is required', () => {
    expect(() => decode({ a: array({ b: int32() }) }, [0xff, 0xff, 0xff, 0xff])).toThrow(MalformedFrameError);
  });
  test('a variable-length number without an end', () => {
    expect(() => decode({ a: string() }, [0xff, 0xff, 0xff, 0xff, 0xff, 0xff], true)).toThrow(MalformedFrameError);
  });
  test('a tagged field that lies about its size', () => {
    const layout = { a: int32('0+', { tag: 0 }) };
    expect(() => decode(layout, [1, 0, 9, 0, 0, 0, 1, 0, 0, 0, 0, 0], true)).toThrow(MalformedFrameError);
  });
});
