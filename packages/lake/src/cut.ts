/**
 * Which rows of some batches are not in the table yet? Asked again after every refresh, because another writer, a former
 * owner of the partition included, may have cut the same records into other batches. Pure: no clock, no store.
 */
import type { EncodedRow } from './row.ts';

export interface EncodedSlice {
  /** Undefined for rows that come from no log (a person's decision, say): nothing can tell a repeat of those. */
  readonly appId: string | undefined;
  readonly partition: number;
  readonly rows: readonly EncodedRow[];
  /** The slice covers everything up to this offset, records without a row included. */
  readonly lastOffset: number;
}

export interface Cut {
  /** What to write, by slice. */
  readonly kept: readonly (readonly EncodedRow[])[];
  readonly droppedByOffset: readonly number[];
  readonly droppedByKey: readonly number[];
  /** appId -> last offset, for those that move forward. */
  readonly progress: ReadonlyMap<string, number>;
}

export function cut(
  slices: readonly EncodedSlice[],
  committed: (appId: string) => number | undefined,
  hasKey: (partition: number, key: string) => boolean,
): Cut {
  const progress = new Map<string, number>();
  const keysNow = new Set<string>();
  const kept: EncodedRow[][] = [];
  const droppedByOffset: number[] = [];
  const droppedByKey: number[] = [];
  for (const { appId, partition, rows, lastOffset } of slices) {
    const covered = appId === undefined ? -1 : (progress.get(appId) ?? committed(appId) ?? -1);
    const fresh = rows.filter((row) => appId === undefined || row.offset > covered);
    const once =
      appId === undefined
        ? fresh
        : fresh.filter(({ key }) => {
            if (key === undefined) return true;
            if (keysNow.has(key) || hasKey(partition, key)) return false;
            keysNow.add(key);
            return true;
          });
    if (appId !== undefined && lastOffset > covered) progress.set(appId, lastOffset);
    kept.push(once);
    droppedByOffset.push(rows.length - fresh.length);
    droppedByKey.push(fresh.length - once.length);
  }
  return { kept, droppedByOffset, droppedByKey, progress };
}
