/**
 * The actions of a Delta log, as its protocol defines them, and the two forms they are kept in: a commit (lines of JSON,
 * one file for each version) and the state that commits add up to.
 *
 * Weir writes reader version 1, writer version 2: what every Delta reader understands.
 * @see https://github.com/delta-io/delta/blob/master/PROTOCOL.md
 */
import { ProtocolUnsupportedError, TableCorruptError } from './errors.ts';

export const READER_VERSION = 1;
export const WRITER_VERSION = 2;

export interface Protocol {
  readonly minReaderVersion: number;
  readonly minWriterVersion: number;
}

export interface MetaData {
  readonly id: string;
  readonly name?: string | null;
  readonly description?: string | null;
  readonly format: { readonly provider: string; readonly options: Readonly<Record<string, string>> };
  readonly schemaString: string;
  readonly partitionColumns: readonly string[];
  readonly configuration: Readonly<Record<string, string>>;
  readonly createdTime?: number | null;
}

export interface AddFile {
  /** Relative to the table, URI-encoded. */
  readonly path: string;
  readonly partitionValues: Readonly<Record<string, string | null>>;
  readonly size: number;
  readonly modificationTime: number;
  readonly dataChange: boolean;
  readonly stats?: string | null;
  readonly tags?: Readonly<Record<string, string>> | null;
}

export interface RemoveFile {
  readonly path: string;
  readonly deletionTimestamp?: number | null;
  readonly dataChange: boolean;
  readonly extendedFileMetadata?: boolean | null;
  readonly partitionValues?: Readonly<Record<string, string | null>> | null;
  readonly size?: number | null;
  readonly tags?: Readonly<Record<string, string>> | null;
}

/** How far an application has written; Weir's is a source partition and its last offset. */
export interface Transaction {
  readonly appId: string;
  readonly version: number;
  readonly lastUpdated?: number | null;
}

export interface CommitInfo {
  readonly timestamp: number;
  readonly operation: string;
  readonly operationParameters?: Readonly<Record<string, unknown>>;
  readonly engineInfo?: string;
  readonly isBlindAppend?: boolean;
  /** Tells a writer its own commit from another's when the store's answer was lost. */
  readonly weirCommitId?: string;
}

/** One line of a commit: exactly one of these. */
export interface Action {
  readonly protocol?: Protocol | null;
  readonly metaData?: MetaData | null;
  readonly add?: AddFile | null;
  readonly remove?: RemoveFile | null;
  readonly txn?: Transaction | null;
  readonly commitInfo?: CommitInfo | null;
}

export const encodeCommit = (actions: readonly Action[]): Uint8Array =>
  Buffer.from(`${actions.map((action) => JSON.stringify(action)).join('\n')}\n`);

/** @throws TableCorruptError when a line is not JSON */
export function decodeCommit(bytes: Uint8Array, location: string, version: number): Action[] {
  try {
    return Buffer.from(bytes)
      .toString('utf8')
      .split('\n')
      .filter((line) => line.trim() !== '')
      .map((line) => JSON.parse(line) as Action);
  } catch (cause) {
    throw new TableCorruptError(location, `version ${version} is not lines of JSON`, { cause });
  }
}

/**
 * What the commits up to `version` add up to. Writers only need transactions, schema and protocol: files are kept when
 * asked for (a checkpoint, a listing), as there may be many.
 */
export class LogState {
  version = -1;
  protocol: Protocol | undefined;
  metaData: MetaData | undefined;
  readonly transactions = new Map<string, Transaction>();
  readonly files: Map<string, AddFile> | undefined;
  readonly removed: Map<string, RemoveFile> | undefined;

  constructor(options: { withFiles: boolean }) {
    this.files = options.withFiles ? new Map() : undefined;
    this.removed = options.withFiles ? new Map() : undefined;
  }

  apply(version: number, actions: readonly Action[]): void {
    for (const action of actions) {
      const { protocol, metaData, add, remove, txn } = action;
      if (protocol) this.protocol = protocol;
      if (metaData) this.metaData = metaData;
      if (txn) this.transactions.set(txn.appId, txn);
      if (this.files && this.removed) {
        if (add) {
          this.files.set(add.path, add);
          this.removed.delete(add.path);
        }
        if (remove) {
          this.files.delete(remove.path);
          this.removed.set(remove.path, remove);
        }
      }
    }
    this.version = version;
  }

  /** @throws ProtocolUnsupportedError, TableCorruptError */
  check(location: string): { protocol: Protocol; metaData: MetaData } {
    const { protocol, metaData } = this;
    if (!protocol || !metaData) throw new TableCorruptError(location, 'it has no protocol or no schema');
    if (protocol.minReaderVersion > READER_VERSION || protocol.minWriterVersion > WRITER_VERSION) {
      throw new ProtocolUnsupportedError(location, protocol.minReaderVersion, protocol.minWriterVersion);
    }
    return { protocol, metaData };
  }
}
