/**
 * Commits watermarks with the signal beside them, one commit at a time. Everything goes through the consumer's fence; a
 * commit that was refused or got lost is simply made again with the next round, through the fence again. Idle partitions
 * are renewed, so that observers know their owner lives.
 *
 * A watermark that stands still behind a slow record is committed again as soon as more is done above it: what is not in
 * the map of the last commit, the next owner does again.
 */
import type { Clock, Logger } from '@weir/core';
import { CommitFencedError } from '../errors.ts';
import type { CommitEntry, Consumer } from '../kafka/port.ts';
import type { Owned } from './owned.ts';

export interface CommitterOptions {
  readonly consumer: () => Pick<Consumer, 'commit'>;
  readonly owned: () => Iterable<Owned>;
  /** The metadata to write beside the watermark of a partition. */
  readonly metadata: (owned: Owned, offset: number) => string;
  /** An idle partition's signal is written anew after this: well under the 90 s after which it is stale. */
  readonly renewAfterMs: number;
  readonly clock: Clock;
  readonly log: Logger;
  readonly metrics: { committed(seconds: number): void };
}

export class Committer {
  readonly #options: CommitterOptions;
  #underWay: Promise<boolean> | undefined;

  constructor(options: CommitterOptions) {
    this.#options = options;
  }

  /** Commits what has moved, and renews what is old. @returns false when there was something and it did not get through */
  commit(): Promise<boolean> {
    this.#underWay ??= this.#round().finally(() => {
      this.#underWay = undefined;
    });
    return this.#underWay;
  }

  /** Waits for a commit under way, then commits what is left: the last word before a join or a stop. */
  async commitAll(): Promise<boolean> {
    await this.#underWay;
    return this.commit();
  }

  async #round(): Promise<boolean> {
    const { clock, log, metrics, renewAfterMs } = this.#options;
    const startedAt = clock.monotonic();
    const entries: CommitEntry[] = [];
    const committing: { owned: Owned; ahead: number }[] = [];
    for (const owned of this.#options.owned()) {
      const offset = owned.ledger.watermark;
      // Above a watermark that stands, what is done only grows.
      const moved = offset !== owned.committed || owned.ledger.doneAhead !== owned.committedAhead;
      // A partition without any committed offset begins at its first record: nothing to promise before that.
      if (!moved && (owned.committed < 0 || startedAt - owned.committedAtMs < renewAfterMs)) continue;
      entries.push({
        topic: owned.topic,
        partition: owned.partition,
        offset,
        metadata: this.#options.metadata(owned, offset),
      });
      committing.push({ owned, ahead: owned.ledger.doneAhead });
    }
    if (entries.length === 0) return true;
    try {
      await this.#options.consumer().commit(entries);
    } catch (error) {
      if (error instanceof CommitFencedError) {
        log.debug({ error }, 'commit not sent: a join is under way, or the partitions are not ours any more');
        return false;
      }
      log.warn({ error, partitions: entries.length }, 'commit failed; it is made again with the next round');
      return false;
    }
    const now = clock.monotonic();
    metrics.committed((now - startedAt) / 1000);
    for (const [at, { owned, ahead }] of committing.entries()) {
      owned.committed = entries[at]!.offset;
      owned.committedAhead = ahead;
      owned.committedAtMs = now;
    }
    return true;
  }
}
