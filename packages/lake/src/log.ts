/**
 * The log of one table: `_delta_log/00000000000000000042.json` is version 42, created by whoever gets there first. The
 * newest version is found by asking for the next one until there is none, from the last checkpoint or from what is known;
 * never by listing, which may lack what was just written (docs/stores.md).
 */
import { ObjectNotFoundError, type ObjectStore } from '@weir/storage';
import { type Action, decodeCommit, encodeCommit, LogState } from './actions.ts';
import { lastCheckpointKey, readCheckpoint } from './checkpoint.ts';
import { TableCorruptError } from './errors.ts';

/** Versions asked for at once, at most, while catching up. */
export const READ_AHEAD = 8;

export class TableLog {
  readonly store: ObjectStore;
  /** Of the table within the store; empty when the store is the table. */
  readonly path: string;
  readonly location: string;

  constructor(store: ObjectStore, path: string) {
    this.store = store;
    this.path = path;
    this.location = path === '' ? store.location : `${store.location}/${path}`;
  }

  key(relative: string): string {
    return this.path === '' ? relative : `${this.path}/${relative}`;
  }

  /** Key of a data file; in the log its path is URI-encoded. */
  fileKey(path: string): string {
    try {
      return this.key(decodeURIComponent(path));
    } catch (cause) {
      throw new TableCorruptError(this.location, `the path "${path}" is not URI-encoded`, { cause });
    }
  }

  /** The actions of a version, undefined when it is not there yet. */
  async read(version: number): Promise<Action[] | undefined> {
    const bytes = await this.#find(this.#versionKey(version));
    return bytes === undefined ? undefined : decodeCommit(bytes, this.location, version);
  }

  /** The versions from `first` on that are there, `count` at most, without a gap. */
  async readFrom(first: number, count: number): Promise<Action[][]> {
    const versions = await Promise.all(Array.from({ length: count }, (_, index) => this.read(first + index)));
    const found: Action[][] = [];
    for (const actions of versions) {
      if (actions === undefined) break;
      found.push(actions);
    }
    return found;
  }

  /** Creates the version. @throws PreconditionFailedError when another was faster */
  async write(version: number, actions: readonly Action[]): Promise<void> {
    await this.store.put(this.#versionKey(version), encodeCommit(actions), {
      ifNoneMatch: true,
      contentType: 'application/json',
    });
  }

  /**
   * The newest state of the table; undefined when there is none.
   * @throws TableCorruptError when neither the log nor the last checkpoint is whole
   */
  async load(options: { withFiles: boolean }): Promise<LogState | undefined> {
    const hint = await this.#lastCheckpoint();
    let state = new LogState(options);
    if (hint) {
      try {
        await readCheckpoint(this, hint, state);
      } catch (error) {
        // Damaged or cleaned away: the log may still have every version since 0.
        if (!(error instanceof TableCorruptError) || (await this.read(0)) === undefined) throw error;
        state = new LogState(options);
      }
    }
    for (;;) {
      const from = state.version + 1;
      // Most tables that are opened without a version 0 are about to be made: one question will do.
      const count = from === 0 ? 1 : READ_AHEAD;
      const versions = await this.readFrom(from, count);
      for (const [index, actions] of versions.entries()) state.apply(from + index, actions);
      if (versions.length < count) break;
    }
    if (state.version >= 0) return state;
    // A checkpoint is spoken of, so there was a table: it must not be taken for a new one.
    if (hint) throw new TableCorruptError(this.location, 'version 0 is missing, and so is the last checkpoint');
    return undefined;
  }

  async #lastCheckpoint(): Promise<{ version: number; parts: number | undefined } | undefined> {
    const bytes = await this.#find(lastCheckpointKey(this));
    if (bytes === undefined) return undefined;
    try {
      const hint = JSON.parse(Buffer.from(bytes).toString()) as { version?: unknown; parts?: unknown };
      if (typeof hint.version !== 'number') return undefined;
      return { version: hint.version, parts: typeof hint.parts === 'number' ? hint.parts : undefined };
    } catch {
      // Not JSON: a hint, no more. The log from version 0 is asked instead.
      return undefined;
    }
  }

  #versionKey(version: number): string {
    return this.key(`_delta_log/${String(version).padStart(20, '0')}.json`);
  }

  async #find(key: string): Promise<Uint8Array | undefined> {
    try {
      return await this.store.get(key);
    } catch (error) {
      if (error instanceof ObjectNotFoundError) return undefined;
      throw error;
    }
  }
}
