/** One process at a time: for what several test files would download or install at once. */
import { open, rm, stat } from 'node:fs/promises';
import { setTimeout as wait } from 'node:timers/promises';

/**
 * Waits for a lock file, which holds the lock for as long as it is there.
 * @param staleMs  a file that is older is a dead process's
 * @returns frees it
 */
export async function lock(path: string, staleMs: number): Promise<() => Promise<void>> {
  for (;;) {
    try {
      await (await open(path, 'wx')).close();
      return () => rm(path, { force: true });
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code !== 'EEXIST') throw error;
      const made = await stat(path).catch(() => undefined);
      if (made && Date.now() - made.mtimeMs > staleMs) await rm(path, { force: true });
      else await wait(250);
    }
  }
}
