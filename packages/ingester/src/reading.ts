/**
 * An event, read: its data opened, its time understood, its attachments told apart. Everything that can be wrong with
 * one event is found here, before a batch is touched, so that one unreadable date costs one record and not the hundred
 * that came with it.
 */
import { dataOf, type Event, type EventData, eventIdOf, parseTimestamp, statusSubtypeOf } from '@weir/contracts';
import { PermanentError } from '@weir/sdk';

/** Why an attachment makes no task: label of `ingester_attachments_skipped_total`. */
export type SkipReason = 'no-assignment' | 'not-text' | 'duplicate';

export interface Reading {
  readonly event: Event;
  readonly data: EventData;
  readonly eventId: string;
  readonly statusSubtype: string;
  /** Milliseconds since the epoch, and the day of that in UTC. */
  readonly happenedAt: number;
  readonly day: string;
  readonly assignmentId: string | undefined;
  /** Distinct URLs in their order. */
  readonly attachments: readonly string[];
  /** One entry for each attachment that makes no task. */
  readonly skipped: readonly SkipReason[];
}

/** @throws PermanentError (class poison) naming the field */
export function readEvent(event: Event): Reading {
  const happenedAt = parseTimestamp(event.utcDateTime);
  if (happenedAt === undefined) {
    throw new PermanentError('field "utcDateTime" is not an ISO 8601 time', { class: 'poison' });
  }
  const data = dataOf(event);
  const assignmentId = textOf(data.assignmentId);
  const { attachments, skipped } = attachmentsOf(data.attachments);
  const orphans: SkipReason[] = assignmentId === undefined ? attachments.map(() => 'no-assignment') : [];
  return {
    event,
    data,
    eventId: event.eventId ?? eventIdOf(event.traceId),
    statusSubtype: statusSubtypeOf(event.type),
    happenedAt,
    day: new Date(happenedAt).toISOString().slice(0, 10),
    assignmentId,
    attachments,
    skipped: [...skipped, ...orphans],
  };
}

/** Text or a number as text, trimmed; blank and anything else is missing. */
export function textOf(value: unknown): string | undefined {
  if (typeof value === 'number' || typeof value === 'bigint' || typeof value === 'boolean') return String(value);
  return (typeof value === 'string' && value.toWellFormed().trim()) || undefined;
}

function attachmentsOf(value: unknown): { attachments: string[]; skipped: SkipReason[] } {
  const attachments = new Set<string>();
  const skipped: SkipReason[] = [];
  // One URL that is not in a list is what some senders make of a list of one.
  for (const each of Array.isArray(value) ? value : value === undefined || value === null ? [] : [value]) {
    const url = typeof each === 'string' ? each.toWellFormed().trim() : undefined;
    if (url === undefined) skipped.push('not-text');
    else if (url === '') continue;
    else if (attachments.has(url)) skipped.push('duplicate');
    else attachments.add(url);
  }
  return { attachments: [...attachments], skipped };
}
