/**
 * A Weir worker, as a deployment runs it (runWorker: commits with signals, metrics, HTTP), whose handler waits as many
 * microseconds as the record's value says. Prints one reading when the last record is settled, and goes on until its
 * standard input ends.
 *
 * Usage: node --conditions=source bench/parallel/weir.ts BROKERS PREFIX TOPIC GROUP RECORDS key|none CONCURRENCY
 */
import { bytes, defineWorker, deriveTopics, type Order, resolve, runWorker, topic } from '@weir/sdk';
import { Kafka, logLevel } from 'kafkajs';
import { FineTimer } from './fine-timer.ts';

const [brokerList, prefix, topicName, group, recordCount, order, concurrency] = process.argv.slice(2);
const brokers = brokerList!.split(',');
const records = Number(recordCount);
const timer = new FineTimer();

let begun = 0;
let ended = 0;
let first = 0;
let firstEpochMs = 0;
let cpuAtFirst = process.cpuUsage();
const lastOfKey = new Map<string, number>();

function tell(): void {
  const seconds = (performance.now() - first) / 1000;
  const { user, system } = process.cpuUsage(cpuAtFirst);
  const cpuSeconds = (user + system) / 1e6;
  const rssMb = process.memoryUsage.rss() / 1e6;
  process.stdout.write(`${JSON.stringify({ records, seconds, cpuSeconds, rssMb, firstEpochMs })}\n`);
}

const worker = defineWorker({
  name: group!,
  consumes: topic(topicName!, bytes, { partitions: 1 }),
  order: order as Order,
  concurrency: { fixed: Number(concurrency) },
  async handle({ value, key, offset }) {
    if (begun++ === 0) {
      cpuAtFirst = process.cpuUsage();
      firstEpochMs = Date.now();
      first = performance.now();
    }
    await timer.wait(value.readUInt32BE() / 1000);
    if (order === 'key') {
      if ((lastOfKey.get(key!) ?? -1) >= offset) throw new Error(`${key}: ${offset} came after a later record`);
      lastOfKey.set(key!, offset);
    }
    // settled: the worker's own steps after the handler are done in microtasks, before the next immediate
    if (++ended === records) setImmediate(tell);
  },
});

const env = {
  KAFKA_BROKERS: brokers.join(','),
  WEIR_TOPIC_PREFIX: prefix!,
  METRICS_PORT: '0',
  LOG_LEVEL: process.env.LOG_LEVEL ?? 'error',
  // as often as the peer
  WEIR_SIGNAL_INTERVAL_MS: '1000',
};
const admin = new Kafka({ brokers, logLevel: logLevel.NOTHING }).admin();
await admin.connect();
// its retry topics and dead letters: a worker does not start without them
const derived = deriveTopics(resolve(worker, env)).filter((each) => each.topic !== `${prefix}.${topicName}`);
await admin.createTopics({ topics: derived.map((each) => ({ topic: each.topic, numPartitions: 1 })) });
await admin.disconnect();

const stop = new AbortController();
process.stdin.on('end', () => stop.abort()).resume();
await runWorker(worker, { env, signal: stop.signal });
