/**
 * How many partitions a source topic has had, kept in the table itself: a transaction named table/topic/epoch, whose
 * version is the highest count that any owner has met. Its `lastUpdated` is set when the count *grew*: from then on the
 * copies of a key may lie in two partitions, one from before and one from after, so every writer searches the keys of
 * all partitions until the copies are older than the key index remembers.
 *
 * No count is asked of the broker: a new partition is assigned to somebody, and its number says it. The members of a
 * first start report in one after the other, which is no growth: the table is young then, or has their rows already.
 */
import type { MetaData, Transaction } from './actions.ts';
import { appIdOf } from './source.ts';

export interface CountedTopic {
  readonly topic: string;
  readonly epoch: string;
}

/** A table younger than this is still being started. */
const YOUNG_MS = 10 * 60_000;

export const countIdOf = (table: string, { topic, epoch }: CountedTopic): string =>
  [table, topic, epoch].map(encodeURIComponent).join('/');

interface Known {
  readonly transactions: ReadonlyMap<string, Transaction>;
  readonly metaData: Pick<MetaData, 'createdTime'> | undefined;
}

/** What an owner of these partitions has to record; undefined when the table knows as much. */
export function countToRecord(
  table: string,
  of: CountedTopic,
  partitions: readonly number[],
  { transactions, metaData }: Known,
  now: number,
): Transaction | undefined {
  const appId = countIdOf(table, of);
  const known = transactions.get(appId);
  const version = Math.max(...partitions) + 1;
  if (partitions.length === 0 || (known !== undefined && known.version >= version)) return undefined;
  const isNew = (partition: number) =>
    known !== undefined &&
    partition >= known.version &&
    !transactions.has(appIdOf(table, { topic: of.topic, partition, epoch: of.epoch }));
  const young = now - (metaData?.createdTime ?? 0) < YOUNG_MS;
  const grewAt = !young && partitions.some(isNew) ? now : (known?.lastUpdated ?? undefined);
  return { appId, version, ...(grewAt === undefined ? {} : { lastUpdated: grewAt }) };
}

/** Until when the copies of a key may lie in two partitions; 0 when no topic of this table has grown. */
export function grownUntil(
  table: string,
  transactions: ReadonlyMap<string, Transaction>,
  rememberedForMs: number,
): number {
  let until = 0;
  for (const { appId, lastUpdated } of transactions.values()) {
    if (!lastUpdated || !isCount(table, appId)) continue;
    until = Math.max(until, lastUpdated + rememberedForMs);
  }
  return until;
}

function isCount(table: string, appId: string): boolean {
  const parts = appId.split('/');
  return parts.length === 3 && parts[0] === encodeURIComponent(table);
}
