/**
 * Where rows come from: a partition of a topic, in an epoch. Each has its own transaction in the table, named
 * table/topic/partition/epoch, whose version is the last offset that is in the table. A new epoch starts with no
 * transaction: for a topic that was made anew and counts from 0 again.
 */
export interface Source {
  readonly topic: string;
  readonly partition: number;
  readonly epoch: string;
}

export function appIdOf(table: string, source: Source): string {
  const { topic, partition, epoch } = source;
  return [table, topic, String(partition), epoch].map(encodeURIComponent).join('/');
}

/** The partition of a transaction of ours; undefined when another application wrote it. */
export function partitionOf(table: string, appId: string): number | undefined {
  const parts = appId.split('/');
  if (parts.length !== 4 || parts[0] !== encodeURIComponent(table) || !/^\d+$/.test(parts[2] ?? '')) return undefined;
  return Number(parts[2]);
}
