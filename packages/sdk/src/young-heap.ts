/**
 * A worker at rest under 100 MB. V8 doubles its young generation while modules load and a process joins its group, and
 * never gives it back: some 12 MB that an idle worker does not use. So in a process that is ours it may not grow before
 * there is work (said before the modules are loaded, or it is too late); then it may, since under load a small young generation costs throughput.
 *
 * The factor is read by V8 whenever it considers growing, so changing it later is safe, unlike sizes fixed at start-up.
 */
import { setFlagsFromString } from 'node:v8';

export function keepYoungHeapSmall(): void {
  setFlagsFromString('--semi-space-growth-factor=1');
}

export function letYoungHeapGrow(): void {
  setFlagsFromString('--semi-space-growth-factor=2');
}
