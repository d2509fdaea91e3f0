/**
 * Encodes and decodes messages by their layouts. What a version carries is worked out once per layout and version;
 * flexible versions (KIP-482) use compact lengths and end every struct with its tagged fields.
 */
import { MalformedFrameError } from '../errors.ts';
import { type Reader, Writer } from './bytes.ts';
import type { Draft, Field, Layout, Message } from './layout.ts';

interface Plan {
  /** Fields in wire order. */
  readonly plain: readonly (readonly [name: string, field: Field<unknown>])[];
  readonly tagged: readonly (readonly [name: string, field: Field<unknown>])[];
  /** Fields that this version does not carry, with what decoding puts there. */
  readonly absent: readonly (readonly [name: string, field: Field<unknown>])[];
}

/** Which encoding a message of this version has. */
export interface Encoding {
  readonly version: number;
  readonly flexible: boolean;
}

const plans = new WeakMap<Layout, Map<number, Plan>>();

function planFor(layout: Layout, version: number): Plan {
  let versions = plans.get(layout);
  if (!versions) {
    versions = new Map();
    plans.set(layout, versions);
  }
  let plan = versions.get(version);
  if (!plan) {
    const entries = Object.entries(layout);
    const carried = entries.filter(([, field]) => field.since <= version && version <= field.until);
    plan = {
      plain: carried.filter(([, field]) => field.tag === undefined),
      tagged: carried
        .filter(([, field]) => field.tag !== undefined)
        .sort(([, a], [, b]) => (a.tag ?? 0) - (b.tag ?? 0)),
      absent: entries.filter((entry) => !carried.includes(entry) || entry[1].tag !== undefined),
    };
    versions.set(version, plan);
  }
  return plan;
}

export function decodeMessage<L extends Layout>(layout: L, reader: Reader, encoding: Encoding): Message<L> {
  return readStruct(layout, reader, encoding) as Message<L>;
}

function readStruct(layout: Layout, reader: Reader, encoding: Encoding): Record<string, unknown> {
  const plan = planFor(layout, encoding.version);
  const message: Record<string, unknown> = {};
  for (const [name, field] of plan.plain) message[name] = readField(field, reader, encoding);
  for (const [name, field] of plan.absent) message[name] = field.fallback;
  if (encoding.flexible) {
    for (let count = reader.uvarint(); count > 0; count--) {
      const tag = reader.uvarint();
      const size = reader.uvarint();
      const end = reader.offset + size;
      const known = plan.tagged.find(([, field]) => field.tag === tag);
      if (known) message[known[0]] = readField(known[1], reader, encoding);
      else reader.slice(size);
      if (reader.offset !== end) throw new MalformedFrameError(`tagged field ${tag} does not fill its ${size} bytes`);
    }
  }
  return message;
}

/** A length; -1 for null. */
function readLength(reader: Reader, encoding: Encoding, short: boolean): number {
  if (encoding.flexible) return reader.uvarint() - 1;
  return short ? reader.int16() : reader.int32();
}

function readField(field: Field<unknown>, reader: Reader, encoding: Encoding): unknown {
  const nullable = encoding.version >= field.nullableSince;
  switch (field.kind) {
    case 'bool':
      return reader.int8() !== 0;
    case 'int8':
      return reader.int8();
    case 'int16':
      return reader.int16();
    case 'int32':
      return reader.int32();
    case 'int64':
      return reader.int64();
    case 'uuid':
      return reader.slice(16).toString('hex');
    case 'string': {
      const length = readLength(reader, encoding, true);
      return length < 0 ? orNull(length, nullable) : reader.text(length);
    }
    case 'bytes':
    case 'records': {
      const length = readLength(reader, encoding, false);
      return length < 0 ? orNull(length, nullable) : reader.slice(length);
    }
    case 'chunks': {
      const length = readLength(reader, encoding, false);
      return length < 0 ? [] : [reader.slice(length)];
    }
    case 'array': {
      const length = readLength(reader, encoding, false);
      if (length < 0) return orNull(length, nullable);
      if (length > reader.left) throw new MalformedFrameError(`an array of ${length} in ${reader.left} bytes`);
      const values: unknown[] = [];
      for (let index = 0; index < length; index++) values.push(readField(field.element!, reader, encoding));
      return values;
    }
    case 'struct':
      return readStruct(field.layout!, reader, encoding);
    default:
      return field.kind satisfies never;
  }
}

function orNull(length: number, nullable: boolean): null {
  if (nullable && length === -1) return null;
  throw new MalformedFrameError(`length ${length} where a value is required`);
}

export function encodeMessage<L extends Layout>(
  layout: L,
  message: Draft<Message<L>>,
  writer: Writer,
  encoding: Encoding,
): void {
  writeStruct(layout, message as Record<string, unknown>, writer, encoding);
}

function writeStruct(layout: Layout, message: Record<string, unknown>, writer: Writer, encoding: Encoding): void {
  const plan = planFor(layout, encoding.version);
  for (const [name, field] of plan.plain) {
    const value = message[name];
    writeField(field, value === undefined ? field.fallback : value, writer, encoding);
  }
  if (!encoding.flexible) return;
  const present = plan.tagged.filter(([name, field]) => {
    const value = message[name];
    return value !== undefined && value !== field.fallback;
  });
  writer.uvarint(present.length);
  for (const [name, field] of present) {
    const inner = new Writer(64);
    writeField(field, message[name], inner, encoding);
    writer.uvarint(field.tag!);
    writer.uvarint(inner.size);
    for (const chunk of inner.finish()) writer.bytes(chunk);
  }
}

function writeLength(length: number, writer: Writer, encoding: Encoding, short: boolean): void {
  if (encoding.flexible) writer.uvarint(length + 1);
  else if (short) writer.int16(length);
  else writer.int32(length);
}

function writeField(field: Field<unknown>, value: unknown, writer: Writer, encoding: Encoding): void {
  if (value === null && field.kind !== 'struct') {
    if (encoding.version < field.nullableSince) writeField(field, emptyOf(field), writer, encoding);
    else writeLength(-1, writer, encoding, field.kind === 'string');
    return;
  }
  switch (field.kind) {
    case 'bool':
      writer.int8(value ? 1 : 0);
      return;
    case 'int8':
      writer.int8(value as number);
      return;
    case 'int16':
      writer.int16(value as number);
      return;
    case 'int32':
      writer.int32(value as number);
      return;
    case 'int64':
      writer.int64(value as number);
      return;
    case 'uuid':
      writer.bytes(Buffer.from(value as string, 'hex'));
      return;
    case 'string': {
      const length = Buffer.byteLength(value as string);
      writeLength(length, writer, encoding, true);
      writer.text(value as string, length);
      return;
    }
    case 'bytes':
    case 'records':
      writeLength((value as Buffer).length, writer, encoding, false);
      writer.bytes(value as Buffer);
      return;
    case 'chunks': {
      const pieces = value as readonly Buffer[];
      let length = 0;
      for (const piece of pieces) length += piece.length;
      writeLength(length, writer, encoding, false);
      for (const piece of pieces) writer.bytes(piece);
      return;
    }
    case 'array': {
      const values = value as readonly unknown[];
      writeLength(values.length, writer, encoding, false);
      for (const each of values) writeField(field.element!, each, writer, encoding);
      return;
    }
    case 'struct':
      writeStruct(field.layout!, (value ?? {}) as Record<string, unknown>, writer, encoding);
      return;
    default:
      field.kind satisfies never;
  }
}

/** What stands for null in versions that have no null. */
function emptyOf(field: Field<unknown>): unknown {
  if (field.kind === 'string') return '';
  return field.kind === 'array' ? [] : Buffer.alloc(0);
}
