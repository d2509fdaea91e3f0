/**
 * Where an attachment is stored: `{statusSubtype}/{assignmentId}/{traceId}/{mediaId8}_{file}`. Every part may come from
 * outside, so every part is made harmless: no separator, no control character, never dots only, 180 bytes at most
 * (a folder store allows 255, an S3 key 1,024 in all). The first eight hex digits of the media id keep two files of one
 * name apart within an event; the replaced system lost 1.4 % of its attachments for want of them.
 */
import { fileNameOf } from './attachment.ts';

const PART_BYTES = 180;
/** Separators, what Windows forbids, what a URL would read as syntax, control characters, line and direction marks. */
const UNSAFE = /[/\\:*?"<>|%#\p{Cc}\p{Cs}\p{Zl}\p{Zp}\u061c\u200e\u200f\u202a-\u202e\u2066-\u2069\ufffd]/gu;

export interface BlobPathParts {
  readonly statusSubtype: string;
  readonly assignmentId: string;
  readonly traceId: string;
  readonly mediaId: string;
  readonly url: string;
}

export function blobPathOf(parts: BlobPathParts): string {
  const prefix = `${parts.mediaId.replaceAll('-', '').slice(0, 8)}_`;
  const file = fitName(clean(fileNameOf(parts.url)) || 'file', PART_BYTES - prefix.length);
  return [
    safePart(parts.statusSubtype),
    safePart(parts.assignmentId),
    safePart(parts.traceId),
    safePart(prefix + file),
  ].join('/');
}

/** One part of a path: never empty, never dots only, never a separator or a control character, 180 bytes at most. */
export function safePart(part: string): string {
  const cut = cutBytes(clean(part), PART_BYTES).trim();
  return /^\.*$/.test(cut) ? '_'.repeat(Math.max(1, cut.length)) : cut;
}

function clean(part: string): string {
  return part.toWellFormed().normalize('NFC').replace(UNSAFE, '_').trim();
}

/** Shortens the name, not its extension: what opens the file depends on it. */
function fitName(name: string, limit: number): string {
  if (Buffer.byteLength(name) <= limit) return name;
  const extension = /\.[a-z0-9]{1,10}$/i.exec(name)?.[0] ?? '';
  return cutBytes(name.slice(0, name.length - extension.length), limit - extension.length).trim() + extension;
}

/** The longest beginning that fits, never half a character. */
function cutBytes(value: string, limit: number): string {
  const bytes = Buffer.from(value);
  if (bytes.length <= limit) return value;
  let end = limit;
  while (end > 0 && (bytes[end]! & 0xc0) === 0x80) end--;
  return bytes.toString('utf8', 0, end);
}
