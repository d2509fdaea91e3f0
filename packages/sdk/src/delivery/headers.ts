/**
 * The story of a record that has failed before, told in `weir-*` headers. They are believed only when `weir-group`
 * names a group of the topology that reads this topic: anybody can write headers, so from anywhere else they change
 * nothing (and are counted). `send` never forwards them; destinations never come from them.
 */
import type { ErrorClass } from '../errors.ts';
import type { RawHeaders, TopicPartition } from '../kafka/port.ts';

export const HEADER = {
  schema: 'weir-schema',
  producer: 'weir-producer',
  group: 'weir-group',
  attempt: 'weir-attempt',
  firstSeen: 'weir-first-seen',
  dueAt: 'weir-due-at',
  errorClass: 'weir-error-class',
  error: 'weir-error',
  origin: 'weir-origin',
  replays: 'weir-replays',
  parked: 'weir-parked',
  /** How the value of a dead letter was changed to fit: `gzip`, or `pointer` (origin, size and hash only). */
  encoding: 'weir-encoding',
} as const;

export interface Story {
  readonly group: string;
  readonly attempt: number;
  readonly replays: number;
  readonly parked: number;
  /** Milliseconds since the epoch when the record was first handled; undefined when not told. */
  readonly firstSeen: number | undefined;
  /** First origin: topic/partition/offset. */
  readonly origin: string | undefined;
}

export function headerText(headers: RawHeaders | undefined, name: string): string | undefined {
  const raw = headers?.[name];
  if (raw === undefined) return undefined;
  const value = Array.isArray(raw) ? raw[0] : raw;
  return typeof value === 'string' ? value : value?.toString('utf8');
}

/** A whole number from a header within bounds; anything else is the fallback. */
function whole(text: string | undefined, fallback: number, most: number): number {
  if (text === undefined || !/^\d{1,15}$/.test(text)) return fallback;
  return Math.min(Number(text), most);
}

/** What the headers tell, unchecked but for their form. Undefined when there is no `weir-group`. */
export function readStory(headers: RawHeaders | undefined): Story | undefined {
  const group = headerText(headers, HEADER.group);
  if (group === undefined) return undefined;
  const firstSeen = whole(headerText(headers, HEADER.firstSeen), 0, Number.MAX_SAFE_INTEGER);
  return {
    group,
    attempt: whole(headerText(headers, HEADER.attempt), 0, 1000),
    replays: whole(headerText(headers, HEADER.replays), 0, 1_000_000),
    parked: whole(headerText(headers, HEADER.parked), 0, 1000),
    firstSeen: firstSeen === 0 ? undefined : firstSeen,
    origin: headerText(headers, HEADER.origin),
  };
}

/** Every header as text, `weir-*` left out. */
export function plainHeaders(headers: RawHeaders | undefined): Record<string, string> {
  const plain: Record<string, string> = {};
  for (const name in headers) {
    if (name.startsWith('weir-')) continue;
    const text = headerText(headers, name);
    if (text !== undefined) plain[name] = text;
  }
  return plain;
}

/** All `weir-*` headers of a fetched record as text, unchecked: for services on the retry and dead-letter path. */
export function storyHeaders(headers: RawHeaders | undefined): Record<string, string> {
  const story: Record<string, string> = {};
  for (const name in headers) {
    if (!name.startsWith('weir-')) continue;
    const text = headerText(headers, name);
    if (text !== undefined) story[name] = text;
  }
  return story;
}

export function originOf(record: TopicPartition & { readonly offset: number }): string {
  return `${record.topic}/${record.partition}/${record.offset}`;
}

/** Header values have a length that people can still read and brokers accept. */
export const ERROR_HEADER_BYTES = 1024;

/** The text cut to at most `bytes` of UTF-8, never within a character. */
export function cutBytes(text: string, bytes: number): string {
  const buffer = Buffer.from(text, 'utf8');
  if (buffer.length <= bytes) return text;
  let end = bytes;
  while (end > 0 && (buffer[end]! & 0xc0) === 0x80) end--;
  return buffer.toString('utf8', 0, end);
}

export interface FailureStory {
  readonly group: string;
  readonly attempt: number;
  readonly replays: number;
  readonly parked: number;
  readonly firstSeen: number;
  readonly origin: string;
  readonly errorClass: ErrorClass;
  /** One line, secrets removed. */
  readonly error: string;
  readonly dueAt?: number;
}

export function failureHeaders(story: FailureStory): Record<string, string> {
  return {
    [HEADER.group]: story.group,
    [HEADER.attempt]: String(story.attempt),
    [HEADER.replays]: String(story.replays),
    [HEADER.parked]: String(story.parked),
    [HEADER.firstSeen]: String(story.firstSeen),
    [HEADER.origin]: story.origin,
    [HEADER.errorClass]: story.errorClass,
    [HEADER.error]: cutBytes(story.error, ERROR_HEADER_BYTES),
    ...(story.dueAt === undefined ? {} : { [HEADER.dueAt]: String(story.dueAt) }),
  };
}
