/**
 * A Weir worker as a deployment runs it, whose handler makes one HTTP request per record, directly or through a
 * dependency's bulkhead. First it makes 300 requests by itself, five at a time, which says what a call costs that does not
 * wait; then every second it prints how many calls ended and their p95.
 *
 * Usage: node --conditions=source bench/tuner/worker.ts BROKERS TOPIC URL handler|bulkhead METRICS_PORT; it ends with its standard input
 */
import { Agent, get } from 'node:http';
import { bytes, defineWorker, deriveTopics, resolve, runWorker, topic } from '@weir/sdk';
import { Kafka, logLevel } from 'kafkajs';

const [brokerList, topicName, url, through, port] = process.argv.slice(2);
const brokers = brokerList!.split(',');
const agent = new Agent({ keepAlive: true });
let took: number[] = [];

function request(): Promise<void> {
  const startedAt = performance.now();
  return new Promise((resolve, reject) => {
    get(url!, { agent }, (response) => {
      response.resume();
      response.on('end', () => {
        took.push(performance.now() - startedAt);
        if (response.statusCode === 200) resolve();
        else reject(new Error(`the downstream answered ${response.statusCode}`));
      });
    }).on('error', reject);
  });
}

function report(kind: 'unloaded' | 'second'): void {
  took.sort((a, b) => a - b);
  const p95Ms = took[Math.floor(took.length * 0.95)] ?? 0;
  process.stdout.write(`${JSON.stringify({ kind, calls: took.length, p95Ms })}\n`);
  took = [];
}

const worker = defineWorker({
  name: `tuned-${through}`,
  consumes: topic(topicName!, bytes, { partitions: 4 }),
  concurrency: { start: 10, max: 64 },
  dependencies: { downstream: { timeout: '30s' } },
  handle: (_record, ctx) => (through === 'bulkhead' ? ctx.call('downstream', () => request()) : request()),
});
const env = {
  KAFKA_BROKERS: brokers.join(','),
  WEIR_TOPIC_PREFIX: 'bench',
  METRICS_PORT: port!,
  LOG_LEVEL: process.env.LOG_LEVEL ?? 'error',
};

const admin = new Kafka({ brokers, logLevel: logLevel.NOTHING }).admin();
await admin.connect();
const derived = deriveTopics(resolve(worker, env)).filter((each) => each.topic !== `bench.${topicName}`);
await admin.createTopics({ topics: derived.map((each) => ({ topic: each.topic, numPartitions: 1 })) });
await admin.disconnect();

await Promise.all(
  Array.from({ length: 5 }, async () => {
    for (let call = 0; call < 60; call++) await request();
  }),
);
report('unloaded');

const stop = new AbortController();
process.stdin.on('end', () => stop.abort()).resume();
setInterval(() => report('second'), 1_000).unref();
await runWorker(worker, { env, signal: stop.signal });
