/**
 * The newest keys of the table, by the partition that their records came from: what "once by key" rests on. A record may
 * be produced twice (its worker died between the broker's acknowledge and its own commit); both copies have the same key,
 * so both are in the same partition, and that partition's owner knows the first when the second comes.
 *
 * The bound: of each partition the newest 200,000 keys that are at most 24 hours old, loaded from the table's newest
 * files when the partition is assigned. A copy that comes later than that is not recognised. About 100 bytes for a key.
 *
 * When the number of partitions has grown, the copies may be in different ones: until they are older than the bound,
 * the keys of all partitions are loaded and searched (partition-count.ts says until when).
 */
import type { Clock } from '@weir/core';
import type { AddFile, LogState, Transaction } from './actions.ts';
import { readParquet } from './data-file.ts';
import type { TableLog } from './log.ts';
import { keyText } from './row.ts';
import { partitionOf } from './source.ts';
import { SOURCE_PARTITION, type TableSpec } from './spec.ts';

export interface KeyIndexBound {
  /** Keys of one partition. */
  readonly maxKeys: number;
  readonly maxAgeMs: number;
}

export const KEY_INDEX_BOUND: KeyIndexBound = { maxKeys: 200_000, maxAgeMs: 24 * 60 * 60_000 };

const GENERATIONS = 8;
const PARALLEL_FILES = 4;
/** The one scope of a table that does not say which partition its rows came from. */
const UNDIVIDED = -1;

interface Generation {
  readonly keys: Set<string>;
  newestAt: number;
}

/** Keys of one partition in eight sets; the oldest set is dropped as a whole, which is cheaper than a queue of keys. */
class RecentKeys {
  #generations: Generation[] = [{ keys: new Set(), newestAt: 0 }];
  #total = 0;
  readonly #bound: KeyIndexBound;

  constructor(bound: KeyIndexBound) {
    this.#bound = bound;
  }

  get size(): number {
    return this.#total;
  }

  has(key: string): boolean {
    return this.#generations.some(({ keys }) => keys.has(key));
  }

  /** In the order of age: the oldest first. */
  add(key: string, at: number): void {
    if (this.has(key)) return;
    let last = this.#generations.at(-1);
    if (!last || last.keys.size >= Math.ceil(this.#bound.maxKeys / GENERATIONS)) {
      last = { keys: new Set(), newestAt: at };
      this.#generations.push(last);
      this.#forget(at);
    }
    last.keys.add(key);
    last.newestAt = Math.max(last.newestAt, at);
    this.#total++;
  }

  #forget(now: number): void {
    for (;;) {
      const oldest = this.#generations[0];
      if (!oldest || this.#generations.length < 2) return;
      const enough = this.#total - oldest.keys.size >= this.#bound.maxKeys;
      if (!enough && oldest.newestAt >= now - this.#bound.maxAgeMs) return;
      this.#generations.shift();
      this.#total -= oldest.keys.size;
    }
  }
}

export class KeyIndex {
  readonly #spec: TableSpec;
  readonly #log: TableLog;
  readonly #clock: Clock;
  readonly #bound: KeyIndexBound;
  readonly #divided: boolean;
  readonly #partitions = new Map<number, RecentKeys>();
  /** What is kept once not everything is searched any more. */
  readonly #held = new Set<number>();
  #everythingUntil = Number.NEGATIVE_INFINITY;

  constructor(options: { spec: TableSpec; log: TableLog; clock: Clock; bound: KeyIndexBound }) {
    this.#spec = options.spec;
    this.#log = options.log;
    this.#clock = options.clock;
    this.#bound = options.bound;
    this.#divided = options.spec.columns.some(({ name }) => name === SOURCE_PARTITION);
  }

  get maxAgeMs(): number {
    return this.#bound.maxAgeMs;
  }

  /** Keys held now, for the memory gauge and for tests. */
  get size(): number {
    let total = 0;
    for (const keys of this.#partitions.values()) total += keys.size;
    return total;
  }

  /** Whether `load` would have anything to do. */
  lacks(partitions: readonly number[] | 'everything'): boolean {
    this.#narrow();
    const missing = this.#missing(partitions);
    return missing === 'everything' || missing.size > 0;
  }

  has(partition: number, key: string): boolean {
    if (this.#partitions.get(this.#scope(partition))?.has(key)) return true;
    if (!this.#everything) return false;
    for (const keys of this.#partitions.values()) if (keys.has(key)) return true;
    return false;
  }

  add(partition: number, key: string): void {
    this.#recent(partition).add(key, this.#clock.now());
  }

  release(partitions: Iterable<number>): void {
    if (!this.#divided) return;
    for (const partition of partitions) {
      this.#held.delete(partition);
      if (!this.#everything) this.#partitions.delete(partition);
    }
  }

  /**
   * Loads what is not held yet from the newest files of this state (which must have its files).
   * @param partitions  'everything' for all, now and in later commits of others, until `until`
   */
  async load(
    partitions: readonly number[] | 'everything',
    state: LogState,
    until = Number.POSITIVE_INFINITY,
  ): Promise<void> {
    const wanted = this.#missing(partitions);
    if (wanted !== 'everything' && wanted.size === 0) return;
    const horizon = this.#clock.now() - this.#bound.maxAgeMs;
    const files = [...(state.files?.values() ?? [])]
      .filter((file) => file.modificationTime >= horizon && mayHold(file, wanted))
      .sort((a, b) => b.modificationTime - a.modificationTime);
    const found: { at: number; keys: Map<number, string[]> }[] = [];
    const counts = new Map<number, number>();
    const full = () =>
      wanted !== 'everything' && [...wanted].every((scope) => (counts.get(scope) ?? 0) >= this.#bound.maxKeys);
    for (let start = 0; start < files.length && !full(); start += PARALLEL_FILES) {
      const group = files.slice(start, start + PARALLEL_FILES);
      for (const [index, keys] of (await Promise.all(group.map((file) => this.#keysOf(file)))).entries()) {
        found.push({ at: group[index]?.modificationTime ?? 0, keys });
        for (const [scope, list] of keys) counts.set(scope, (counts.get(scope) ?? 0) + list.length);
      }
    }
    if (wanted === 'everything') this.#everythingUntil = until;
    else for (const scope of wanted) this.#partitions.set(scope, new RecentKeys(this.#bound));
    for (const { at, keys } of found.reverse()) {
      for (const [scope, list] of keys) {
        if (wanted !== 'everything' && !wanted.has(scope)) continue;
        for (const key of list) this.#recent(scope).add(key, at);
      }
    }
  }

  /**
   * Takes in a commit of another writer, if it may have keys of a partition held here: an owner that lost the partition
   * and did not know it yet, or another tool.
   */
  async absorb(adds: readonly AddFile[], transactions: readonly Transaction[]): Promise<void> {
    const files = adds.filter((file) => file.dataChange);
    if (files.length === 0 || (this.#partitions.size === 0 && !this.#everything)) return;
    const sources = transactions.map(({ appId }) => partitionOf(this.#spec.name, appId));
    const ours = sources.some((partition) => partition === undefined || this.#partitions.has(this.#scope(partition)));
    if (!ours && sources.length > 0 && !this.#everything) return;
    for (const file of files) {
      for (const [scope, keys] of await this.#keysOf(file)) {
        if (!this.#everything && !this.#partitions.has(scope)) continue;
        for (const key of keys) this.#recent(scope).add(key, file.modificationTime);
      }
    }
  }

  /** These are to stay when the time of searching everything is over. */
  hold(partitions: readonly number[]): void {
    for (const partition of partitions) this.#held.add(this.#scope(partition));
  }

  get #everything(): boolean {
    return this.#clock.now() < this.#everythingUntil;
  }

  /** The time of searching everything is over: what is not held goes. */
  #narrow(): void {
    if (this.#everything || this.#everythingUntil === Number.NEGATIVE_INFINITY) return;
    this.#everythingUntil = Number.NEGATIVE_INFINITY;
    for (const scope of this.#partitions.keys()) if (!this.#held.has(scope)) this.#partitions.delete(scope);
  }

  #scope(partition: number): number {
    return this.#divided ? partition : UNDIVIDED;
  }

  #recent(partition: number): RecentKeys {
    const scope = this.#scope(partition);
    let keys = this.#partitions.get(scope);
    if (!keys) {
      keys = new RecentKeys(this.#bound);
      this.#partitions.set(scope, keys);
    }
    return keys;
  }

  #missing(partitions: readonly number[] | 'everything'): ReadonlySet<number> | 'everything' {
    if (partitions === 'everything') return this.#everything ? new Set<number>() : 'everything';
    if (this.#everything) return new Set();
    return new Set(
      partitions.map((partition) => this.#scope(partition)).filter((scope) => !this.#partitions.has(scope)),
    );
  }

  async #keysOf(file: AddFile): Promise<Map<number, string[]>> {
    const { key } = this.#spec;
    const columns = [...key, ...(this.#divided ? [SOURCE_PARTITION] : [])];
    const rows = await readParquet(this.#log.store, this.#log.fileKey(file.path), file.size, columns);
    const keys = new Map<number, string[]>();
    for (const row of rows) {
      const scope = this.#divided ? Number(row[SOURCE_PARTITION] ?? UNDIVIDED) : UNDIVIDED;
      const list = keys.get(scope);
      const text = keyText(key.map((name) => row[name] ?? null));
      if (list) list.push(text);
      else keys.set(scope, [text]);
    }
    return keys;
  }
}

/** May the file have rows of these partitions? Its statistics say so; without them it may. */
function mayHold(file: AddFile, wanted: ReadonlySet<number> | 'everything'): boolean {
  if (wanted === 'everything' || wanted.has(UNDIVIDED) || !file.stats) return true;
  const { minValues, maxValues } = JSON.parse(file.stats) as Record<string, Record<string, unknown> | undefined>;
  const min = minValues?.[SOURCE_PARTITION];
  const max = maxValues?.[SOURCE_PARTITION];
  if (typeof min !== 'number' || typeof max !== 'number') return true;
  return [...wanted].some((partition) => partition >= min && partition <= max);
}
