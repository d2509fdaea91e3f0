/**
 * Appending to a table, each row once. One batch goes through these steps, and may die between any two:
 *
 *   cut (what is not in the table yet) --> files (Parquet, not referenced by anything)
 *     --> commit (create version n+1 of the log: rows and offsets become visible in one step)
 *
 *   commit lost to another writer --> back off --> refresh to the newest version --> cut again
 *
 * The first try does not ask for the newest version: creating n+1 succeeds only if n was the newest. After every
 * refresh the batch is cut again, since the winner may have written the same records, cut differently; only if all of
 * it is still new are the files kept. "Offset of the batch is below the transaction: skip it" is not enough.
 *
 * A file is deleted only when it is certain that no commit refers to it. When the store leaves a commit in doubt and
 * reading back does not settle it, the files stay (an orphan costs space, a missing file costs the table) and the append
 * fails as transient; the caller repeats it, and whatever did get in is dropped by offset.
 *
 * Appends that wait while a commit is under way go into the next one together: one version for many partitions.
 */
import { randomUUID } from 'node:crypto';
import { type Clock, describeError, type Logger, type Random, redactText } from '@weir/core';
import { PreconditionFailedError, StoreUnavailableError } from '@weir/storage';
import type { Action, AddFile, CommitInfo, LogState } from './actions.ts';
import { writeCheckpoint } from './checkpoint.ts';
import { type Cut, cut, type EncodedSlice } from './cut.ts';
import { CommitConflictError, TableClosedError, TableMissingError } from './errors.ts';
import { FileWriter, sameRows, type WrittenFiles } from './file-writer.ts';
import type { KeyIndex } from './key-index.ts';
import { READ_AHEAD, type TableLog } from './log.ts';
import { type CountedTopic, countToRecord, grownUntil } from './partition-count.ts';
import type { RowEncoder } from './row.ts';
import { checkSchema, type TableSpec } from './spec.ts';
import { trust } from './trust.ts';

const ENGINE = 'weir/0.1.0';
const ATTEMPTS = 60;
/** Rows of waiting appends that are put into one commit. */
const GROUP_ROWS = 20_000;
/** A batch of which nothing is left moves the transaction alone only after this many offsets: repeats are harmless. */
const EMPTY_PROGRESS_OFFSETS = 10_000;
const FIRST_COMMIT_MS = 10;
const LONGEST_BACKOFF_MS = 2_000;

export interface AppendResult {
  /** Of the table, after the append. */
  readonly version: number;
  readonly written: number;
  readonly droppedByOffset: number;
  readonly droppedByKey: number;
}

interface Pending {
  readonly slices: readonly EncodedSlice[];
  readonly signal: AbortSignal | undefined;
  readonly resolve: (result: AppendResult) => void;
  readonly reject: (error: unknown) => void;
}

export class Committer {
  readonly #spec: TableSpec;
  readonly #log: TableLog;
  readonly #clock: Clock;
  readonly #random: Random;
  readonly #logger: Logger;
  readonly #files: FileWriter;
  readonly #keys: KeyIndex | undefined;
  readonly #state: LogState;
  readonly #checkpointEvery: number;
  #queue: Pending[] = [];
  #tail: Promise<unknown> = Promise.resolve();
  #checkpoint: Promise<void> | undefined;
  #commitMs = FIRST_COMMIT_MS;
  #closed = false;
  #refusal: { readonly error: unknown } | undefined;

  constructor(options: {
    spec: TableSpec;
    log: TableLog;
    clock: Clock;
    random: Random;
    logger: Logger;
    rows: RowEncoder;
    keys: KeyIndex | undefined;
    state: LogState;
    checkpointEvery: number;
  }) {
    this.#spec = options.spec;
    this.#log = options.log;
    this.#clock = options.clock;
    this.#random = options.random;
    this.#logger = options.logger;
    this.#files = new FileWriter(options);
    this.#keys = options.keys;
    this.#state = options.state;
    this.#checkpointEvery = options.checkpointEvery;
  }

  get version(): number {
    return this.#state.version;
  }

  append(slices: readonly EncodedSlice[], signal?: AbortSignal): Promise<AppendResult> {
    if (this.#closed) return Promise.reject(new TableClosedError(this.#spec.name));
    return new Promise((resolve, reject) => {
      this.#queue.push({ slices, signal, resolve, reject });
      void this.exclusive(() => this.#commitQueued());
    });
  }

  /** Runs when nothing else reads or moves the state; in the order of the calls. */
  exclusive<T>(work: () => Promise<T>): Promise<T> {
    const run = this.#tail.then(work);
    this.#tail = run.catch(() => undefined);
    return run;
  }

  /** Brings the state to the newest version. Only within `exclusive`. */
  async refresh(): Promise<LogState> {
    return this.#catchUp(Number.POSITIVE_INFINITY);
  }

  async #catchUp(version: number): Promise<LogState> {
    // One question when there is nothing new; more at once the further behind this process turns out to be.
    for (let width = 1; this.#state.version < version; width = Math.min(width * 2, READ_AHEAD)) {
      const next = this.#state.version + 1;
      const count = Math.min(width, version - this.#state.version);
      const versions = await this.#log.readFrom(next, count);
      for (const [index, actions] of versions.entries()) await this.#absorb(next + index, actions);
      if (versions.length < count) break;
    }
    return this.#state;
  }

  /** Waits for what is under way, a checkpoint included. Safe twice. */
  async close(): Promise<void> {
    this.#closed = true;
    await this.#tail;
    await this.#checkpoint;
  }

  async #commitQueued(): Promise<void> {
    const group: Pending[] = [];
    let rows = 0;
    for (let next = this.#queue[0]; next; next = this.#queue[0]) {
      const size = next.slices.reduce((total, slice) => total + slice.rows.length, 0);
      if (group.length > 0 && rows + size > GROUP_ROWS) break;
      rows += size;
      group.push(next);
      this.#queue.shift();
    }
    if (group.length === 0) return;
    const live = new Set(group);
    try {
      await this.#commitGroup(live);
    } catch (error) {
      for (const pending of live) pending.reject(error);
    }
    if (this.#queue.length > 0) void this.exclusive(() => this.#commitQueued());
  }

  /** Settles every append of the group, or throws for those that are left in it. */
  async #commitGroup(live: Set<Pending>): Promise<void> {
    const startedAt = this.#clock.monotonic();
    let files: WrittenFiles | undefined;
    let inDoubt = false;
    try {
      await trust(this.#log.store);
      for (let attempt = 1; ; ) {
        this.#dropAborted(live);
        if (live.size === 0) return;
        if (this.#refusal) await this.refresh();
        if (this.#refusal) throw this.#refusal.error;
        const slices = [...live].flatMap((pending) => pending.slices);
        await this.loadKeys(slices.flatMap(({ appId, partition }) => (appId === undefined ? [] : partition)));
        const found = cut(
          slices,
          (appId) => this.#state.transactions.get(appId)?.version,
          (partition, key) => this.#keys?.has(partition, key) === true,
        );
        const isEmpty = found.kept.every((rows) => rows.length === 0);
        if (isEmpty && !this.#isUseful(found)) {
          this.#resolve(live, found, this.#state.version);
          return;
        }
        if (files === undefined || !sameRows(files.kept, found.kept)) {
          await this.#files.discard(files);
          files = undefined;
          files = await this.#files.write(found.kept);
        }
        // The last moment to stop: after this the commit may happen.
        if (this.#dropAborted(live)) continue;
        const version = this.#state.version + 1;
        const id = randomUUID();
        const actions = this.#actions(id, found, files.adds);
        inDoubt = true;
        const winner = await this.#create(version, actions, id);
        inDoubt = false;
        if (winner === undefined) {
          files = undefined;
          this.#commitMs = 0.8 * this.#commitMs + 0.2 * ((this.#clock.monotonic() - startedAt) / attempt);
          this.#won(version, actions, slices, found);
          this.#resolve(live, found, version);
          return;
        }
        await this.#absorb(version, winner);
        const before = this.#state.version;
        await this.refresh();
        if (attempt++ >= ATTEMPTS) throw new CommitConflictError(this.#log.location, ATTEMPTS);
        const contenders = 2 + this.#state.version - before;
        // The window shrinks with every loss, so who has waited longest goes first and nobody starves.
        const window = Math.min(LONGEST_BACKOFF_MS, (this.#commitMs * contenders * 2) / attempt);
        await this.#clock.sleep(this.#random.next() * window);
        await this.refresh();
      }
    } finally {
      if (!inDoubt) await this.#files.discard(files);
    }
  }

  /** Creates the version; undefined when it is ours, else the commit that was faster. */
  async #create(version: number, actions: readonly Action[], id: string): Promise<Action[] | undefined> {
    try {
      await this.#log.write(version, actions);
      return undefined;
    } catch (error) {
      const lost = error instanceof PreconditionFailedError;
      if (!lost && !(error instanceof StoreUnavailableError)) throw error;
      const there = await this.#log.read(version);
      if (there === undefined) throw lost ? new StoreUnavailableError(this.#log.location, 'commit', error) : error;
      return there.some(({ commitInfo }) => commitInfo?.weirCommitId === id) ? undefined : there;
    }
  }

  async #absorb(version: number, actions: readonly Action[]): Promise<void> {
    // Keys first: if the store fails here the version counts as unseen and is read again.
    await this.#keys?.absorb(
      actions.flatMap(({ add }) => add ?? []),
      actions.flatMap(({ txn }) => txn ?? []),
    );
    this.#state.apply(version, actions);
    if (actions.some(({ protocol, metaData }) => protocol || metaData)) this.#judge();
  }

  /** The table was changed by somebody: may this process still write to it? Remembered until it is changed again. */
  #judge(): void {
    try {
      checkSchema(this.#spec, this.#state.check(this.#log.location).metaData, this.#log.location);
      this.#refusal = undefined;
    } catch (error) {
      this.#refusal = { error };
    }
  }

  /**
   * Loads the keys of partitions from the newest version, unless they are held; of all partitions for as long as the
   * copies of a key may lie in two of them. Only within `exclusive`.
   */
  async loadKeys(partitions: readonly number[] | 'everything'): Promise<void> {
    if (!this.#keys) return;
    if (partitions !== 'everything') this.#keys.hold(partitions);
    const grown = grownUntil(this.#spec.name, this.#state.transactions, this.#keys.maxAgeMs);
    const isGrown = partitions !== 'everything' && this.#clock.now() < grown;
    const wanted = isGrown ? 'everything' : partitions;
    if (!this.#keys.lacks(wanted)) return;
    const state = await this.#log.load({ withFiles: true });
    if (!state) throw new TableMissingError(this.#log.location);
    // Both at the same version: what comes later is absorbed, commit by commit.
    await this.#catchUp(state.version);
    await this.#keys.load(wanted, state, isGrown ? grown : undefined);
  }

  /** Records that the topic has at least the partitions that are owned here. Only within `exclusive`, after `refresh`. */
  async recordPartitions(of: CountedTopic, partitions: readonly number[]): Promise<void> {
    for (let attempt = 1; ; attempt++) {
      const now = Math.trunc(this.#clock.now());
      const txn = countToRecord(this.#spec.name, of, partitions, this.#state, now);
      if (txn === undefined) return;
      const id = randomUUID();
      const version = this.#state.version + 1;
      const actions: Action[] = [{ commitInfo: this.#commitInfo(id, now) }, { txn }];
      const winner = await this.#create(version, actions, id);
      if (winner === undefined) {
        this.#state.apply(version, actions);
        if (txn.lastUpdated === now) {
          const facts = { table: this.#spec.name, topic: of.topic, partitions: txn.version };
          this.#logger.info(facts, 'the topic has more partitions now: keys are searched in all of them for a while');
        }
        return;
      }
      if (attempt >= ATTEMPTS) throw new CommitConflictError(this.#log.location, ATTEMPTS);
      await this.#absorb(version, winner);
      await this.#clock.sleep(this.#random.next() * FIRST_COMMIT_MS * attempt);
      await this.refresh();
    }
  }

  #actions(id: string, found: Cut, adds: readonly AddFile[]): Action[] {
    const now = Math.trunc(this.#clock.now());
    return [
      { commitInfo: this.#commitInfo(id, now) },
      ...[...found.progress].map(([appId, version]) => ({ txn: { appId, version, lastUpdated: now } })),
      ...adds.map((add) => ({ add })),
    ];
  }

  #commitInfo(id: string, timestamp: number): CommitInfo {
    return {
      timestamp,
      operation: 'WRITE',
      operationParameters: { mode: 'Append', partitionBy: JSON.stringify(this.#spec.partitionBy) },
      engineInfo: ENGINE,
      isBlindAppend: true,
      weirCommitId: id,
    };
  }

  #won(version: number, actions: readonly Action[], slices: readonly EncodedSlice[], found: Cut): void {
    this.#state.apply(version, actions);
    for (const [index, { appId, partition }] of slices.entries()) {
      if (appId === undefined) continue;
      for (const { key } of found.kept[index] ?? []) if (key !== undefined) this.#keys?.add(partition, key);
    }
    if (version > 0 && version % this.#checkpointEvery === 0) this.#startCheckpoint();
  }

  /** Of the newest version, beside the appends. */
  #startCheckpoint(): void {
    if (this.#checkpoint) return;
    this.#checkpoint = (async () => {
      const state = await this.#log.load({ withFiles: true });
      if (state) await writeCheckpoint(this.#log, state, this.#clock.now());
    })()
      .catch((error: unknown) => {
        // A table without this checkpoint is only slower to open; the next one makes up for it.
        const why = redactText(describeError(error));
        this.#logger.warn({ table: this.#spec.name, error: why }, 'checkpoint not written');
      })
      .finally(() => {
        this.#checkpoint = undefined;
      });
  }

  #isUseful({ progress }: Cut): boolean {
    for (const [appId, offset] of progress) {
      if (offset - (this.#state.transactions.get(appId)?.version ?? -1) >= EMPTY_PROGRESS_OFFSETS) return true;
    }
    return false;
  }

  /** Rejects appends whose signal has aborted; true when there were any. */
  #dropAborted(live: Set<Pending>): boolean {
    let any = false;
    for (const pending of live) {
      if (!pending.signal?.aborted) continue;
      live.delete(pending);
      pending.reject(pending.signal.reason);
      any = true;
    }
    return any;
  }

  #resolve(live: Set<Pending>, found: Cut, version: number): void {
    let index = 0;
    for (const pending of live) {
      const result = { version, written: 0, droppedByOffset: 0, droppedByKey: 0 };
      for (const _ of pending.slices) {
        result.written += found.kept[index]?.length ?? 0;
        result.droppedByOffset += found.droppedByOffset[index] ?? 0;
        result.droppedByKey += found.droppedByKey[index] ?? 0;
        index++;
      }
      pending.resolve(result);
    }
    live.clear();
  }
}
