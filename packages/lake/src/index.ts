export type { AppendResult } from './committer.ts';
export {
  type AheadOfLog,
  CommitConflictError,
  ERRORS,
  ProtocolUnsupportedError,
  RowInvalidError,
  SchemaDiffersError,
  TableAheadOfLogError,
  TableClosedError,
  TableCorruptError,
  TableMissingError,
  TableSpecInvalidError,
} from './errors.ts';
export { KEY_INDEX_BOUND, type KeyIndexBound } from './key-index.ts';
export { type OpenTableAtOptions, openTableAt } from './open-at.ts';
export type { Row } from './row.ts';
export type { ReadRow, ScanOptions } from './scan.ts';
export type { Source } from './source.ts';
export type { ColumnSpec, ColumnType, TableSpec } from './spec.ts';
export {
  type OpenTableOptions,
  openTable,
  readRows,
  type Slice,
  type SourcedSlice,
  type Table,
  type UnsourcedSlice,
} from './table.ts';
