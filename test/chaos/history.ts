/**
 * One run, as the checker sees it: what was in the logs, what the workers did, what the broker took. Nothing here knows how it
 * was gathered, so that tests can make histories up. Times are monotonic ms of the machine; `undefined` where the cluster cannot
 * tell (a real Kafka has no journal of appends).
 */
import type { FaultName } from './schedule.ts';
import type { LoggedEvent } from './workers/event-log.ts';

/** A worker kind and what it is supposed to do with its records. */
export interface Subject {
  readonly name: string;
  readonly group: string;
  readonly topics: readonly string[];
  /** What must not run at the same time or go back: nothing, the records of a key, the batches of a partition. */
  readonly lane: 'none' | 'key' | 'partition';
  /** Its rows are in the table, once each. */
  readonly table: boolean;
}

/** A record in the log of a consumed topic: accepted, so it must end somewhere. */
export interface LogRecord {
  readonly subject: string;
  readonly id: string;
  readonly topic: string;
  readonly partition: number;
  readonly offset: number;
  readonly at: number | undefined;
}

/** What a record caused: a record in an output, retry or dead-letter topic. */
export interface Consequence {
  readonly subject: string;
  readonly id: string;
  readonly kind: 'sent' | 'retry' | 'dead';
  readonly at: number | undefined;
  /** Dead because processes died with it in hand (docs/delivery.md), not because its handler failed. */
  readonly suspected?: boolean;
}

/** A commit of one partition, stored or refused, in the order in which the broker met them. */
export interface Commit {
  readonly group: string;
  readonly memberId: string;
  readonly generation: number;
  readonly topic: string;
  readonly partition: number;
  readonly offset: number;
  /** Offsets at or above `offset` that the metadata calls done: [from, to). */
  readonly ahead: readonly { readonly from: number; readonly to: number }[];
  /** The start of a process that wrote it, as the metadata names it; '' when it does not. */
  readonly writer: string;
  /** It says that its owner leaves in order. */
  readonly left: boolean;
  /** What it holds under suspicion, as delivery/suspicion.ts writes it; '' when nothing is. */
  readonly suspects: string;
  readonly stored: boolean;
  readonly at: number;
}

/** Who owned what in one generation of a group. */
export interface Generation {
  readonly group: string;
  readonly generation: number;
  /** Member id to `topic/partition`. */
  readonly owners: ReadonlyMap<string, ReadonlySet<string>>;
  /** From when on another generation could be there. */
  readonly at: number;
}

export interface ProcessLog {
  readonly process: string;
  readonly subject: string;
  readonly events: readonly LoggedEvent[];
}

export interface Fault {
  readonly at: number;
  readonly text: string;
  /** Kind of fault and whom it hit; undefined for what the runner says of itself. */
  readonly hit?: { readonly fault: FaultName; readonly subject: string; readonly process: string | undefined };
}

export interface History {
  readonly subjects: readonly Subject[];
  /** Ids that the producer was told are in the log. */
  readonly acknowledged: readonly { readonly subject: string; readonly id: string }[];
  readonly records: readonly LogRecord[];
  readonly consequences: readonly Consequence[];
  readonly commits: readonly Commit[];
  readonly generations: readonly Generation[];
  readonly processes: readonly ProcessLog[];
  /** Ids of the rows in the table, as often as they are there; undefined when nobody has looked. */
  readonly rows: readonly { readonly subject: string; readonly id: string }[] | undefined;
  readonly faults: readonly Fault[];
  /** Only faults that leave everybody the time to finish: then nothing at all is handled twice. */
  readonly gentle: boolean;
  /** What the runner itself saw go wrong: a process that crashed, a group that did not finish. */
  readonly troubles: readonly { readonly rule: string; readonly text: string; readonly id?: string }[];
}
