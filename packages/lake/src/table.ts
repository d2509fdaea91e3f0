/** A Delta table on an object store: opened once by a process, then appended to, asked and read. */
import { randomUUID } from 'node:crypto';
import { type Clock, type Logger, type Random, silentLogger, systemClock, systemRandom } from '@weir/core';
import { checkPrefix, type ObjectStore, PreconditionFailedError } from '@weir/storage';
import { type Action, type LogState, READER_VERSION, WRITER_VERSION } from './actions.ts';
import { type AppendResult, Committer } from './committer.ts';
import type { EncodedSlice } from './cut.ts';
import { RowInvalidError, TableMissingError, TableSpecInvalidError } from './errors.ts';
import { KEY_INDEX_BOUND, KeyIndex, type KeyIndexBound } from './key-index.ts';
import { TableLog } from './log.ts';
import type { CountedTopic } from './partition-count.ts';
import { type Row, RowEncoder } from './row.ts';
import { type ReadRow, type ScanOptions, scanFiles } from './scan.ts';
import { appIdOf, type Source } from './source.ts';
import { checkSchema, checkSpec, schemaString, type TableSpec } from './spec.ts';
import { trust } from './trust.ts';

const CHECKPOINT_EVERY = 50;

export interface OpenTableOptions {
  readonly store: ObjectStore;
  /** Key prefix of the table in the store, such as `xact_events`; empty when the store is the table. */
  readonly path: string;
  readonly spec: TableSpec;
  /** Off: a table that is missing is an error. */
  readonly createIfMissing?: boolean;
  /** Commits between checkpoints, 10 to 100; 50 unless told. */
  readonly checkpointEvery?: number;
  readonly keyIndex?: Partial<KeyIndexBound>;
  readonly clock?: Clock;
  readonly random?: Random;
  readonly log?: Logger;
}

export interface SourcedSlice {
  readonly source: Source;
  /** Rows with the offset of the record they were made of; several rows of one record go into one slice. */
  readonly rows: readonly { readonly offset: number; readonly row: Row }[];
  /** The slice covers all records up to here, also those without a row. */
  readonly lastOffset: number;
}

/** Rows that come from no log: a repeat of these after a failure in doubt is written twice. */
export interface UnsourcedSlice {
  readonly source?: undefined;
  readonly rows: readonly { readonly row: Row }[];
}

export type Slice = SourcedSlice | UnsourcedSlice;

export interface Table {
  readonly spec: TableSpec;
  /** For people: where the table is. */
  readonly location: string;
  /** The newest version this process has seen. */
  readonly version: number;
  /** Keys in memory for "once by key". */
  readonly keysHeld: number;
  /**
   * Writes what is not in the table yet; all slices in one commit. When it resolves the rows are in the table and stay.
   * When it rejects, repeat the same append or give it up: rows that did get in are dropped by offset. Appends of one
   * source must be handed over in the order of their offsets, one batch in flight for each partition.
   * @throws RowInvalidError before anything is written; CommitConflictError and StoreUnavailableError, both transient;
   *   the signal's reason, if it aborted before the commit: then nothing was and nothing will be written
   */
  append(slices: readonly Slice[], options?: { signal?: AbortSignal }): Promise<AppendResult>;
  /** Throws RowInvalidError, as `append` would, for a record to be set aside before it joins a batch. */
  checkRow(row: Row): void;
  /** The last offset in the table of each partition that has any; read from the newest version. */
  positions(topic: string, partitions: readonly number[], epoch: string): Promise<Map<number, number>>;
  /**
   * Loads the newest keys of these partitions, or of all; what is not assigned is loaded by its first append.
   * @param of  the topic that the partitions are of: the table then notices when the topic has grown, and every writer
   *   searches the keys of all partitions for as long as the index remembers keys (24 hours)
   */
  assign(partitions: readonly number[] | 'everything', of?: CountedTopic): Promise<void>;
  /** Frees the memory of these partitions' keys. */
  release(partitions: readonly number[]): Promise<void>;
  /** Rows of the newest version, file by file. */
  scan(options?: ScanOptions): AsyncIterable<ReadRow>;
  /** Waits for appends under way; later ones are refused. Safe twice. */
  close(): Promise<void>;
}

/**
 * @throws TableMissingError, SchemaDiffersError, ProtocolUnsupportedError, TableSpecInvalidError, TableCorruptError,
 *   StoreNotAtomicError, and what the store throws when it cannot be reached
 */
export async function openTable(options: OpenTableOptions): Promise<Table> {
  const { spec, store, clock = systemClock, random = systemRandom, log: logger = silentLogger } = options;
  checkSpec(spec);
  checkPrefix(options.path);
  const checkpointEvery = options.checkpointEvery ?? CHECKPOINT_EVERY;
  if (!Number.isInteger(checkpointEvery) || checkpointEvery < 10 || checkpointEvery > 100) {
    throw new TableSpecInvalidError(spec.name, `checkpointEvery is ${checkpointEvery}; it may be 10 to 100`);
  }
  if (options.createIfMissing) await trust(store);
  const log = new TableLog(store, options.path.replace(/\/+$/, ''));
  let state = await log.load({ withFiles: false });
  if (!state && options.createIfMissing) state = await createTable(log, spec, clock, logger);
  if (!state) throw new TableMissingError(log.location);
  checkSchema(spec, state.check(log.location).metaData, log.location);
  const keys =
    spec.key.length === 0
      ? undefined
      : new KeyIndex({ spec, log, clock, bound: { ...KEY_INDEX_BOUND, ...options.keyIndex } });
  const rows = new RowEncoder(spec);
  const committer = new Committer({ spec, log, clock, random, logger, rows, keys, state, checkpointEvery });
  return new DeltaTable({ spec, log, rows, keys, committer });
}

/** Version 0; whoever loses the race opens what the winner made. */
async function createTable(
  log: TableLog,
  spec: TableSpec,
  clock: Clock,
  logger: Logger,
): Promise<LogState | undefined> {
  const now = Math.trunc(clock.now());
  const actions: Action[] = [
    {
      commitInfo: {
        timestamp: now,
        operation: 'CREATE TABLE',
        engineInfo: 'weir/0.1.0',
        isBlindAppend: true,
        weirCommitId: randomUUID(),
      },
    },
    { protocol: { minReaderVersion: READER_VERSION, minWriterVersion: WRITER_VERSION } },
    {
      metaData: {
        id: randomUUID(),
        name: spec.name,
        ...(spec.description ? { description: spec.description } : {}),
        format: { provider: 'parquet', options: {} },
        schemaString: schemaString(spec),
        partitionColumns: spec.partitionBy,
        configuration: { 'delta.appendOnly': 'true' },
        createdTime: now,
      },
    },
  ];
  try {
    await log.write(0, actions);
    logger.info({ table: spec.name, location: log.location }, 'table created');
  } catch (error) {
    if (!(error instanceof PreconditionFailedError)) throw error;
  }
  return log.load({ withFiles: false });
}

class DeltaTable implements Table {
  readonly spec: TableSpec;
  readonly location: string;
  readonly #log: TableLog;
  readonly #rows: RowEncoder;
  readonly #keys: KeyIndex | undefined;
  readonly #committer: Committer;

  constructor(parts: {
    spec: TableSpec;
    log: TableLog;
    rows: RowEncoder;
    keys: KeyIndex | undefined;
    committer: Committer;
  }) {
    this.spec = parts.spec;
    this.location = parts.log.location;
    this.#log = parts.log;
    this.#rows = parts.rows;
    this.#keys = parts.keys;
    this.#committer = parts.committer;
  }

  get version(): number {
    return this.#committer.version;
  }

  get keysHeld(): number {
    return this.#keys?.size ?? 0;
  }

  async append(slices: readonly Slice[], options: { signal?: AbortSignal } = {}): Promise<AppendResult> {
    options.signal?.throwIfAborted();
    return this.#committer.append(
      slices.map((slice) => this.#encode(slice)),
      options.signal,
    );
  }

  checkRow(row: Row): void {
    this.#rows.encode(row, 0);
  }

  positions(topic: string, partitions: readonly number[], epoch: string): Promise<Map<number, number>> {
    return this.#committer.exclusive(async () => {
      const { transactions } = await this.#committer.refresh();
      const found = new Map<number, number>();
      for (const partition of partitions) {
        const transaction = transactions.get(appIdOf(this.spec.name, { topic, partition, epoch }));
        if (transaction) found.set(partition, transaction.version);
      }
      return found;
    });
  }

  assign(partitions: readonly number[] | 'everything', of?: CountedTopic): Promise<void> {
    return this.#committer.exclusive(async () => {
      await this.#committer.refresh();
      if (of && partitions !== 'everything' && this.#keys) await this.#committer.recordPartitions(of, partitions);
      await this.#committer.loadKeys(partitions);
    });
  }

  release(partitions: readonly number[]): Promise<void> {
    return this.#committer.exclusive(async () => this.#keys?.release(partitions));
  }

  async *scan(options: ScanOptions = {}): AsyncGenerator<ReadRow> {
    const state = await this.#log.load({ withFiles: true });
    yield* scanFiles(this.#log, this.spec, state?.files?.values() ?? [], options);
  }

  close(): Promise<void> {
    return this.#committer.close();
  }

  #encode(slice: Slice): EncodedSlice {
    if (slice.source === undefined) {
      const rows = slice.rows.map(({ row }) => this.#rows.encode(row, 0));
      return { appId: undefined, partition: -1, rows, lastOffset: -1 };
    }
    const { source, lastOffset } = slice;
    const rows = slice.rows.map(({ offset, row }) => {
      if (!Number.isSafeInteger(offset) || offset < 0 || offset > lastOffset) {
        const problem = `it is beyond the slice, which ends at ${lastOffset}`;
        throw new RowInvalidError(this.spec.name, 'offset', problem, { ...source, offset });
      }
      return this.#rows.encode(row, offset, source);
    });
    return { appId: appIdOf(this.spec.name, source), partition: source.partition, rows, lastOffset };
  }
}

/** All rows at once; for tests and small tables. */
export async function readRows(table: Table, options: ScanOptions = {}): Promise<ReadRow[]> {
  const rows: ReadRow[] = [];
  for await (const row of table.scan(options)) rows.push(row);
  return rows;
}
