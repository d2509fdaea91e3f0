/**
 * Kafka's messages as data. A layout names the fields of a message in wire order; each field has a type and the
 * versions that carry it, in the notation of Kafka's own schemas ('0+', '3-7', '2'). The codec reads layouts, and
 * TypeScript derives the message's type from them, so an API is declared once.
 *
 * A decoded message has every field of the layout: the ones its version lacks hold their fallback. A message to be
 * encoded may omit any field.
 */

export type Kind =
  | 'bool'
  | 'int8'
  | 'int16'
  | 'int32'
  | 'int64'
  | 'uuid'
  | 'string'
  | 'bytes'
  | 'records'
  | 'chunks'
  | 'array'
  | 'struct';

export interface Field<T> {
  readonly kind: Kind;
  /** First and last version that carry the field. */
  readonly since: number;
  readonly until: number;
  /** First version in which null may stand for the value; Infinity when none. */
  readonly nullableSince: number;
  /** Set for a tagged field (flexible versions only). */
  readonly tag: number | undefined;
  /** The value where the field is absent. */
  readonly fallback: T;
  /** Element of an array. */
  readonly element: Field<unknown> | undefined;
  /** Fields of a struct. */
  readonly layout: Layout | undefined;
}

export interface Layout {
  readonly [name: string]: Field<unknown>;
}

/** What decoding a layout gives. */
export type Message<L extends Layout> = { -readonly [K in keyof L]: L[K] extends Field<infer T> ? T : never };

type Plain = string | number | boolean | null | undefined | Uint8Array;
/** What encoding takes: every field optional, at every depth. */
export type Draft<T> = T extends Plain
  ? T
  : T extends readonly (infer E)[]
    ? readonly Draft<E>[]
    : { readonly [K in keyof T]?: Draft<T[K]> };

interface Options<T> {
  readonly tag?: number;
  readonly fallback?: T;
  /** Versions in which null is allowed; the field's own when absent and the field is nullable. */
  readonly nullable?: string;
}

const VERSIONS = /^(\d+)(?:(\+)|-(\d+))?$/;

function parseVersions(text: string): [since: number, until: number] {
  const match = VERSIONS.exec(text);
  if (!match) throw new RangeError(`"${text}" is no version range; write 3+, 0-7 or 2`);
  const since = Number(match[1]);
  if (match[2]) return [since, Number.POSITIVE_INFINITY];
  return [since, match[3] === undefined ? since : Number(match[3])];
}

function field<T>(
  kind: Kind,
  fallback: T,
  versions: string,
  options: Options<T>,
  rest: { nullable?: boolean; element?: Field<unknown>; layout?: Layout } = {},
): Field<T> {
  const [since, until] = parseVersions(versions);
  const nullableSince = rest.nullable
    ? options.nullable === undefined
      ? since
      : parseVersions(options.nullable)[0]
    : Number.POSITIVE_INFINITY;
  return {
    kind,
    since,
    until,
    nullableSince,
    tag: options.tag,
    fallback: options.fallback === undefined ? fallback : options.fallback,
    element: rest.element,
    layout: rest.layout,
  };
}

export const bool = (versions = '0+', options: Options<boolean> = {}) => field('bool', false, versions, options);
export const int8 = (versions = '0+', options: Options<number> = {}) => field('int8', 0, versions, options);
export const int16 = (versions = '0+', options: Options<number> = {}) => field('int16', 0, versions, options);
export const int32 = (versions = '0+', options: Options<number> = {}) => field('int32', 0, versions, options);
/** A 64-bit integer as a number: exact up to 2^53, which no offset or timestamp of a development broker passes. */
export const int64 = (versions = '0+', options: Options<number> = {}) => field('int64', 0, versions, options);
/** 16 bytes, in hexadecimal without dashes. */
export const uuid = (versions = '0+', options: Options<string> = {}) => field('uuid', NO_UUID, versions, options);
export const string = (versions = '0+', options: Options<string> = {}) => field('string', '', versions, options);
export const nullableString = (versions = '0+', options: Options<string | null> = {}) =>
  field<string | null>('string', null, versions, options, { nullable: true });
export const bytes = (versions = '0+', options: Options<Buffer> = {}) => field('bytes', EMPTY, versions, options);
/** Record batches as one piece; used where they are read. */
export const records = (versions = '0+', options: Options<Buffer | null> = {}) =>
  field<Buffer | null>('records', null, versions, options, { nullable: true });
/** Record batches as the pieces they are stored in; used where they are written, so that nothing is copied. */
export const chunks = (versions = '0+', options: Options<readonly Buffer[]> = {}) =>
  field<readonly Buffer[]>('chunks', [], versions, options);

export const arrayOf = <T>(element: Field<T>, versions = '0+', options: Options<T[]> = {}): Field<T[]> =>
  field<T[]>('array', [], versions, options, { element });
export const array = <L extends Layout>(layout: L, versions = '0+', options: Options<Message<L>[]> = {}) =>
  field<Message<L>[]>('array', [], versions, options, { element: struct(layout) });
export const nullableArray = <L extends Layout>(
  layout: L,
  versions = '0+',
  options: Options<Message<L>[] | null> = {},
) => field<Message<L>[] | null>('array', [], versions, options, { nullable: true, element: struct(layout) });
export const nullableArrayOf = <T>(element: Field<T>, versions = '0+', options: Options<T[] | null> = {}) =>
  field<T[] | null>('array', [], versions, options, { nullable: true, element });

/** Fields in a row, as the element of an array or in a tagged field. */
export const struct = <L extends Layout>(layout: L, versions = '0+', options: Options<Message<L> | null> = {}) =>
  field<Message<L>>('struct', null as unknown as Message<L>, versions, options as Options<Message<L>>, { layout });

const EMPTY = Buffer.alloc(0);
export const NO_UUID = '0'.repeat(32);
