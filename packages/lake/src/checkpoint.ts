/**
 * Checkpoints: the whole state of a table in one Parquet file, so that a reader starts there and not at version 0. Ours
 * are V1, in one part. They keep every transaction (without them rows would be written twice) and the tombstones of
 * removed files, which other tools' VACUUM needs to find what it may delete.
 *
 * A checkpoint changes nothing: it may be late, missing or written twice. `_last_checkpoint` is a hint.
 */
import { WeirError } from '@weir/core';
import { ObjectNotFoundError } from '@weir/storage';
import type { SchemaElement } from 'hyparquet';
import type { Action, AddFile, LogState, MetaData, RemoveFile, Transaction } from './actions.ts';
import { readParquet } from './data-file.ts';
import { TableCorruptError } from './errors.ts';
import type { TableLog } from './log.ts';

/** Longer than any usual delta.deletedFileRetentionDuration (a week): too many tombstones only cost space. */
const TOMBSTONE_MS = 30 * 24 * 60 * 60_000;

interface CheckpointRef {
  readonly version: number;
  readonly parts: number | undefined;
}

export const lastCheckpointKey = (log: TableLog): string => log.key('_delta_log/_last_checkpoint');

/** @param part  from 1; other writers cut large checkpoints */
export function checkpointKey(log: TableLog, { version, parts }: CheckpointRef, part: number): string {
  const padded = (value: number, digits: number) => String(value).padStart(digits, '0');
  const cut = parts === undefined ? '' : `${padded(part, 10)}.${padded(parts, 10)}.`;
  return log.key(`_delta_log/${padded(version, 20)}.checkpoint.${cut}parquet`);
}

/** Brings the state to the checkpoint's version. */
export async function readCheckpoint(log: TableLog, ref: CheckpointRef, state: LogState): Promise<void> {
  const columns = ['protocol', 'metaData', 'txn', ...(state.files ? ['add', 'remove'] : [])];
  for (let part = 1; part <= (ref.parts ?? 1); part++) {
    let rows: Record<string, unknown>[];
    try {
      rows = await readParquet(log.store, checkpointKey(log, ref, part), undefined, columns);
    } catch (cause) {
      // A store that is out of reach or says no is not a damaged checkpoint.
      if (cause instanceof WeirError && !(cause instanceof ObjectNotFoundError)) throw cause;
      throw new TableCorruptError(log.location, `the checkpoint of version ${ref.version}`, { cause });
    }
    state.apply(ref.version, rows.map(toAction));
  }
}

/** Writes the checkpoint of a state that has its files, and then the hint that it exists. */
export async function writeCheckpoint(log: TableLog, state: LogState, now: number): Promise<void> {
  const { protocol, metaData } = state.check(log.location);
  const actions: Action[] = [{ protocol }, { metaData }];
  for (const txn of state.transactions.values()) actions.push({ txn });
  for (const add of state.files?.values() ?? []) actions.push({ add: { ...add, dataChange: false } });
  for (const remove of state.removed?.values() ?? []) {
    if ((remove.deletionTimestamp ?? 0) > now - TOMBSTONE_MS)
      actions.push({ remove: { ...remove, dataChange: false } });
  }
  const { parquetWriteBuffer } = await import('hyparquet-writer');
  const bytes = new Uint8Array(
    parquetWriteBuffer({
      columnData: Object.keys(CHECKPOINT_COLUMNS).map((name) => ({
        name,
        data: actions.map((action) => toStored(action[name as keyof Action])),
        statistics: false,
      })),
      schema: CHECKPOINT_SCHEMA,
      createdBy: 'weir',
      rowGroupSize: 50_000,
    }),
  );
  const ref = { version: state.version, parts: undefined };
  await log.store.put(checkpointKey(log, ref, 1), bytes, { contentType: 'application/vnd.apache.parquet' });
  const hint = {
    version: state.version,
    size: actions.length,
    sizeInBytes: bytes.byteLength,
    numOfAddFiles: state.files?.size ?? 0,
  };
  await log.store.put(lastCheckpointKey(log), Buffer.from(JSON.stringify(hint)), { contentType: 'application/json' });
}

type Leaf = 'text' | 'long' | 'int' | 'boolean' | 'map' | 'list';
type Fields = { readonly [name: string]: Leaf | Fields };

/** What a V1 checkpoint has in its columns, each a struct that is null in the rows of the others. */
const CHECKPOINT_COLUMNS: Record<'txn' | 'add' | 'remove' | 'metaData' | 'protocol', Fields> = {
  txn: { appId: 'text', version: 'long', lastUpdated: 'long' },
  add: {
    path: 'text',
    partitionValues: 'map',
    size: 'long',
    modificationTime: 'long',
    dataChange: 'boolean',
    stats: 'text',
    tags: 'map',
  },
  remove: {
    path: 'text',
    deletionTimestamp: 'long',
    dataChange: 'boolean',
    extendedFileMetadata: 'boolean',
    partitionValues: 'map',
    size: 'long',
    tags: 'map',
  },
  metaData: {
    id: 'text',
    name: 'text',
    description: 'text',
    format: { provider: 'text', options: 'map' },
    schemaString: 'text',
    partitionColumns: 'list',
    configuration: 'map',
    createdTime: 'long',
  },
  protocol: { minReaderVersion: 'int', minWriterVersion: 'int' },
};

const CHECKPOINT_SCHEMA: SchemaElement[] = [
  { name: 'checkpoint', num_children: Object.keys(CHECKPOINT_COLUMNS).length },
  ...Object.entries(CHECKPOINT_COLUMNS).flatMap(([name, fields]) => schemaOf(name, fields)),
];

function schemaOf(name: string, shape: Leaf | Fields): SchemaElement[] {
  const text = { type: 'BYTE_ARRAY', converted_type: 'UTF8', logical_type: { type: 'STRING' } } as const;
  const optional = { name, repetition_type: 'OPTIONAL' } as const;
  switch (shape) {
    case 'text':
      return [{ ...optional, ...text }];
    case 'long':
      return [{ ...optional, type: 'INT64' }];
    case 'int':
      return [{ ...optional, type: 'INT32' }];
    case 'boolean':
      return [{ ...optional, type: 'BOOLEAN' }];
    case 'map':
      return [
        { ...optional, num_children: 1, converted_type: 'MAP', logical_type: { type: 'MAP' } },
        { name: 'key_value', repetition_type: 'REPEATED', num_children: 2 },
        { name: 'key', repetition_type: 'REQUIRED', ...text },
        { name: 'value', repetition_type: 'OPTIONAL', ...text },
      ];
    case 'list':
      return [
        { ...optional, num_children: 1, converted_type: 'LIST', logical_type: { type: 'LIST' } },
        { name: 'list', repetition_type: 'REPEATED', num_children: 1 },
        { name: 'element', repetition_type: 'OPTIONAL', ...text },
      ];
    default:
      return [
        { ...optional, num_children: Object.keys(shape).length },
        ...Object.entries(shape).flatMap(([child, inner]) => schemaOf(child, inner)),
      ];
  }
}

/** INT64 columns take bigints. Which numbers are such is the schema's business; the writer converts the others itself. */
function toStored(action: object | null | undefined): unknown {
  if (!action) return null;
  const longs = new Set(['version', 'lastUpdated', 'size', 'modificationTime', 'deletionTimestamp', 'createdTime']);
  return Object.fromEntries(
    Object.entries(action).map(([name, value]) => [
      name,
      longs.has(name) && typeof value === 'number' ? BigInt(Math.trunc(value)) : value,
    ]),
  );
}

function toAction(row: Record<string, unknown>): Action {
  const { txn, add, remove, metaData, protocol } = row as Record<string, Record<string, unknown> | null | undefined>;
  if (txn) return { txn: numbers(txn) as unknown as Transaction };
  if (add) return { add: { ...numbers(add), partitionValues: add.partitionValues ?? {} } as unknown as AddFile };
  if (remove) return { remove: numbers(remove) as unknown as RemoveFile };
  if (protocol) {
    return {
      protocol: {
        minReaderVersion: Number(protocol.minReaderVersion),
        minWriterVersion: Number(protocol.minWriterVersion),
      },
    };
  }
  if (!metaData) return {};
  return { metaData: { ...numbers(metaData), configuration: metaData.configuration ?? {} } as unknown as MetaData };
}

const numbers = (struct: Record<string, unknown>): Record<string, unknown> =>
  Object.fromEntries(
    Object.entries(struct)
      .filter(([, value]) => value !== null && value !== undefined)
      .map(([name, value]) => [name, typeof value === 'bigint' ? Number(value) : value]),
  );
