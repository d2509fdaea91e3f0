/**
 * Faults of the file servers, by rule. A fault is a property of one URL, drawn from the seed, and stands in the ledger
 * beside the status that the pipeline must reach in spite of it:
 *
 *   not-found     404, always                                   -> failed_permanent
 *   oversized     more bytes than the size limit, announced in
 *                 the header or only found by counting          -> failed_permanent
 *   broken        500, always                                   -> failed (every retry used up)
 *   flaky:k       500 for the first k tries, then the file      -> completed
 *   truncated     the connection ends half way, once            -> completed
 *   reset         the connection is reset before a byte, once   -> completed
 *   slow          the file trickles in over some seconds        -> completed
 *
 * Hosts have characters, because outages do: one answers 500, one has a bad line, one has lost files, one is well.
 */
import type { Random } from '@weir/core';

export type Fault =
  | { readonly kind: 'not-found' }
  | { readonly kind: 'oversized'; readonly announced: boolean }
  | { readonly kind: 'broken' }
  | { readonly kind: 'flaky'; readonly times: number }
  | { readonly kind: 'truncated' }
  | { readonly kind: 'reset' }
  | { readonly kind: 'slow' };

export type ExpectedStatus = 'completed' | 'failed' | 'failed_permanent';

/** Share of a host's URLs, in percent, by kind. */
type Character = Readonly<Partial<Record<Fault['kind'], number>>>;

const CHARACTERS: readonly Character[] = [
  {},
  { reset: 4, truncated: 6, slow: 4 },
  { flaky: 12, broken: 2 },
  { 'not-found': 8, oversized: 3, slow: 2 },
];

/** Draws the fault of one URL on host number `host`; undefined for a URL that behaves. */
export function drawFault(host: number, random: Random): Fault | undefined {
  const character = CHARACTERS[host % CHARACTERS.length]!;
  let left = random.next() * 100;
  for (const [kind, percent] of Object.entries(character) as [Fault['kind'], number][]) {
    left -= percent;
    if (left < 0) return make(kind, random);
  }
  return undefined;
}

function make(kind: Fault['kind'], random: Random): Fault {
  switch (kind) {
    case 'flaky':
      return { kind, times: 1 + random.below(3) };
    case 'oversized':
      return { kind, announced: random.below(2) === 0 };
    default:
      return { kind };
  }
}

/** What the table must say in the end. */
export function expectedStatus(fault: Fault | undefined): ExpectedStatus {
  switch (fault?.kind) {
    case 'not-found':
    case 'oversized':
      return 'failed_permanent';
    case 'broken':
      return 'failed';
    default:
      return 'completed';
  }
}

/** As the ledger has it: `flaky:2`, `oversized:counted`. */
export function faultName(fault: Fault | undefined): string | null {
  if (!fault) return null;
  if (fault.kind === 'flaky') return `flaky:${fault.times}`;
  if (fault.kind === 'oversized') return fault.announced ? 'oversized:announced' : 'oversized:counted';
  return fault.kind;
}
