/** What a table throws. `transient` marks what passes by itself; a row error names the record to set aside. */
import { type ErrorEntry, WeirError } from '@weir/core';

export const ERRORS = {
  WEIR_TABLE_SPEC_INVALID: { fix: 'Correct the declaration of the table; the message names the column.' },
  WEIR_TABLE_MISSING: { fix: 'Check TABLES_URL, or open the table with `createIfMissing: true`.' },
  WEIR_TABLE_SCHEMA_DIFFERS: {
    fix: 'Add the missing columns to the table as nullable (ALTER TABLE ... ADD COLUMNS in Spark), or write to a new table path. Types and partitions of a table cannot change.',
  },
  WEIR_TABLE_PROTOCOL_UNSUPPORTED: {
    fix: 'The table uses Delta features that Weir does not write (reader 1, writer 2 are supported); turn them off or use a new table path.',
  },
  WEIR_TABLE_CORRUPT: { fix: 'Somebody deleted or damaged files of _delta_log; restore them from a backup.' },
  WEIR_TABLE_ROW_INVALID: { fix: 'The record does not fit the table; it belongs in the dead letters.' },
  WEIR_TABLE_COMMIT_CONFLICT: {
    fix: 'Too many writers commit to this table at once. The append is retried; run fewer writers or larger batches if it persists.',
  },
  WEIR_TABLE_AHEAD_OF_LOG: {
    fix: 'Either resume: bring back the topic (or the group) that the table was filled from; or start over: set WEIR_EPOCH to a new value, after which offsets count from the new log and only keys keep rows apart.',
  },
  WEIR_TABLE_CLOSED: { fix: 'The table was closed while work was handed to it; this is a fault of the caller.' },
} as const satisfies Record<string, ErrorEntry>;

export class TableSpecInvalidError extends WeirError {
  readonly table: string;
  constructor(table: string, problem: string) {
    super('WEIR_TABLE_SPEC_INVALID', `table ${table}: ${problem}`);
    this.table = table;
  }
}

export class TableMissingError extends WeirError {
  readonly location: string;
  constructor(location: string) {
    super('WEIR_TABLE_MISSING', `there is no Delta table at ${location}`);
    this.location = location;
  }
}

export class SchemaDiffersError extends WeirError {
  readonly table: string;
  readonly differences: readonly string[];
  constructor(table: string, location: string, differences: readonly string[]) {
    super(
      'WEIR_TABLE_SCHEMA_DIFFERS',
      `table ${table} at ${location} differs from its declaration: ${differences.join('; ')}. Add missing columns as nullable, or use a new path`,
    );
    this.table = table;
    this.differences = differences;
  }
}

export class ProtocolUnsupportedError extends WeirError {
  readonly minReaderVersion: number;
  readonly minWriterVersion: number;
  constructor(location: string, minReaderVersion: number, minWriterVersion: number) {
    super(
      'WEIR_TABLE_PROTOCOL_UNSUPPORTED',
      `${location} needs Delta reader ${minReaderVersion} and writer ${minWriterVersion}; Weir has 1 and 2`,
    );
    this.minReaderVersion = minReaderVersion;
    this.minWriterVersion = minWriterVersion;
  }
}

export class TableCorruptError extends WeirError {
  readonly location: string;
  constructor(location: string, problem: string, options?: { cause?: unknown }) {
    super('WEIR_TABLE_CORRUPT', `the log of ${location} cannot be read: ${problem}`, options);
    this.location = location;
  }
}

export class RowInvalidError extends WeirError {
  readonly table: string;
  readonly column: string;
  readonly topic: string | undefined;
  readonly partition: number | undefined;
  readonly offset: number | undefined;
  constructor(
    table: string,
    column: string,
    problem: string,
    at?: { topic: string; partition: number; offset: number },
  ) {
    const where = at ? ` (record ${at.topic}/${at.partition}/${at.offset})` : '';
    super('WEIR_TABLE_ROW_INVALID', `a row for ${table} is refused${where}: ${column}: ${problem}`);
    this.table = table;
    this.column = column;
    this.topic = at?.topic;
    this.partition = at?.partition;
    this.offset = at?.offset;
  }
}

export class CommitConflictError extends WeirError {
  readonly transient = true;
  readonly attempts: number;
  constructor(location: string, attempts: number) {
    super('WEIR_TABLE_COMMIT_CONFLICT', `another writer was faster ${attempts} times in a row at ${location}`);
    this.attempts = attempts;
  }
}

export interface AheadOfLog {
  readonly table: string;
  readonly topic: string;
  readonly partition: number;
  readonly epoch: string;
  /** The last offset that the table has rows for. */
  readonly tableOffset: number;
  /** Where the log of the partition ends: the offset of the next record. */
  readonly logEnd: number;
  /** What the group has committed; undefined when nothing. */
  readonly committed: number | undefined;
}

/**
 * The table claims offsets that the topic does not have, or that the group never committed: the topic was made anew, or
 * the group's offsets are gone. Going on would drop new records as already written.
 */
export class TableAheadOfLogError extends WeirError implements AheadOfLog {
  readonly table: string;
  readonly topic: string;
  readonly partition: number;
  readonly epoch: string;
  readonly tableOffset: number;
  readonly logEnd: number;
  readonly committed: number | undefined;
  constructor(facts: AheadOfLog) {
    const { table, topic, partition, epoch, tableOffset, logEnd, committed } = facts;
    const why =
      tableOffset >= logEnd
        ? `but the log of the partition ends at ${logEnd}`
        : `but the group has ${committed === undefined ? 'no committed offset' : `committed ${committed}`}`;
    super(
      'WEIR_TABLE_AHEAD_OF_LOG',
      `table ${table} has rows up to offset ${tableOffset} of ${topic}/${partition} (epoch "${epoch}"), ${why}: ` +
        'resume with the topic and group it was filled from, or set WEIR_EPOCH to a new value to start over',
    );
    this.table = table;
    this.topic = topic;
    this.partition = partition;
    this.epoch = epoch;
    this.tableOffset = tableOffset;
    this.logEnd = logEnd;
    this.committed = committed;
  }
}

export class TableClosedError extends WeirError {
  constructor(table: string) {
    super('WEIR_TABLE_CLOSED', `table ${table} is closed`);
  }
}
