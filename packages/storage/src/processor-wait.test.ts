import { existsSync } from 'node:fs';
import { availableParallelism } from 'node:os';
import { setTimeout as wait } from 'node:timers/promises';
import { Worker } from 'node:worker_threads';
import { describe, expect, test } from 'vitest';
import { ProcessorWait } from './processor-wait.ts';

describe('the wait for a processor', () => {
  test('never goes back', () => {
    const processor = new ProcessorWait();
    const first = processor.ms();
    expect(first).toBeGreaterThanOrEqual(0);
    expect(processor.ms()).toBeGreaterThanOrEqual(first);
  });

  test.runIf(existsSync('/proc/thread-self/schedstat'))(
    'grows while more want to run than there are processors, not while the thread sleeps',
    async () => {
      const processor = new ProcessorWait();
      const asleep = processor.ms();
      for (let turn = 0; turn < 20; turn++) await wait(10);
      const slept = processor.ms() - asleep;
      // Three times as many as there are processors: about two thirds of the time somebody else runs.
      const busy = Array.from(
        { length: 3 * availableParallelism() },
        () => new Worker('for (;;) {}', { eval: true, stdout: true }),
      );
      await Promise.all(busy.map((worker) => new Promise((resolve) => worker.once('online', resolve))));
      const before = processor.ms();
      const until = performance.now() + 600;
      while (performance.now() < until) Math.sqrt(2);
      const waited = processor.ms() - before;
      await Promise.all(busy.map((worker) => worker.terminate()));
      expect(waited).toBeGreaterThan(100);
      expect(waited).toBeLessThan(650);
      expect(slept).toBeLessThan(200);
    },
  );
});
