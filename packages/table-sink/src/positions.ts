/**
 * What a table and the log say about each other when partitions are assigned. The table remembers the last offset it has
 * of each partition and drops rows at or below it. That memory is wrong when the topic was made anew (it counts from 0
 * again) or when the group's offsets are gone, and going on would drop new records as already written. kafkajs tells no
 * topic id, so the two are compared instead, and a service refuses to start on a contradiction.
 */
import type { AheadOfLog, Table } from '@weir/lake';
import type { AssignedPosition } from '@weir/sdk';

/** Makes the table ready for rows of these partitions, topic by topic. */
export async function assignTable(
  table: Pick<Table, 'assign'>,
  partitions: readonly AssignedPosition[],
  epoch: number,
): Promise<void> {
  for (const topic of new Set(partitions.map((each) => each.topic))) {
    const ofTopic = partitions.filter((each) => each.topic === topic).map((each) => each.partition);
    await table.assign(ofTopic, { topic, epoch: String(epoch) });
  }
}

/** The first contradiction among these partitions; undefined when table, group and log agree. */
export async function findAheadOfLog(
  table: Pick<Table, 'positions'> & { readonly spec: Pick<Table['spec'], 'name'> },
  partitions: readonly AssignedPosition[],
  epoch: number,
): Promise<AheadOfLog | undefined> {
  for (const topic of new Set(partitions.map((each) => each.topic))) {
    const ofTopic = partitions.filter((each) => each.topic === topic);
    const positions = await table.positions(
      topic,
      ofTopic.map((each) => each.partition),
      String(epoch),
    );
    for (const { partition, committed, logEnd } of ofTopic) {
      const tableOffset = positions.get(partition);
      if (tableOffset === undefined || (committed >= 0 && tableOffset < logEnd)) continue;
      return {
        table: table.spec.name,
        topic,
        partition,
        epoch: String(epoch),
        tableOffset,
        logEnd,
        committed: committed < 0 ? undefined : committed,
      };
    }
  }
  return undefined;
}
