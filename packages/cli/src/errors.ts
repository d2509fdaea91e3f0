/** What the command line throws on purpose. */
import { type ErrorEntry, WeirError } from '@weir/core';

export const ERRORS = {
  WEIR_USAGE: { fix: 'Correct the option; the message says what was given and what is allowed.' },
  WEIR_SERVICE_UNKNOWN: { fix: 'Name one of the services that the message lists.' },
  WEIR_SERVICE_MISSING: { fix: 'Build the repository (npm run build), or run from a clone with its sources.' },
  WEIR_SOURCE_FOLDER: { fix: 'Give --files a folder that can be read and has regular files of at most 50 MB.' },
  WEIR_LEDGER_INVALID: { fix: 'The ledger is written by `weir source`; use the file of the run that is verified.' },
  WEIR_DEMO_FAILED: { fix: 'Read the end of the log that the message names; every process keeps one in OUT/logs.' },
} as const satisfies Record<string, ErrorEntry>;

/** An option or argument that cannot be used. */
export class UsageError extends WeirError {
  constructor(message: string) {
    super('WEIR_USAGE', message);
  }
}

export class ServiceUnknownError extends WeirError {
  readonly service: string;
  constructor(service: string, known: readonly string[]) {
    super('WEIR_SERVICE_UNKNOWN', `there is no service "${service}"; there are ${known.join(', ')}`);
    this.service = service;
  }
}

export class ServiceMissingError extends WeirError {
  readonly service: string;
  constructor(service: string, looked: readonly string[]) {
    super('WEIR_SERVICE_MISSING', `nothing to start for "${service}": looked for ${looked.join(' and ')}`);
    this.service = service;
  }
}

export class SourceFolderError extends WeirError {
  readonly folder: string;
  constructor(folder: string, detail: string, options?: { cause?: unknown }) {
    super('WEIR_SOURCE_FOLDER', `folder ${folder} cannot be served: ${detail}`, options);
    this.folder = folder;
  }
}

export class LedgerInvalidError extends WeirError {
  constructor(path: string, line: number, detail: string, options?: { cause?: unknown }) {
    super('WEIR_LEDGER_INVALID', `ledger ${path}, line ${line}: ${detail}`, options);
  }
}

/** The demo could not go on: a process that dies at every start, or records that never arrive. */
export class DemoFailedError extends WeirError {
  constructor(detail: string, options?: { cause?: unknown }) {
    super('WEIR_DEMO_FAILED', detail, options);
  }
}
