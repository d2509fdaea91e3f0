import { availableParallelism } from 'node:os';
import { fileURLToPath } from 'node:url';
import { defineConfig } from 'vitest/config';

/** Sources run unbuilt: the `source` condition points every @weir package at its .ts files. */
export default defineConfig({
  resolve: { conditions: ['source'] },
  ssr: { resolve: { conditions: ['source'] } },
  test: {
    include: ['packages/*/src/**/*.test.ts', 'test/**/*.test.ts'],
    // Seeded chaos takes minutes and wants the machine for itself; .ci/run runs it by itself: WEIR_CHAOS=1 npx vitest run test/chaos
    exclude: ['**/node_modules/**', ...(process.env.WEIR_CHAOS ? [] : ['test/chaos/{chaos,mutations}.test.ts'])],
    pool: 'forks',
    // One for each core, and two at least: the long tests wait for brokers and sessions, not for the processor.
    maxWorkers: Math.max(2, availableParallelism()),
    testTimeout: 30_000,
    hookTimeout: 60_000,
    // The hundreds of processes that tests start need not compile the same sources each: half of what starting one costs.
    env: { NODE_COMPILE_CACHE: fileURLToPath(new URL('node_modules/.cache/weir-compiled', import.meta.url)) },
  },
});
