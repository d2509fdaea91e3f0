/**
 * The guarantees, broken on purpose one at a time: what is taken out of which file, and the run that must notice. Pinned seeds; the
 * mix and the environment are chosen so that the broken part has something to do within seconds.
 */
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import type { Mix } from './load.ts';
import type { RunOptions } from './run.ts';
import type { FaultName } from './schedule.ts';
import type { SubjectName } from './subjects.ts';

export interface Edit {
  /** Below packages/. */
  readonly file: string;
  /** Must be there exactly once. */
  readonly from: string;
  readonly to: string;
}

export interface Mutation {
  readonly name: string;
  readonly edits: readonly Edit[];
  /** Rules of the checker of which at least one must be broken, and no other. */
  readonly breaks: readonly string[];
  readonly seed: number;
  readonly seconds: number;
  readonly subject: SubjectName;
  readonly faults: readonly FaultName[];
  readonly mix?: Partial<Mix>;
  readonly env?: Readonly<Record<string, string>>;
}

const QUIET = { failing: 0, broken: 0, garbage: 0 } as const;

export const MUTATIONS: readonly Mutation[] = [
  {
    name: 'the fence',
    edits: [
      {
        file: 'sdk/src/kafka/kafkajs-membership.ts',
        from: '#checkFence(entries: readonly TopicPartition[]): void {',
        to: '#checkFence(entries: readonly TopicPartition[]): void {\n    if (entries.length > 0) return;',
      },
      {
        file: 'sdk/src/worker.ts',
        from: 'if (!this.#revoking) void this.#committer.commit();',
        to: 'void this.#committer.commit();',
      },
    ],
    breaks: ['rewind', 'foreign', 'repeated'],
    seed: 19,
    seconds: 4,
    subject: 'tasks',
    faults: ['slowSyncs', 'scaleUp', 'scaleDown'],
    // Handlers outlive the wait of a revoke, so that something is finished, and would be committed, in the middle of a join.
    mix: { ...QUIET, perSecond: 80, slow: 0.3, quickMs: 20, slowMs: 800 },
    env: { WEIR_REVOKE_WAIT_MS: '100', WEIR_SIGNAL_INTERVAL_MS: '50' },
  },
  {
    name: 'the awaited revoke',
    edits: [
      {
        file: 'sdk/src/kafka/kafkajs-membership.ts',
        from: 'await Promise.race([this.#listener.revoking(reason), limit]);',
        to: 'void this.#listener.revoking(reason);\n      void limit;',
      },
    ],
    breaks: ['handed-over'],
    seed: 22,
    seconds: 4,
    subject: 'tasks',
    // Who comes takes partitions from those at work, and gives them back a moment later.
    faults: ['visitor', 'scaleUp'],
    mix: { ...QUIET, slow: 0.5, slowMs: 400 },
  },
  {
    name: 'the dedupe of retained partitions',
    edits: [
      {
        file: 'sdk/src/member/holdings.ts',
        from: 'offset: intake.get(each)!.ledger.next,',
        to: 'offset: each.committed,',
      },
      {
        file: 'sdk/src/delivery/ledger.ts',
        from: 'if (offset < this.#next) return REDELIVERED;',
        to: '',
      },
    ],
    breaks: ['twice', 'handed-over', 'repeated', 'rewind'],
    seed: 31,
    seconds: 4,
    subject: 'tasks',
    faults: ['rebalance'],
    mix: { ...QUIET, slow: 0.3, slowMs: 600 },
  },
  {
    name: 'the skip map',
    edits: [
      {
        file: 'sdk/src/member/signals.ts',
        from: 'doneBefore: doneBefore ?? []',
        to: 'doneBefore: []',
      },
    ],
    breaks: ['repeated'],
    seed: 41,
    seconds: 4,
    subject: 'tasks',
    // Killed at the very commit that tells of work done out of order: whoever comes next has nothing but the map.
    faults: ['killAhead'],
    mix: { ...QUIET, perSecond: 60, slow: 0.3, slowMs: 900 },
    env: { WEIR_SIGNAL_INTERVAL_MS: '100' },
  },
  {
    name: 'one batch in flight',
    edits: [
      {
        file: 'sdk/src/delivery/batch-runner.ts',
        from: 'return owned.alive && !owned.batchInFlight && owned.queued > 0;',
        to: 'return owned.alive && owned.queued > 0;',
      },
    ],
    breaks: ['overlap', 'inverted', 'row'],
    seed: 51,
    seconds: 8,
    subject: 'rows',
    faults: ['rebalance'],
    mix: { ...QUIET, slow: 0.5, slowMs: 500 },
  },
  {
    name: 'produce before done',
    edits: [
      {
        file: 'sdk/src/delivery/runner.ts',
        from: 'if (!invocation.sendsPending) {',
        to: 'if (!invocation.closed) {',
      },
    ],
    breaks: ['early-commit', 'lost'],
    seed: 61,
    seconds: 4,
    subject: 'tasks',
    faults: ['slowProduces'],
    mix: { ...QUIET },
    env: { WEIR_SIGNAL_INTERVAL_MS: '50' },
  },
];

/** The file as it would be. @throws when a text is not there exactly once: the mutation has to follow the code */
export function mutated(source: string, { file, from, to }: Edit): string {
  const parts = source.split(from);
  if (parts.length !== 2)
    throw new Error(`the mutation of packages/${file} finds its text ${parts.length - 1} times: ${from}`);
  return parts.join(to);
}

export function pathOf({ file }: Edit): string {
  return new URL(`../../packages/${file}`, import.meta.url).pathname;
}

/** Tries every edit of a mutation without running anything. */
export function checkEdits({ edits }: Mutation): void {
  for (const edit of edits) mutated(readFileSync(pathOf(edit), 'utf8'), edit);
}

/** The run that notices, on the code as it is. */
export function intactRun({ seed, seconds, subject, faults, mix, env }: Mutation): RunOptions {
  return {
    seed,
    durationMs: seconds * 1_000,
    subjects: [subject],
    faults,
    kafka: false,
    ...(mix ? { mix } : {}),
    ...(env ? { env } : {}),
  };
}

/** The same with the guarantee taken out of the worker processes. */
export function brokenRun(mutation: Mutation): RunOptions {
  const options = intactRun(mutation);
  return {
    ...options,
    env: { ...options.env, CHAOS_MUTATION: mutation.name },
    nodeArgs: ['--import', join(import.meta.dirname, 'mutate.ts')],
    untilBroken: true,
  };
}
