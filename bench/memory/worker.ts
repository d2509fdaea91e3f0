/**
 * A worker whose memory is measured from outside: as a deployment runs it (runWorker, everything on), 64 calls in flight.
 *
 *   stuck   its handler never comes back; prints `stuck N` for each call that began
 *   no-op   its handler does nothing; prints `handled N` once a second
 *
 * Usage: node --conditions=source bench/memory/worker.ts stuck|no-op BROKERS PREFIX TOPIC PARTITIONS
 */
import { bytes, defineWorker, runWorker, topic } from '@weir/sdk';

const [kind, brokers, prefix, topicName, partitions] = process.argv.slice(2);
let calls = 0;

const worker = defineWorker({
  name: 'memory',
  consumes: topic(topicName!, bytes, { partitions: Number(partitions) }),
  concurrency: { fixed: 64 },
  handle:
    kind === 'stuck'
      ? () => {
          process.stdout.write(`stuck ${++calls}\n`);
          return new Promise<void>(() => undefined);
        }
      : async () => {
          calls++;
        },
});

if (kind !== 'stuck') setInterval(() => process.stdout.write(`handled ${calls}\n`), 1_000).unref();
await runWorker(worker, {
  env: {
    KAFKA_BROKERS: brokers!,
    WEIR_TOPIC_PREFIX: prefix!,
    METRICS_PORT: '0',
    LOG_LEVEL: process.env.LOG_LEVEL ?? 'error',
  },
});
