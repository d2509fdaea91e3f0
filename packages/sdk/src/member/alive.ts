/**
 * Whether owners that were taken for dead are alive: a process that was stopped for a while, or cut off from the broker,
 * comes back under its name and commits for whatever it owns by then. Asked while records are under suspicion.
 */
import { type Clock, inTime, type Logger } from '@weir/core';
import type { End } from '../delivery/suspicion.ts';
import type { Admin } from '../kafka/port.ts';
import { decodeMetadata } from '../metadata.ts';

/** The whole process may be waiting for the answer. */
const WITHIN_MS = 5_000;

/** @returns those that committed after their end, as far as can be seen; none when Kafka does not answer */
export async function seenAlive(
  ends: readonly End[],
  at: {
    admin: Pick<Admin, 'committed'>;
    group: string;
    topics: readonly string[];
    self: string;
    clock: Clock;
    log: Logger;
  },
): Promise<readonly End[]> {
  try {
    const answer = at.admin.committed(at.group, at.topics);
    const commits = await inTime(at.clock, WITHIN_MS, answer, `no answer in ${WITHIN_MS} ms`);
    const last = new Map<string, number>();
    for (const { offset, metadata } of commits) {
      const { signal } = decodeMetadata(metadata, offset);
      if (signal !== undefined) last.set(signal.writer, Math.max(last.get(signal.writer) ?? 0, signal.sentAt));
    }
    return ends.filter(({ writer, at: endedAt }) => writer === at.self || (last.get(writer) ?? 0) > endedAt);
  } catch (error) {
    at.log.debug({ error }, 'the group\u2019s commits could not be read; its dead owners count as dead');
    return ends.filter(({ writer }) => writer === at.self);
  }
}
