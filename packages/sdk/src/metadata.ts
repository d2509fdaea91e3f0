/**
 * What the owner of a partition writes beside its committed offset: the signal that every observer plans from, as
 * text of at most 4,096 characters, which is Kafka's limit:
 *
 *   weir/1 9f2c01ab w=k3x9 n=17 o=48213 t=1767225600000 a=58.2 r=10.4 l=10 c=10p b=96 q=0.21
 *   name/version, checksum of the rest, then fields by letter; absent ones are 0 or undefined
 *
 * Beside the signal stands what the next owner needs: whether this owner is at work or has left (s), the suspects (x,
 * delivery/suspicion.ts) and the skip map (k, delivery/skip-map.ts).
 *
 * A version goes up only when an old reader would misunderstand; a field that an old reader may pass over needs none.
 * The checksum is there because other tools write and cut this text as well, and half a number is still a number.
 */
import { crc32 } from 'node:zlib';

/** Why a partition takes no records at the moment. */
export type PauseReason = 'breaker' | 'memory' | 'operator';

/** Everything here is about one partition, as its owner sees it, unless it says otherwise. */
export interface Signal {
  /** Made anew by every start of a process; with `counter` it names one commit. */
  readonly writer: string;
  readonly counter: number;
  /** The offset that this stands beside; the signal's skip map is void beside any other. */
  readonly offset: number;
  /** Milliseconds since the epoch. */
  readonly sentAt: number;
  /** λ: records arriving per second. */
  readonly arrivalPerSecond: number;
  /** r: records one lane of this worker handles per second (1 / mean seconds of handling); 0 when not known yet. */
  readonly laneRate: number;
  /** Lanes of this partition: the limit (order none), 1 (partition), keys seen at work at once (key). */
  readonly lanes: number;
  /** Concurrency limit of this worker (of the process, not the partition), and whether the tuner has settled on it. */
  readonly limit: number;
  readonly limitProven: boolean;
  /** Best rate this worker sustained while saturated in the last hour, records per second; 0 when never saturated. */
  readonly bestRate: number;
  /** 95th percentile of handling, seconds. */
  readonly p95Seconds: number;
  readonly paused: PauseReason | undefined;
  /** Records above `offset` that are already done, and records put back until they are due: neither is backlog. */
  readonly doneAhead: number;
  readonly deferred: number;
  /** When the partition waits for its first record to come due (all behind it are later still): that time, ms. */
  readonly dueAt: number | undefined;
  /**
   * Timestamp of the record whose turn is next, ms; `sentAt` when none waits, as those that come will be newer. Undefined
   * when there are some that have not been fetched yet.
   */
  readonly oldestAt: number | undefined;
  /** How long rebalances stop this worker, seconds; 0 when it has not been through any. */
  readonly rebalanceSeconds: number;
}

/** Kafka's limit for the text beside a committed offset, characters; a longer one fails the commit. */
export const METADATA_LIMIT = 4096;

/** Why the text beside an offset says nothing to us: label of `weir_metadata_ignored_total`. */
export type MetadataIgnored = 'empty' | 'foreign' | 'newer' | 'damaged' | 'other-offset';

/** `at-work` until the last commit of a drain or an awaited revoke, which says `left`. */
export type OwnerState = 'at-work' | 'left';

/** What an owner leaves to the next one, beside its signal. */
export interface Legacy {
  /** What is done above the offset, for delivery/skip-map.ts; '' when nothing is. */
  readonly skipMap: string;
  /** Undefined when the writer does not say: an older Weir. */
  readonly owner: OwnerState | undefined;
  /** Records under suspicion, for delivery/suspicion.ts; '' when there are none. */
  readonly suspects: string;
}

export type DecodedMetadata =
  | (Legacy & { readonly signal: Signal; readonly ignored?: undefined })
  | { readonly ignored: MetadataIgnored; readonly signal?: undefined };

const NAME = 'weir';
const VERSION = 1;
const SKIP_MAP = 'k=';
const OWNERS: Readonly<Record<OwnerState, string>> = { 'at-work': 'w', left: 'l' };
const LONGEST_WRITER = 128;
/** A JavaScript date ends here; a time beyond it is damage. */
const LATEST_TIME = 8.64e15;
const PAUSES: Readonly<Record<PauseReason, string>> = { breaker: 'b', memory: 'm', operator: 'o' };

/**
 * The text to commit beside `signal.offset`. ASCII, so that characters and bytes are the same. Rates and seconds keep
 * six significant digits; what is not a finite number of 0 or more is written as 0. A writer longer than 128 characters
 * is cut.
 * @param legacy  its skip map has at most `skipMapRoom` characters
 * @returns at most 4,096 characters (about 150 without a skip map)
 */
export function encodeMetadata(signal: Signal, legacy: Partial<Legacy> = {}): string {
  const fields = [
    `w=${encodeWriter(signal.writer)}`,
    `n=${whole(signal.counter)}`,
    `o=${whole(signal.offset)}`,
    `t=${whole(Math.min(signal.sentAt, LATEST_TIME))}`,
    `a=${decimal(signal.arrivalPerSecond)}`,
    `r=${decimal(signal.laneRate)}`,
    `l=${whole(signal.lanes)}`,
    `c=${whole(signal.limit)}${signal.limitProven ? 'p' : ''}`,
    `b=${decimal(signal.bestRate)}`,
    `q=${decimal(signal.p95Seconds)}`,
  ];
  if (signal.paused !== undefined) fields.push(`p=${PAUSES[signal.paused]}`);
  if (whole(signal.doneAhead) !== '0') fields.push(`d=${whole(signal.doneAhead)}`);
  if (whole(signal.deferred) !== '0') fields.push(`f=${whole(signal.deferred)}`);
  if (signal.dueAt !== undefined) fields.push(`u=${whole(Math.min(signal.dueAt, LATEST_TIME))}`);
  if (signal.oldestAt !== undefined) fields.push(`e=${whole(Math.min(signal.oldestAt, LATEST_TIME))}`);
  if (decimal(signal.rebalanceSeconds) !== '0') fields.push(`j=${decimal(signal.rebalanceSeconds)}`);
  if (legacy.owner !== undefined) fields.push(`s=${OWNERS[legacy.owner]}`);
  if (legacy.suspects) fields.push(`x=${legacy.suspects}`);
  if (legacy.skipMap) fields.push(`${SKIP_MAP}${legacy.skipMap}`);
  const body = fields.join(' ');
  return `${NAME}/${VERSION} ${checksum(body)} ${body}`;
}

/**
 * Characters that are left for a skip map beside this.
 * @param most  characters of the whole text; less than Kafka's limit where the broker takes less
 */
export function skipMapRoom(signal: Signal, legacy: Partial<Legacy> = {}, most: number = METADATA_LIMIT): number {
  return Math.max(0, most - encodeMetadata(signal, { ...legacy, skipMap: '' }).length - 1 - SKIP_MAP.length);
}

/**
 * Reads what stands beside a committed offset. Never throws: the text may come from another client, a newer Weir, or a
 * mirror that copied it beside a translated offset.
 * @param offset  the committed offset that the text stands beside
 */
export function decodeMetadata(text: string | null | undefined, offset: number): DecodedMetadata {
  if (!text) return { ignored: 'empty' };
  const head = /^weir\/([1-9][0-9]{0,5}) /.exec(text);
  if (!head) return { ignored: 'foreign' };
  if (Number(head[1]) > VERSION) return { ignored: 'newer' };
  if (text.length > METADATA_LIMIT) return { ignored: 'damaged' };
  const rest = text.slice(head[0].length);
  const body = rest.slice(9);
  if (rest[8] !== ' ' || rest.slice(0, 8) !== checksum(body)) return { ignored: 'damaged' };
  const read = readSignal(body);
  if (!read) return { ignored: 'damaged' };
  return read.signal.offset === offset ? read : { ignored: 'other-offset' };
}

/** Unknown fields are passed over: a later Weir of the same version may add some. */
function readSignal(body: string): (Legacy & { signal: Signal }) | undefined {
  const fields = new Map<string, string>();
  for (const field of body.split(' ')) {
    const at = field.indexOf('=');
    if (at < 1) return undefined;
    fields.set(field.slice(0, at), field.slice(at + 1));
  }
  let sound = true;
  const number = (key: string, missing?: number): number => {
    const given = fields.get(key);
    const value = given === undefined ? missing : /^[0-9.e+-]+$/.test(given) ? Number(given) : undefined;
    if (value !== undefined && Number.isFinite(value) && value >= 0) return value;
    sound = false;
    return 0;
  };
  const integer = (key: string, missing?: number): number => {
    const value = number(key, missing);
    if (!Number.isSafeInteger(value)) sound = false;
    return value;
  };
  const limit = /^([0-9]+)(p?)$/.exec(fields.get('c') ?? '');
  const writer = decodeWriter(fields.get('w'));
  const pause = fields.get('p');
  const paused = (Object.keys(PAUSES) as PauseReason[]).find((reason) => PAUSES[reason] === pause);
  const signal: Signal = {
    writer: writer ?? '',
    counter: integer('n'),
    offset: integer('o'),
    sentAt: integer('t'),
    arrivalPerSecond: number('a'),
    laneRate: number('r'),
    lanes: integer('l'),
    limit: Number(limit?.[1] ?? 0),
    limitProven: limit?.[2] === 'p',
    bestRate: number('b'),
    p95Seconds: number('q'),
    // An unknown pause is still a pause: the nearest meaning is that somebody stopped it on purpose.
    paused: pause === undefined ? undefined : (paused ?? 'operator'),
    doneAhead: integer('d', 0),
    deferred: integer('f', 0),
    dueAt: fields.has('u') ? integer('u') : undefined,
    oldestAt: fields.has('e') ? integer('e') : undefined,
    rebalanceSeconds: number('j', 0),
  };
  if (!sound || !limit || writer === undefined) return undefined;
  const said = fields.get('s');
  const owner = (Object.keys(OWNERS) as OwnerState[]).find((state) => OWNERS[state] === said);
  return { signal, owner, suspects: fields.get('x') ?? '', skipMap: fields.get('k') ?? '' };
}

function checksum(body: string): string {
  return crc32(body).toString(16).padStart(8, '0');
}

function whole(value: number): string {
  return Number.isFinite(value) && value > 0 ? String(Math.min(Math.round(value), Number.MAX_SAFE_INTEGER)) : '0';
}

function decimal(value: number): string {
  return Number.isFinite(value) && value > 0 ? String(Number(value.toPrecision(6))) : '0';
}

/** Anything but printable ASCII without space, "=" and "%" is escaped as UTF-16 units, so lone surrogates survive too. */
function encodeWriter(writer: string): string {
  return writer
    .slice(0, LONGEST_WRITER)
    .replace(/[^!-$&-<>-~]/g, (unit) => `%${unit.charCodeAt(0).toString(16).padStart(4, '0')}`);
}

function decodeWriter(text: string | undefined): string | undefined {
  if (text === undefined || !/^(?:[!-$&-<>-~]|%[0-9a-f]{4})*$/.test(text)) return undefined;
  return text.replace(/%([0-9a-f]{4})/g, (_, hex: string) => String.fromCharCode(Number.parseInt(hex, 16)));
}
