/**
 * Commits watermarks with the signal beside them, one commit at a time. Everything goes through the consumer's fence; a
 * commit that was refused or got lost is simply made again with the next round, through the fence again. Idle partitions
 * are renewed, so that observers know their owner lives.
 *
 * A watermark that stands still behind a slow record is committed again as soon as more is done above it: what is not in
 * the map of the last commit, the next owner does again.
 *
 * Every commit says whether its owner is at work or has left (suspicion.ts); each partition is told once after an
 * assignment that somebody is at work on it, and once at the end that he left. A broker that takes less metadata than
 * Kafka's default is asked again at once with less.
 *
 * Rounds come every second, and what makes one fail (a topic that is gone, a coordinator that does not answer) often lasts
 * for minutes. So the first failure is told with everything, the ones after it in a line twice a minute, and the end once.
 */
import type { Clock, Logger } from '@weir/core';
import { CommitFailedError, CommitFencedError, ERRORS } from '../errors.ts';
import type { CommitEntry, Consumer } from '../kafka/port.ts';
import type { OwnerState } from '../metadata.ts';
import { errorLine } from './classify.ts';
import type { Owned } from './owned.ts';

export interface CommitterOptions {
  readonly consumer: () => Pick<Consumer, 'commit'>;
  readonly owned: () => Iterable<Owned>;
  /** The metadata to write beside the watermark of a partition; `bare` leaves out what can be done without. */
  readonly metadata: (owned: Owned, offset: number, how: { owner: OwnerState; bare: boolean }) => string;
  /** The broker refused metadata of this many characters: `metadata` gives less from now on. */
  readonly metadataRefused: (longest: number, bare: boolean) => void;
  /** An idle partition's signal is written anew after this: well under the 90 s after which it is stale. */
  readonly renewAfterMs: number;
  readonly clock: Clock;
  readonly log: Logger;
  readonly metrics: { committed(seconds: number): void };
}

/** Refusals of one commit for its size, each followed by a shorter one: past the bare signal there is only nothing. */
const MOST_SHRINKS = 3;
/** Failures that go on are told again this often. */
const SAY_EVERY_MS = 30_000;

export class Committer {
  readonly #options: CommitterOptions;
  #underWay: Promise<boolean> | undefined;
  /** Since the first of the rounds that have failed without one between that got through. */
  #failing: { readonly sinceMs: number; saidAtMs: number; rounds: number } | undefined;

  constructor(options: CommitterOptions) {
    this.#options = options;
  }

  /** Commits what has moved, and renews what is old. @returns false when there was something and it did not get through */
  commit(owner: OwnerState = 'at-work'): Promise<boolean> {
    this.#underWay ??= this.#round(owner).finally(() => {
      this.#underWay = undefined;
    });
    return this.#underWay;
  }

  /** Waits for a commit under way, then commits what is left; as the last word before a join or a stop, with `left`. */
  async commitAll(owner: OwnerState = 'at-work'): Promise<boolean> {
    while (this.#underWay !== undefined) await this.#underWay;
    return this.commit(owner);
  }

  async #round(owner: OwnerState): Promise<boolean> {
    const { clock, log, metrics, renewAfterMs } = this.#options;
    const startedAt = clock.monotonic();
    const committing: { owned: Owned; offset: number; ahead: number; finished: number; revision: number }[] = [];
    for (const owned of this.#options.owned()) {
      const offset = owned.ledger.watermark;
      // Above a watermark that stands, what is done only grows.
      const moved =
        offset !== owned.committed ||
        owned.ledger.doneAhead !== owned.committedAhead ||
        owned.told !== owner ||
        owned.revision !== owned.committedRevision;
      // A partition without any committed offset begins at its first record: nothing to promise before that.
      if (!moved && (owned.committed < 0 || startedAt - owned.committedAtMs < renewAfterMs)) continue;
      const { doneAhead: ahead, finished } = owned.ledger;
      committing.push({ owned, offset, ahead, finished, revision: owned.revision });
    }
    if (committing.length === 0) return true;
    // Until the answer is there nobody knows which of the two stands.
    for (const { owned } of committing) if (owned.told !== owner) owned.told = undefined;
    try {
      await this.#send(committing, owner);
    } catch (error) {
      if (error instanceof CommitFencedError) {
        log.debug({ error }, 'commit not sent: a join is under way, or the partitions are not ours any more');
        return false;
      }
      this.#failed(error, committing.length);
      return false;
    }
    const now = clock.monotonic();
    this.#gotThrough(now);
    metrics.committed((now - startedAt) / 1000);
    for (const { owned, offset, ahead, finished, revision } of committing) {
      owned.committed = offset;
      owned.committedAhead = ahead;
      owned.committedFinished = finished;
      owned.committedAtMs = now;
      owned.told = owner;
      owned.committedRevision = revision;
    }
    return true;
  }

  #failed(error: unknown, partitions: number): void {
    const { clock, log } = this.#options;
    const now = clock.monotonic();
    if (this.#failing === undefined) {
      this.#failing = { sinceMs: now, saidAtMs: now, rounds: 1 };
      log.warn({ error, partitions }, `a commit did not get through. ${ERRORS.WEIR_COMMIT_FAILED.fix}`);
      return;
    }
    this.#failing.rounds++;
    if (now - this.#failing.saidAtMs < SAY_EVERY_MS) return;
    this.#failing.saidAtMs = now;
    const { rounds, sinceMs } = this.#failing;
    const seconds = (now - sinceMs) / 1000;
    log.warn({ partitions, rounds, seconds }, `commits still do not get through: ${errorLine(error)}`);
  }

  #gotThrough(nowMs: number): void {
    if (this.#failing === undefined) return;
    const { rounds, sinceMs } = this.#failing;
    this.#failing = undefined;
    this.#options.log.info({ rounds, seconds: (nowMs - sinceMs) / 1000 }, 'commits get through again');
  }

  async #send(committing: readonly { owned: Owned; offset: number }[], owner: OwnerState): Promise<void> {
    for (let shrinks = 0; ; shrinks++) {
      const how = { owner, bare: shrinks > 0 };
      const entries = committing.map(({ owned, offset }): CommitEntry => {
        const { topic, partition } = owned;
        return { topic, partition, offset, metadata: this.#options.metadata(owned, offset, how) };
      });
      try {
        return await this.#options.consumer().commit(entries);
      } catch (error) {
        if (!(error instanceof CommitFailedError && error.metadataTooLarge) || shrinks === MOST_SHRINKS) throw error;
        const longest = Math.max(...entries.map(({ metadata }) => metadata.length));
        this.#options.metadataRefused(longest, how.bare);
      }
    }
  }
}
