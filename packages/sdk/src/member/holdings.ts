/**
 * Taking partitions over and giving them up. At an assignment a partition that was retained (the broker has exactly what
 * this member wrote last) keeps its ledger and its work; every other begins anew where the broker, or the declaration's
 * `positions`, says. Lost partitions have their work aborted and their records counted as handed over.
 */
import type { Clock, Logger } from '@weir/core';
import type { Resolved } from '../config.ts';
import type { AssignedPosition, AssignmentContext } from '../define.ts';
import type { Delivery } from '../delivery/delivery.ts';
import type { Intake } from '../delivery/intake.ts';
import type { Narrowing } from '../delivery/narrowing.ts';
import type { Settlement } from '../delivery/settlement.ts';
import { takeOver } from '../delivery/suspicion.ts';
import type { AssignedPartition, Assignment, ConsumerListener, StartPosition, TopicPartition } from '../kafka/port.ts';
import type { LoadMeter } from '../scaling/meter.ts';
import { reachOf } from './reach.ts';
import type { Signals } from './signals.ts';

export type LostReason = Parameters<ConsumerListener['lost']>[1];

export interface HoldingsOptions {
  readonly resolved: Resolved;
  /** Names this start of the process. */
  readonly writer: string;
  readonly intake: Intake;
  readonly settlement: Settlement;
  readonly narrowing: Narrowing;
  readonly signals: Signals;
  readonly meter: LoadMeter;
  readonly clock: Clock;
  readonly log: Logger;
  readonly metrics: { handedOver(count: number): void; uncleanEnd(count: number): void };
  readonly resources: () => unknown;
  /** Aborts when the member is told to stop. */
  readonly signal: AbortSignal;
  readonly abortCalls: (reason: Error, which: (delivery: Delivery) => boolean) => void;
}

export interface TakenOver {
  readonly starts: readonly StartPosition[];
  /** Partitions that came or left. */
  readonly moved: number;
}

export class Holdings {
  readonly #options: HoldingsOptions;

  constructor(options: HoldingsOptions) {
    this.#options = options;
  }

  async takeOver(assignment: Assignment): Promise<TakenOver> {
    const { intake } = this.#options;
    const isReplaced = (each: AssignedPartition) => (intake.get(each)?.ledger.next ?? 0) > each.logEnd;
    const replaced = new Set(assignment.partitions.filter(isReplaced));
    const retained = assignment.partitions.filter(
      (each) => each.retained && intake.get(each) !== undefined && !replaced.has(each),
    );
    const kept = new Set(retained.map((each) => intake.get(each)));
    this.giveUp(assignment.lost, 'rebalance');
    // Ours again, but the broker has something else than we wrote: somebody owned it in between. Or the log ends before
    // what we have read of it: it is another one, and offsets of then would hide its records.
    this.giveUp(
      [...intake.partitions()].filter((owned) => !kept.has(owned)),
      'rebalance',
    );
    const fresh = assignment.partitions.filter((each) => !retained.includes(each));
    const positions = await this.#positions(fresh);
    const starts = [
      ...retained.map((each) => ({
        topic: each.topic,
        partition: each.partition,
        offset: intake.get(each)!.ledger.next,
      })),
      ...fresh.map((each) => this.#begin(each, positions.get(`${each.topic}/${each.partition}`), replaced.has(each))),
    ];
    return {
      starts,
      moved: fresh.length + assignment.lost.length,
    };
  }

  giveUp(partitions: readonly TopicPartition[], reason: LostReason): void {
    const { intake, meter, settlement, metrics, resolved, log, abortCalls } = this.#options;
    const error = new Error(`the partition was given up (${reason})`);
    const gone: TopicPartition[] = [];
    let again = 0;
    for (const each of partitions) {
      const owned = intake.give(each, error);
      if (owned === undefined) continue;
      gone.push({ topic: each.topic, partition: each.partition });
      meter.released(each);
      // Under way, or finished since the last commit: nobody will know that it was done.
      again += owned.running + owned.settling + owned.ledger.finished - owned.committedFinished;
    }
    if (gone.length === 0) return;
    abortCalls(error, (delivery) => !delivery.owned.alive);
    settlement.lost();
    if (again > 0) metrics.handedOver(again);
    resolved.worker.revoked?.(gone, this.#context());
    if (reason === 'session')
      log.warn(
        { partitions: gone.length },
        'no word from the broker for a whole session: the partitions count as lost, their work is aborted',
      );
  }

  async #positions(fresh: readonly AssignedPartition[]): Promise<ReadonlyMap<string, number>> {
    const { worker } = this.#options.resolved;
    if (fresh.length === 0) return new Map();
    const context = this.#context();
    await worker.assigned?.(fresh, context);
    const given = worker.positions === undefined ? [] : await worker.positions(fresh, context);
    return new Map(given.map(({ topic, partition, offset }) => [`${topic}/${partition}`, offset]));
  }

  #begin(each: AssignedPartition, position: number | undefined, replaced: boolean): StartPosition {
    const { intake, meter, signals, narrowing, resolved, clock, log, metrics } = this.#options;
    const offset = position ?? (replaced ? each.logStart : this.#startOf(each));
    // A log that ends before that is another one; the port says so, and begins at its start.
    const start = offset > each.logEnd ? each.logStart : offset;
    // What was left behind belongs to the old log.
    const left = replaced || start !== offset ? undefined : signals.leftBehind(each);
    // The skip map belongs to the committed offset; elsewhere it would say nothing true.
    const doneBefore = start === each.committed && left !== undefined ? left.doneBefore : [];
    const suspicion = takeOver(left?.suspicion, {
      end: left?.unclean ? { writer: left.signal.writer, at: clock.now() } : undefined,
      self: this.#options.writer,
      from: start,
      reach: reachOf({ from: start, doneBefore, signal: left?.signal, resolved }),
      logEnd: each.logEnd,
    });
    if (left?.unclean) metrics.uncleanEnd(1);
    if (suspicion !== undefined)
      log.warn(
        { topic: each.topic, partition: each.partition, until: suspicion.until, ends: suspicion.ends.length },
        `${each.topic}/${each.partition}: an owner ended without leaving; what may have been in flight (offsets ${start} to ${suspicion.until - 1}) starts with care`,
      );
    const owned = intake.own(each, { start, committed: each.committed, doneBefore, suspicion });
    narrowing.watch(owned);
    owned.end = each.logEnd;
    meter.assigned(each, left?.signal);
    meter.observeEnd(each, each.logEnd);
    return { topic: each.topic, partition: each.partition, offset };
  }

  #startOf(each: AssignedPosition): number {
    if (each.committed >= 0) return Math.max(each.committed, Math.min(each.logStart, each.logEnd));
    return this.#options.resolved.worker.start === 'latest' ? each.logEnd : each.logStart;
  }

  #context(): AssignmentContext<unknown, unknown> {
    const { resolved, log, resources, signal } = this.#options;
    return { config: resolved.config, resources: resources(), log, signal };
  }
}
