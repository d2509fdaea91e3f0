/**
 * How much of its memory this process has used, against the limit that would end it first: V8's for the old generation
 * (a fatal error, nothing can be finished), or the container's for the whole process (SIGKILL).
 *
 * `heap_size_limit` cannot be taken as it is: it includes room for the young generation, three times the largest semi-space
 * (192 MiB in Node 24), and with `--max-old-space-size=64` the process dies at 66 of its "256" MiB. It may die before: above
 * four fifths V8 gives up after four collections in a row that freed little ("ineffective mark-compacts"), and where there is
 * no room beside the young generation every collection is one of those. So what the young generation may need counts as
 * used up, as far as a tenth of a small heap goes: a pause at 85 % of the rest is below four fifths of the whole.
 */
import { getHeapSpaceStatistics, getHeapStatistics, setFlagsFromString } from 'node:v8';
import { runInNewContext } from 'node:vm';
import { type MemoryProbe, type MemoryReading, shareOf } from './memory-guard.ts';

const MIB = 1024 * 1024;
/** Of Node 24; earlier ones have less, which errs on the safe side. */
const YOUNG_MIB = 192;
/** The largest semi-space, which V8 wants to have free in the old generation. */
const SEMI_SPACE_MIB = 32;
const MOST_FOR_YOUNG = 0.1;
/** libuv says a number near 2^64 when there is no limit. */
const NO_LIMIT = 2 ** 50;

/**
 * @param options.nodeOptions  `NODE_OPTIONS`, which Node does not repeat in `execArgv`
 */
export function processMemory(options: { nodeOptions?: string | undefined } = {}): MemoryProbe {
  const heapLimit = usableOf(oldSpaceLimit([...process.execArgv, ...(options.nodeOptions ?? '').split(/\s+/)]));
  const container = process.constrainedMemory();
  const containerLimit = container > 0 && container < NO_LIMIT ? container : undefined;
  let gc: (() => void) | undefined;
  return {
    read(): MemoryReading {
      const heap: MemoryReading = { usedBytes: oldSpaceUsed(), limitBytes: heapLimit, of: 'heap' };
      if (containerLimit === undefined) return heap;
      const all: MemoryReading = {
        usedBytes: process.memoryUsage.rss(),
        limitBytes: containerLimit,
        of: 'container',
      };
      return shareOf(all) > shareOf(heap) ? all : heap;
    },
    collect() {
      gc ??= collector();
      gc();
    },
  };
}

/** Bytes that V8 lets the old generation have. */
export function oldSpaceLimit(flags: readonly string[], heapSizeLimit = getHeapStatistics().heap_size_limit): number {
  for (const [at, flag] of flags.entries()) {
    const said = /^--max[-_]old[-_]space[-_]size(?:=(\d+))?$/.exec(flag);
    const mib = said && Number(said[1] ?? flags[at + 1]);
    if (mib) return mib * MIB;
  }
  return Math.max(heapSizeLimit / 2, heapSizeLimit - YOUNG_MIB * MIB);
}

/** Bytes of it that a process can count on. */
export function usableOf(limitBytes: number): number {
  return limitBytes - Math.min(MOST_FOR_YOUNG * limitBytes, SEMI_SPACE_MIB * MIB);
}

function oldSpaceUsed(): number {
  let used = 0;
  // Large young objects count: nothing copies them, so what survives moves to the old generation at once.
  for (const space of getHeapSpaceStatistics())
    if (space.space_name !== 'new_space' && space.space_name !== 'read_only_space') used += space.space_used_size;
  return used;
}

/** V8's own collector, without `--expose-gc` on the command line: the flag is read when a context is made. */
function collector(): () => void {
  setFlagsFromString('--expose-gc');
  return runInNewContext('gc') as () => void;
}
