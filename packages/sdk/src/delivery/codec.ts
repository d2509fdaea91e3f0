/** Values in and out: bytes as they are, everything else JSON checked by the topic's schema. */
import type { z } from 'zod';
import type { BytesSchema, Schema, Topic } from '../define.ts';
import { RecordUnreadableError, ValueInvalidError } from '../errors.ts';

export function isBytes(schema: Schema): schema is BytesSchema {
  return (schema as BytesSchema).kind === 'bytes';
}

const utf8 = new TextDecoder('utf-8', { fatal: true });

/** @throws RecordUnreadableError when the bytes are no UTF-8, no JSON, or do not match the schema */
export function decode(topic: Topic, raw: Buffer | null): unknown {
  const schema = topic.schema;
  if (isBytes(schema)) return raw ?? Buffer.alloc(0);
  if (raw === null) throw new RecordUnreadableError(`a tombstone (no value) on topic "${topic.name}"`);
  let data: unknown;
  try {
    data = JSON.parse(utf8.decode(raw));
  } catch (error) {
    throw new RecordUnreadableError(`not JSON in UTF-8: ${(error as Error).message}`, { cause: error });
  }
  const parsed = schema.safeParse(data);
  if (!parsed.success)
    throw new RecordUnreadableError(`does not match the schema of "${topic.name}": ${problems(parsed.error)}`);
  return parsed.data;
}

export interface Encoded {
  readonly key: string | null;
  readonly value: Buffer;
}

/** @throws ValueInvalidError when the value does not match the topic's schema */
export function encode(topic: Topic, value: unknown): Encoded {
  const schema = topic.schema;
  if (isBytes(schema)) {
    if (!(value instanceof Uint8Array)) throw new ValueInvalidError(topic.name, 'the topic takes bytes (a Uint8Array)');
    const buffer = Buffer.from(value.buffer, value.byteOffset, value.byteLength);
    return { key: topic.key?.(buffer as never) ?? null, value: buffer };
  }
  const parsed = schema.safeParse(value);
  if (!parsed.success) throw new ValueInvalidError(topic.name, problems(parsed.error));
  return { key: topic.key?.(parsed.data as never) ?? null, value: Buffer.from(JSON.stringify(parsed.data), 'utf8') };
}

function problems(error: z.ZodError): string {
  return error.issues
    .slice(0, 5)
    .map((issue) => `${issue.path.length > 0 ? issue.path.join('.') : 'value'}: ${issue.message}`)
    .join('; ');
}
