/**
 * A dead letter as the table knows it. One letter is one worker's failure of one record on one of its lives (a replay
 * starts the next); every change of its state is a row more, and the newest row is the truth.
 *
 *   dead --replayed--> replayed --fails again--> (a new letter, replays + 1)
 *   dead | replayed --resolved--> resolved
 */
import { type DeadLetterState, redactUrlsIn } from '@weir/contracts';
import { ERROR_CLASSES, type ErrorClass, HEADER } from '@weir/sdk';
import { DeadLetterIdError } from './errors.ts';

export interface Place {
  readonly topic: string;
  readonly partition: number;
  readonly offset: number;
}

export interface Letter {
  /** WORKER:TOPIC/PARTITION/OFFSET#REPLAYS, of the record's first origin. */
  readonly id: string;
  readonly worker: string;
  /** Where the record first was. */
  readonly origin: Place;
  /** Where its bytes are now. */
  readonly dlq: Place;
  readonly replays: number;
  readonly state: DeadLetterState;
  readonly errorClass: ErrorClass;
  readonly error: string;
  readonly attempts: number;
  /** Milliseconds since the epoch. */
  readonly firstSeen: number;
  readonly failedAt: number;
  readonly changedAt: number;
  readonly key: string | null;
  readonly bytes: number | null;
}

export function letterId(worker: string, origin: Place, replays: number): string {
  return `${worker}:${origin.topic}/${origin.partition}/${origin.offset}#${replays}`;
}

/** @throws DeadLetterIdError */
export function parseLetterId(id: string): { worker: string; origin: Place; replays: number } {
  const match = /^([a-z0-9-]+):(.+)#(\d{1,9})$/.exec(id.trim());
  const origin = match && parsePlace(match[2]);
  if (!match || !origin) throw new DeadLetterIdError(id);
  return { worker: match[1]!, origin, replays: Number(match[3]) };
}

/** `topic/partition/offset`, as `weir-origin` has it. */
export function parsePlace(text: string | undefined): Place | undefined {
  const match = /^([a-zA-Z0-9._-]{1,249})\/(\d{1,9})\/(\d{1,15})$/.exec(text ?? '');
  return match ? { topic: match[1]!, partition: Number(match[2]), offset: Number(match[3]) } : undefined;
}

/** What the dlq-handler reads. */
export interface DeadRecord extends Place {
  readonly key: string | null;
  readonly value: Uint8Array;
  /** When it became a dead letter, ms since the epoch. */
  readonly timestamp: number;
}

/**
 * The letter that a record of a dead-letter topic tells. Its headers may be missing or nonsense (anybody can write to a
 * topic); then it is the record's own place that identifies it.
 */
export function letterOf(record: DeadRecord, worker: string, story: Readonly<Record<string, string>>): Letter {
  const { topic, partition, offset, timestamp } = record;
  const dlq = { topic, partition, offset };
  const origin = parsePlace(story[HEADER.origin]) ?? dlq;
  const replays = whole(story[HEADER.replays], 0);
  const errorClass = ERROR_CLASSES.find((known) => known === story[HEADER.errorClass]) ?? 'poison';
  return {
    id: letterId(worker, origin, replays),
    worker,
    origin,
    dlq,
    replays,
    state: 'dead',
    errorClass,
    error: redactUrlsIn(story[HEADER.error] ?? 'unknown: the record has no error header'),
    attempts: whole(story[HEADER.attempt], 0),
    firstSeen: Math.min(whole(story[HEADER.firstSeen], timestamp), timestamp),
    failedAt: timestamp,
    changedAt: timestamp,
    key: record.key,
    bytes: record.value.length,
  };
}

const INT32_MAX = 0x7fff_ffff;

function whole(text: string | undefined, fallback: number): number {
  if (text === undefined || !/^\d{1,15}$/.test(text)) return fallback;
  const value = Number(text);
  // `first-seen` is a time; counts beyond 32 bits are made up.
  return fallback <= INT32_MAX && value > INT32_MAX ? INT32_MAX : value;
}
