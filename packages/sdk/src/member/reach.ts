/**
 * How far above the watermark work can have got when its owner died, if nothing was written down: what it may have had in
 * hand at once, and what it may have finished since its last commit. Rather too far: caution costs a commit for a group
 * of starts. A bound all the same: what lies beyond it when it kills is found an owner later, since the watermark moves on.
 */
import type { Resolved } from '../config.ts';
import type { DoneRange } from '../delivery/skip-map.ts';
import type { Signal } from '../metadata.ts';

const FARTHEST = 10_000;

/** @returns the offset before which everything is that may have been in flight */
export function reachOf(at: {
  from: number;
  doneBefore: readonly DoneRange[];
  signal: Pick<Signal, 'bestRate'> | undefined;
  resolved: Pick<Resolved, 'queue' | 'commitIntervalMs'>;
}): number {
  const { queue, commitIntervalMs } = at.resolved;
  const sinceCommit = ((at.signal?.bestRate ?? 0) * commitIntervalMs) / 1000;
  // Twice: those put back until they are due have a bound of their own beside the queue's.
  let left = Math.min(FARTHEST, Math.ceil(2 * queue.recordsPerPartition + 2 * sinceCommit));
  let offset = at.from;
  for (const { from, to } of at.doneBefore) {
    if (to <= offset) continue;
    const gap = Math.max(0, from - offset);
    if (gap >= left) break;
    left -= gap;
    offset = to;
  }
  return offset + left;
}
