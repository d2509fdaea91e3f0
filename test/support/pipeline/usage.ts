/** Processor time and memory of another process, as Linux tells them; undefined elsewhere, or when it is gone. */
import { readFileSync } from 'node:fs';

export interface Usage {
  readonly cpuSeconds: number;
  readonly rssMb: number;
  readonly peakRssMb: number;
}

/** USER_HZ: 100 on every Linux that Node runs on. */
const TICKS_PER_SECOND = 100;

export function usageOf(pid: number): Usage | undefined {
  try {
    // The second field is the name, in brackets, and may hold anything: count from behind it.
    const stat = readFileSync(`/proc/${pid}/stat`, 'utf8');
    const fields = stat.slice(stat.lastIndexOf(')') + 2).split(' ');
    const status = readFileSync(`/proc/${pid}/status`, 'utf8');
    const kb = (name: string) => Number(new RegExp(`^${name}:\\s+(\\d+) kB`, 'm').exec(status)?.[1] ?? 0);
    return {
      cpuSeconds: (Number(fields[11]) + Number(fields[12])) / TICKS_PER_SECOND,
      rssMb: kb('VmRSS') / 1000,
      peakRssMb: kb('VmHWM') / 1000,
    };
  } catch {
    return undefined;
  }
}
