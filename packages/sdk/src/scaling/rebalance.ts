/**
 * Whether the workers that run would do, were the partitions dealt anew. Loads move after a group has joined, and nothing
 * moves partitions until somebody joins or leaves: one worker may have two hot partitions and fall behind while another
 * idles. More workers would mend that only because a join has everything dealt again, so this asks first what a join of
 * the same members would give them, by the group's own assigner with what each of them has today.
 *
 *   wanted     today's assignment does not fit, the one that they would get does: nobody needs to be added
 *   wanted     no worker can be added, and the heaviest would be lighter by a fifth: it still does not fit, but less so
 *   else not   in particular while today's fits, however uneven: every change of hands costs a pause
 */
import type { Fleet } from './fleet.ts';

/** As the assigner's own spread: differences below this are noise in the measurements. */
const LIGHTER = 0.8;

/**
 * @param share  of its capacity that a worker may be planned to
 * @param most   workers that there can be
 */
export function rebalanceWanted(fleet: Fleet, share: number, most: number): boolean {
  const { today } = fleet;
  if (today === undefined || today.length < 2 || fleet.handsFit(today, share)) return false;
  const balanced = fleet.balanced(today);
  if (fleet.handsFit(balanced, share)) return true;
  return today.length >= most && fleet.heaviestOf(balanced) <= LIGHTER * fleet.heaviestOf(today);
}
