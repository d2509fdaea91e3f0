/**
 * The names that the pipeline derives: event id and media id, both UUIDv5. Written here a second time on
 * purpose: the ledger is the oracle that the demo verifies against, and an oracle that shares the code it checks would
 * agree with its mistakes.
 */
import { createHash } from 'node:crypto';

const NAMESPACE_URL = '6ba7b811-9dad-11d1-80b4-00c04fd430c8';

/** RFC 9562, version 5: SHA-1 of the namespace's bytes and the name. */
export function uuidV5(namespace: string, name: string): string {
  const digest = createHash('sha1')
    .update(Buffer.from(namespace.replaceAll('-', ''), 'hex'))
    .update(name, 'utf8')
    .digest()
    .subarray(0, 16);
  digest[6] = (digest[6]! & 0x0f) | 0x50;
  digest[8] = (digest[8]! & 0x3f) | 0x80;
  const hex = digest.toString('hex');
  return `${hex.slice(0, 8)}-${hex.slice(8, 12)}-${hex.slice(12, 16)}-${hex.slice(16, 20)}-${hex.slice(20)}`;
}

const EVENT_NAMESPACE = uuidV5(NAMESPACE_URL, 'http://nsmkdvPipe/event_id');
const MEDIA_NAMESPACE = uuidV5(NAMESPACE_URL, 'http://nsmkdvPipe/media_id');

export function eventIdOf(traceId: string): string {
  return uuidV5(EVENT_NAMESPACE, traceId);
}

export function mediaIdOf(traceId: string, url: string): string {
  return uuidV5(MEDIA_NAMESPACE, `${traceId}:${url}`);
}
