/** A letter to a row of `dead_letters` and back (docs/contracts.md). */
import { DEAD_LETTER_STATES } from '@weir/contracts';
import { ERROR_CLASSES } from '@weir/sdk';
import { type Letter, letterId } from './letter.ts';

export function letterRow(letter: Letter): Record<string, unknown> {
  return {
    origin_topic: letter.origin.topic,
    origin_partition: letter.origin.partition,
    origin_offset: letter.origin.offset,
    replays: letter.replays,
    state: letter.state,
    worker: letter.worker,
    dlq_topic: letter.dlq.topic,
    dlq_partition: letter.dlq.partition,
    dlq_offset: letter.dlq.offset,
    error_class: letter.errorClass,
    error: letter.error,
    attempts: letter.attempts,
    first_seen: letter.firstSeen,
    failed_at: letter.failedAt,
    changed_at: letter.changedAt,
    key: letter.key,
    bytes: letter.bytes,
  };
}

export function letterFromRow(row: Readonly<Record<string, unknown>>): Letter {
  const text = (name: string) => String(row[name] ?? '');
  const number = (name: string) => Number(row[name] ?? 0);
  const time = (name: string) => (row[name] instanceof Date ? row[name].getTime() : number(name));
  const origin = {
    topic: text('origin_topic'),
    partition: number('origin_partition'),
    offset: number('origin_offset'),
  };
  const worker = text('worker');
  const replays = number('replays');
  return {
    id: letterId(worker, origin, replays),
    worker,
    origin,
    dlq: { topic: text('dlq_topic'), partition: number('dlq_partition'), offset: number('dlq_offset') },
    replays,
    state: DEAD_LETTER_STATES.find((known) => known === row.state) ?? 'dead',
    errorClass: ERROR_CLASSES.find((known) => known === row.error_class) ?? 'poison',
    error: text('error'),
    attempts: number('attempts'),
    firstSeen: time('first_seen'),
    failedAt: time('failed_at'),
    changedAt: time('changed_at'),
    key: row.key === null || row.key === undefined ? null : String(row.key),
    bytes: row.bytes === null || row.bytes === undefined ? null : Number(row.bytes),
  };
}
