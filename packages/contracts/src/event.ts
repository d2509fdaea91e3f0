/**
 * The event, as the outside sends it. The schema checks only what every event must have; `data` is free and is read by
 * `dataOf`, because an event whose `data` is broken must still be told apart from one that has none.
 */
import { PermanentError } from '@weir/sdk';
import { z } from 'zod';
import { optionalText, text } from './text.ts';

export const Event = z.looseObject({
  type: text.describe(
    'Dotted name, e.g. `verisk.claims.property.xn.documentsReceived`; the last part is the status subtype.',
  ),
  version: z.union([text, z.number()]).describe('Version of the event’s type; a number or text.'),
  utcDateTime: text.describe('When it happened, ISO 8601; without a zone it is UTC.'),
  traceId: text.describe('Identity of the claim’s transaction; key of the topic.'),
  eventId: optionalText.describe('Identity of the event; UUIDv5 of the trace id when absent.'),
  data: z
    .union([z.record(z.string(), z.unknown()), z.string()])
    .nullish()
    .describe('Object, or the same as JSON text: `assignmentId`, `estimateVersion?`, `attachments?`, free fields.'),
});
export type Event = z.output<typeof Event>;

export type EventData = Readonly<Record<string, unknown>>;

/**
 * The event's data as an object; an event without data has none, which is valid.
 * @throws PermanentError (class poison) when it is text that is not a JSON object
 */
export function dataOf(event: Pick<Event, 'data'>): EventData {
  const { data } = event;
  if (data === undefined || data === null) return {};
  if (typeof data !== 'string') return data;
  if (data.trim() === '') return {};
  let parsed: unknown;
  try {
    parsed = JSON.parse(data);
  } catch (cause) {
    throw new PermanentError('field "data" is text but not JSON', { class: 'poison', cause });
  }
  if (parsed === null) return {};
  if (typeof parsed !== 'object' || Array.isArray(parsed)) {
    throw new PermanentError('field "data" is JSON but not an object', { class: 'poison' });
  }
  return parsed as EventData;
}

/** Last dotted part of the type: `documentsReceived`. */
export function statusSubtypeOf(type: string): string {
  return (
    type
      .split('.')
      .map((part) => part.trim())
      .filter((part) => part !== '')
      .at(-1) ?? 'unknown'
  );
}
