/**
 * The operator's desk: list, view, replay and resolve dead letters. A library for the command line; the worker does not
 * use it. It never touches a group's offsets: the table says what there is and what became of it, and every change is a
 * row more, so nothing an operator does can lose a letter.
 *
 * A replay sends the original bytes and key back to the topic they came from, with `weir-replays` one higher and no
 * attempts, addressed to the group that failed. The row that says so is written after the broker has acknowledged: a
 * crash between the two can replay a letter twice, never zero times.
 */
import { promisify } from 'node:util';
import { gunzip } from 'node:zlib';
import type { DeadLetterState } from '@weir/contracts';
import { type Clock, describeError, type Random, redactText } from '@weir/core';
import type { Table } from '@weir/lake';
import { type ErrorClass, type Fetched, HEADER, type KafkaPort, type Topology } from '@weir/sdk';
import { DeadLetterGoneError, DeadLetterUnknownError } from './errors.ts';
import { fetchRecords, placeText } from './fetch-records.ts';
import { type Letter, parseLetterId, parsePlace } from './letter.ts';
import { type Route, routesOf, targetOf } from './routes.ts';
import { letterFromRow, letterRow } from './row.ts';
import { Sender } from './sender.ts';

export interface DeskOptions {
  readonly table: Table;
  readonly kafka: KafkaPort;
  readonly topology: Topology;
  readonly clock: Clock;
  readonly random: Random;
  /** Longest wait for Kafka when bytes are read, and for one letter's to be sent; 30 s unless told. */
  readonly timeoutMs?: number;
}

/** All must match; what is absent matches everything. */
export interface LetterFilter {
  readonly errorClass?: ErrorClass;
  /** Origin or dead-letter topic, by Kafka's name or without the prefix. */
  readonly topic?: string;
  readonly worker?: string;
  readonly state?: DeadLetterState;
  /** Failed at or after, ms since the epoch. */
  readonly since?: number;
}

export interface ViewedLetter {
  readonly letter: Letter;
  /** Every header, `weir-*` included. */
  readonly headers: Readonly<Record<string, string>>;
  readonly key: Buffer | null;
  /** The original bytes; null for a tombstone. */
  readonly value: Buffer | null;
}

export interface ReplayOptions {
  /** Says what would happen, sends nothing, writes nothing. */
  readonly dryRun?: boolean;
  /** At most this many a second; unbounded unless told. */
  readonly ratePerSecond?: number;
  readonly signal?: AbortSignal;
}

export interface ReplayOutcome {
  readonly letter: Letter;
  /** `replayed`, or `would-replay` in a dry run; else why not: `gone` (bytes), `resolved` (already), `failed` (error). */
  readonly outcome: 'replayed' | 'would-replay' | 'gone' | 'resolved' | 'failed';
  /** Kafka's name of the topic it goes to. */
  readonly to: string | undefined;
  readonly error: string | undefined;
}

const TIMEOUT_MS = 30_000;
/** Letters whose bytes are read and held at once. */
const GROUP = 100;
const unpack = promisify(gunzip);

export class DeadLetterDesk {
  readonly #options: DeskOptions;
  readonly #routes: ReadonlyMap<string, Route>;

  constructor(options: DeskOptions) {
    this.#options = options;
    this.#routes = new Map(routesOf(options.topology, 'dlq-handler').map((route) => [route.worker, route]));
  }

  /** Newest state of every letter that matches, the latest failure first. */
  async list(filter: LetterFilter = {}): Promise<Letter[]> {
    const newest = new Map<string, Letter>();
    for await (const row of this.#options.table.scan()) {
      const letter = letterFromRow(row);
      const known = newest.get(letter.id);
      if (!known || supersedes(letter, known)) newest.set(letter.id, letter);
    }
    const { prefix } = this.#options.topology;
    return [...newest.values()]
      .filter((letter) => matches(letter, filter, prefix))
      .sort((a, b) => b.failedAt - a.failedAt);
  }

  /** @throws DeadLetterIdError, DeadLetterUnknownError */
  async find(ids: readonly string[]): Promise<Letter[]> {
    for (const id of ids) parseLetterId(id);
    const byId = new Map((await this.list()).map((letter) => [letter.id, letter]));
    return ids.map((id) => {
      const letter = byId.get(id.trim());
      if (!letter) throw new DeadLetterUnknownError(id);
      return letter;
    });
  }

  /** @throws DeadLetterIdError, DeadLetterUnknownError, DeadLetterGoneError */
  async view(id: string, options: { signal?: AbortSignal } = {}): Promise<ViewedLetter> {
    const [letter] = await this.find([id]);
    const [read] = await this.#read([letter!], options.signal);
    if (read instanceof Error) throw read;
    return read!;
  }

  /**
   * Replays one after the other and tells of each. What fails is told and leaves everything as it was; the next is tried,
   * unless Kafka did not answer in time: then the rest fails at once.
   * @throws what makes all of them impossible (no broker, no table); those told of before are done
   */
  async *replay(letters: readonly Letter[], options: ReplayOptions = {}): AsyncGenerator<ReplayOutcome> {
    const { kafka, clock, timeoutMs = TIMEOUT_MS } = this.#options;
    const sender = new Sender({ kafka, clock, timeoutMs });
    if (!options.dryRun) await sender.start([...new Set(letters.flatMap((letter) => this.#target(letter) ?? []))]);
    try {
      let nextAt = clock.monotonic();
      for (let start = 0; start < letters.length; start += GROUP) {
        const group = letters.slice(start, start + GROUP);
        const read = await this.#read(group, options.signal);
        for (const [at, letter] of group.entries()) {
          options.signal?.throwIfAborted();
          const viewed = read[at]!;
          if (letter.state !== 'resolved' && !(viewed instanceof Error) && !options.dryRun && options.ratePerSecond) {
            await clock.sleep(Math.max(0, nextAt - clock.monotonic()), options.signal);
            nextAt = Math.max(nextAt, clock.monotonic()) + 1000 / options.ratePerSecond;
          }
          yield await this.#replayOne(letter, viewed, sender, options);
        }
      }
    } finally {
      if (!options.dryRun) await sender.stop();
    }
  }

  /** Marks letters as dealt with; returns those that were not yet. */
  async resolve(letters: readonly Letter[]): Promise<Letter[]> {
    const open = letters.filter((letter) => letter.state !== 'resolved');
    if (open.length > 0) await this.#change(open, 'resolved');
    return open;
  }

  async #replayOne(
    letter: Letter,
    viewed: ViewedLetter | Error,
    sender: Sender,
    options: ReplayOptions,
  ): Promise<ReplayOutcome> {
    const route = this.#routes.get(letter.worker);
    const to = this.#target(letter);
    const told = (outcome: ReplayOutcome['outcome'], error?: unknown): ReplayOutcome => ({
      letter,
      outcome,
      to,
      error: error === undefined ? undefined : redactText(describeError(error)),
    });
    if (letter.state === 'resolved') return told('resolved');
    if (!route || to === undefined) return told('failed', new Error(`worker ${letter.worker} is not in the topology`));
    if (viewed instanceof Error) return told('gone', viewed);
    if (options.dryRun) return told('would-replay');
    try {
      const headers = replayHeaders(viewed, letter, route);
      await sender.send({ topic: to, key: viewed.key, value: viewed.value, headers }, options.signal);
    } catch (error) {
      return told('failed', error);
    }
    await this.#change([letter], 'replayed');
    return told('replayed');
  }

  /** Kafka's name of the topic that its replay goes to; undefined when its worker is not in the topology. */
  #target(letter: Letter): string | undefined {
    const route = this.#routes.get(letter.worker);
    return route && targetOf(route, letter.origin.topic).name;
  }

  async #change(letters: readonly Letter[], state: DeadLetterState): Promise<void> {
    const changedAt = this.#options.clock.now();
    const rows = letters.map((letter) => ({ row: letterRow({ ...letter, state, changedAt }) }));
    await this.#options.table.append([{ rows }]);
  }

  /** In the order of the letters; an error for one whose bytes are gone. */
  async #read(letters: readonly Letter[], signal: AbortSignal | undefined): Promise<(ViewedLetter | Error)[]> {
    const records = await this.#fetch(
      letters.map((letter) => letter.dlq),
      signal,
    );
    return Promise.all(
      letters.map(async (letter) => {
        const record = records.get(placeText(letter.dlq));
        if (!record) return new DeadLetterGoneError(letter.id, placeText(letter.dlq));
        return this.#open(letter, record, signal);
      }),
    );
  }

  /** Undoes what made a letter fit its topic: compression, or a pointer to where the record first was. */
  async #open(letter: Letter, record: Fetched, signal: AbortSignal | undefined): Promise<ViewedLetter | Error> {
    const headers = headersOf(record);
    const encoding = headers[HEADER.encoding];
    if (encoding === 'gzip' && record.raw) {
      try {
        return { letter, headers, key: record.rawKey, value: await unpack(record.raw) };
      } catch (cause) {
        return new Error(`the compressed bytes of ${letter.id} are damaged`, { cause });
      }
    }
    if (encoding !== 'pointer') return { letter, headers, key: record.rawKey, value: record.raw };
    const origin = parsePlace(headers[HEADER.origin]) ?? letter.origin;
    const original = (await this.#fetch([origin], signal)).get(placeText(origin));
    if (!original) return new DeadLetterGoneError(letter.id, placeText(origin));
    return { letter, headers: { ...headersOf(original), ...headers }, key: original.rawKey, value: original.raw };
  }

  #fetch(places: readonly Letter['dlq'][], signal: AbortSignal | undefined) {
    const { kafka, clock, random, topology, timeoutMs = TIMEOUT_MS } = this.#options;
    const group = `${topology.prefix}-dlq-desk-${clock.now().toString(36)}${random.below(2 ** 30).toString(36)}`;
    return fetchRecords(places, { kafka, group, clock, timeoutMs, ...(signal ? { signal } : {}) });
  }
}

const RANK: Record<DeadLetterState, number> = { dead: 0, replayed: 1, resolved: 2 };

function supersedes(letter: Letter, known: Letter): boolean {
  if (letter.changedAt !== known.changedAt) return letter.changedAt > known.changedAt;
  return RANK[letter.state] > RANK[known.state];
}

function matches(letter: Letter, filter: LetterFilter, prefix: string): boolean {
  const isTopic = (name: string) => name === filter.topic || name === `${prefix}.${filter.topic}`;
  return (
    (filter.errorClass === undefined || letter.errorClass === filter.errorClass) &&
    (filter.topic === undefined || isTopic(letter.origin.topic) || isTopic(letter.dlq.topic)) &&
    (filter.worker === undefined || letter.worker === filter.worker) &&
    (filter.state === undefined || letter.state === filter.state) &&
    (filter.since === undefined || letter.failedAt >= filter.since)
  );
}

/** The record's own headers, and a story that starts over: no attempts, one replay more. */
function replayHeaders(viewed: ViewedLetter, letter: Letter, route: Route): Record<string, string> {
  const own = Object.entries(viewed.headers).filter(([name]) => !name.startsWith('weir-') || name === HEADER.schema);
  return {
    ...Object.fromEntries(own),
    [HEADER.producer]: 'dlq-desk',
    [HEADER.group]: route.group,
    [HEADER.attempt]: '0',
    [HEADER.parked]: '0',
    [HEADER.replays]: String(letter.replays + 1),
    [HEADER.firstSeen]: String(letter.firstSeen),
    [HEADER.origin]: placeText(letter.origin),
  };
}

function headersOf(record: Fetched): Record<string, string> {
  const headers: Record<string, string> = {};
  for (const [name, raw] of Object.entries(record.rawHeaders ?? {})) {
    const value = Array.isArray(raw) ? raw[0] : raw;
    if (value !== undefined) headers[name] = value.toString();
  }
  return headers;
}
