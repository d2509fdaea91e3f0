/**
 * What a chaos worker did, one JSON line each, written with a synchronous `write`: the page cache survives a kill -9, so the
 * checker knows everything up to the last instruction. Times are of the machine's monotonic clock, in ms, so that the lines of
 * several processes and the broker's journal can be put in one order.
 */
import { openSync, writeSync } from 'node:fs';

export interface RecordPlace {
  readonly id: string;
  readonly topic: string;
  readonly partition: number;
  readonly offset: number;
  readonly key: string | null;
}

export type WorkerEvent =
  | { readonly e: 'assigned'; readonly topic: string; readonly partition: number; readonly committed: number }
  | { readonly e: 'revoked'; readonly topic: string; readonly partition: number }
  /** `call`: the handler call, one number for all records of a batch. */
  | ({ readonly e: 'begin'; readonly call: number; readonly attempt: number } & RecordPlace)
  | ({ readonly e: 'done'; readonly call: number } & RecordPlace)
  | ({ readonly e: 'failed'; readonly call: number; readonly error: string } & RecordPlace)
  | { readonly e: 'dying'; readonly why: string };

export type LoggedEvent = WorkerEvent & { readonly t: number };

export function nowMs(): number {
  return Number(process.hrtime.bigint()) / 1e6;
}

export class EventLog {
  readonly #file: number;
  #calls = 0;

  constructor(path: string) {
    this.#file = openSync(path, 'a');
  }

  write(event: WorkerEvent): void {
    writeSync(this.#file, `${JSON.stringify({ ...event, t: nowMs() })}\n`);
  }

  nextCall(): number {
    return ++this.#calls;
  }
}
