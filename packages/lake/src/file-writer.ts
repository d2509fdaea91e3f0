/**
 * Writes the rows of a cut as files, one for each partition of the table, and takes them away again when the cut turns
 * out to be stale. Until a commit names them nobody sees them: what a dead process leaves is an orphan, no row.
 */
import { randomUUID } from 'node:crypto';
import type { Clock } from '@weir/core';
import type { AddFile } from './actions.ts';
import type { Cut } from './cut.ts';
import { FileEncoder } from './data-file.ts';
import type { TableLog } from './log.ts';
import type { EncodedRow, RowEncoder } from './row.ts';
import type { TableSpec } from './spec.ts';

const PARALLEL_FILES = 8;

export interface WrittenFiles {
  readonly kept: Cut['kept'];
  readonly adds: readonly AddFile[];
}

export class FileWriter {
  readonly #log: TableLog;
  readonly #clock: Clock;
  readonly #rows: RowEncoder;
  readonly #encoder: FileEncoder;

  constructor(options: { spec: TableSpec; log: TableLog; clock: Clock; rows: RowEncoder }) {
    this.#log = options.log;
    this.#clock = options.clock;
    this.#rows = options.rows;
    this.#encoder = new FileEncoder(options.spec);
  }

  /** All of them or, with an error, none (as far as the store still answers). */
  async write(kept: Cut['kept']): Promise<WrittenFiles> {
    const folders = new Map<string, EncodedRow[]>();
    for (const rows of kept) {
      for (const row of rows) {
        const folder = folders.get(row.folder);
        if (folder) folder.push(row);
        else folders.set(row.folder, [row]);
      }
    }
    const adds: AddFile[] = [];
    const waiting = [...folders];
    try {
      while (waiting.length > 0) {
        const written = await Promise.allSettled(
          waiting.splice(0, PARALLEL_FILES).map(([folder, rows]) => this.#writeFile(folder, rows)),
        );
        for (const outcome of written) if (outcome.status === 'fulfilled') adds.push(outcome.value);
        for (const outcome of written) if (outcome.status === 'rejected') throw outcome.reason;
      }
    } catch (error) {
      await this.discard({ kept, adds });
      throw error;
    }
    return { kept, adds };
  }

  /** Files that certainly no commit names. Best effort: what stays is an orphan that VACUUM finds. */
  async discard(files: WrittenFiles | undefined): Promise<void> {
    await Promise.allSettled((files?.adds ?? []).map(({ path }) => this.#log.store.delete(this.#log.fileKey(path))));
  }

  async #writeFile(folder: string, rows: readonly EncodedRow[]): Promise<AddFile> {
    const { bytes, stats } = await this.#encoder.encode(rows);
    const name = `part-00000-${randomUUID()}-c000.snappy.parquet`;
    const path = encodeURI(folder === '' ? name : `${folder}/${name}`);
    await this.#log.store.put(this.#log.fileKey(path), bytes, { contentType: 'application/vnd.apache.parquet' });
    return {
      path,
      partitionValues: rows[0] ? this.#rows.partitionValues(rows[0]) : {},
      size: bytes.byteLength,
      modificationTime: Math.trunc(this.#clock.now()),
      dataChange: true,
      stats,
    };
  }
}

/** Are these the very same rows, so that their files can stay? */
export function sameRows(a: Cut['kept'], b: Cut['kept']): boolean {
  return (
    a.length === b.length &&
    a.every((rows, slice) => rows.length === b[slice]?.length && rows.every((row, index) => row === b[slice]?.[index]))
  );
}
