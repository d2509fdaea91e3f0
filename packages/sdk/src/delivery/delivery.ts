/**
 * One record on its way through a worker: what was fetched, what is known of its past, and where it stands. It is also
 * the `KafkaRecord` that handlers get. Made when the record's turn comes (waiting.ts): one that waits in an unordered
 * queue is a row of its fetch's columns, and this is the one object that a record costs.
 *
 *   queued --admitted--> running --done--> settling --all sends acknowledged--> finished
 *                           |  \--failed--> settling (retry topic or dead letter) --acknowledged--> finished
 *                           \--waits--> waiting (parked, retry in place, deferred) --again--> queued
 *   any --partition lost, or drain over--> abandoned (another owner gets it)
 */
import type { KafkaRecord } from '../define.ts';
import type { RawHeaders, Records } from '../kafka/port.ts';
import { plainHeaders, type Story, storyHeaders } from './headers.ts';
import type { Lane } from './lanes.ts';
import type { Owned } from './owned.ts';

export type DeliveryState = 'queued' | 'running' | 'waiting' | 'settling' | 'finished' | 'abandoned';

export class Delivery implements KafkaRecord {
  // Own fields, although they cost memory for every record: handlers spread records, and a spread leaves getters out.
  readonly topic: string;
  readonly partition: number;
  readonly offset: number;
  readonly timestamp: number;
  /** Undefined until it is decoded. */
  value: unknown = undefined;
  attempt = 0;
  replays = 0;
  parked = 0;
  /** Not part of the record's face: handlers see KafkaRecord only. */
  readonly #records: Records;
  readonly #index: number;
  readonly owned: Owned;
  readonly slot: number;
  state: DeliveryState = 'queued';
  decoded = false;
  story: Story | undefined = undefined;
  lane: Lane | undefined = undefined;
  /** Monotonic ms (whole, so that it is no boxed number) at which it was queued, and at which its first failure in place happened (0: none). */
  queuedAt = 0;
  failingSince = 0;
  /** While put back: when it is due (ms since the epoch). */
  dueAt = 0;

  constructor(records: Records, index: number, owned: Owned, slot: number) {
    this.topic = owned.topic;
    this.partition = owned.partition;
    this.offset = records.offset(index);
    this.timestamp = records.timestamp(index);
    this.#records = records;
    this.#index = index;
    this.owned = owned;
    this.slot = slot;
  }

  get key(): string | null {
    return this.rawKey?.toString('utf8') ?? null;
  }

  get headers(): Readonly<Record<string, string>> {
    return plainHeaders(this.rawHeaders);
  }

  get rawKey(): Buffer | null {
    return this.#records.key(this.#index);
  }

  /** The bytes as they were on the wire; null is a tombstone. */
  get raw(): Buffer | null {
    return this.#records.value(this.#index);
  }

  get rawHeaders(): RawHeaders | undefined {
    return this.#records.headers(this.#index);
  }

  get bytes(): number {
    return sizeOf(this.#records, this.#index);
  }

  /** What a person sees when a record is logged. */
  toJSON(): object {
    const { topic, partition, offset, timestamp, attempt, replays } = this;
    return { topic, partition, offset, timestamp, key: this.key, attempt, replays };
  }
}

/** Bytes a record holds in memory, near enough: key, value, and a flat charge for the objects around them. */
export function sizeOf(records: Records, index: number): number {
  return records.bytes(index) + 200;
}

/**
 * All `weir-*` headers of a record, as they are on the wire: for services on the retry and dead-letter path, which check
 * them against the topology themselves. Empty for a record that was not made by Weir.
 */
export function rawStory(record: KafkaRecord): Readonly<Record<string, string>> {
  return record instanceof Delivery ? storyHeaders(record.rawHeaders) : {};
}

/** The key's bytes: a key need not be text. Null when there is none. */
export function rawKey(record: KafkaRecord): Buffer | null {
  return record instanceof Delivery ? record.rawKey : record.key === null ? null : Buffer.from(record.key);
}

/** The headers as they are on the wire, `weir-*` left out: a header need not be text either. The first value counts. */
export function rawHeaders(record: KafkaRecord): Readonly<Record<string, string | Buffer>> {
  if (!(record instanceof Delivery)) return record.headers;
  const headers: Record<string, string | Buffer> = {};
  for (const [name, raw] of Object.entries(record.rawHeaders ?? {})) {
    const value = Array.isArray(raw) ? raw[0] : raw;
    if (value !== undefined && !name.startsWith('weir-')) headers[name] = value;
  }
  return headers;
}
