/**
 * Identities that are computed, never drawn: the same event gives the same ids on every attempt, in every process. That
 * is what lets a row be written once however often its record is read. UUID version 5 (SHA-1 of a namespace and a name).
 */
import { v5 } from 'uuid';

const EVENT_NAMESPACE = v5('http://nsmkdvPipe/event_id', v5.URL);
const MEDIA_NAMESPACE = v5('http://nsmkdvPipe/media_id', v5.URL);

/** Id of an event that brings none. */
export const eventIdOf = (traceId: string): string => v5(traceId, EVENT_NAMESPACE);

/** Id of one attachment of one event: the whole URL counts, query included. */
export const mediaIdOf = (traceId: string, url: string): string => v5(`${traceId}:${url}`, MEDIA_NAMESPACE);
