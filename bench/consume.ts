/**
 * One measurement in a process of its own: reads a topic to its end along one path and prints how long that took, from
 * the first record in hand to the last one handled. Every path commits once a second.
 *
 *   raw-each-batch, raw-each-message   kafkajs as it comes
 *   weir-record, weir-batch            a Weir worker with everything on: lanes, limiter, ledger, commits with signals,
 *                                      metrics, HTTP
 *
 * Usage: node --conditions=source bench/consume.ts PATH BROKERS PREFIX TOPIC PARTITIONS RECORDS GROUP
 */
import { Kafka, logLevel } from 'kafkajs';

const [path, brokerList, prefix, topicName, partitionCount, recordCount, group] = process.argv.slice(2);
const brokers = brokerList!.split(',');
const kafkaTopic = `${prefix}.${topicName}`;
const records = Number(recordCount);

let seen = 0;
let first = 0;
let cpuAtFirst = process.cpuUsage();
let finished: () => void;
const done = new Promise<void>((resolve) => {
  finished = resolve;
});

function count(by: number): void {
  if (seen === 0) {
    first = performance.now();
    cpuAtFirst = process.cpuUsage();
  }
  seen += by;
  if (seen === records) {
    const seconds = (performance.now() - first) / 1000;
    const { user, system } = process.cpuUsage(cpuAtFirst);
    const reading = { records, seconds, cpuSeconds: (user + system) / 1e6, rssMb: process.memoryUsage.rss() / 1e6 };
    process.stdout.write(`${JSON.stringify(reading)}\n`);
    finished();
  }
  if (seen > records) throw new Error(`${seen} records, ${records} were there: some were delivered twice`);
}

async function raw(each: 'batch' | 'message'): Promise<void> {
  const kafka = new Kafka({ clientId: 'bench', brokers, logLevel: logLevel.NOTHING });
  const consumer = kafka.consumer({ groupId: group!, maxWaitTimeInMs: 500, allowAutoTopicCreation: false });
  await consumer.connect();
  await consumer.subscribe({ topics: [kafkaTopic], fromBeginning: true });
  const common = { autoCommitInterval: 1000, partitionsConsumedConcurrently: 1 };
  await consumer.run(
    each === 'batch'
      ? { ...common, eachBatch: async ({ batch }) => count(batch.messages.length) }
      : { ...common, eachMessage: async () => count(1) },
  );
  await done;
  await consumer.disconnect();
}

async function weir(kind: 'record' | 'batch'): Promise<void> {
  // here, so that the raw paths carry none of it
  const { bytes, defineWorker, deriveTopics, resolve, runWorker, topic } = await import('@weir/sdk');
  const consumes = topic(topicName!, bytes, { partitions: Number(partitionCount) });
  const common = { name: group!, consumes, concurrency: { fixed: 64 } } as const;
  const worker =
    kind === 'record'
      ? defineWorker({ ...common, handle: async () => count(1) })
      : defineWorker({
          ...common,
          batch: { maxRecords: 500, maxWait: '100ms' },
          handleBatch: async (batch) => count(batch.length),
        });
  const env = {
    KAFKA_BROKERS: brokers.join(','),
    WEIR_TOPIC_PREFIX: prefix!,
    METRICS_PORT: '0',
    LOG_LEVEL: process.env.LOG_LEVEL ?? 'error',
  };
  const admin = new Kafka({ brokers, logLevel: logLevel.NOTHING }).admin();
  await admin.connect();
  // its retry topics and dead letters: a worker does not start without them
  const derived = deriveTopics(resolve(worker, env)).filter((each) => each.topic !== kafkaTopic);
  await admin.createTopics({ topics: derived.map((each) => ({ topic: each.topic, numPartitions: 1 })) });
  await admin.disconnect();
  const stop = new AbortController();
  const running = runWorker(worker, { env, signal: stop.signal });
  await Promise.race([done, running]);
  stop.abort();
  await running;
}

switch (path) {
  case 'raw-each-batch':
    await raw('batch');
    break;
  case 'raw-each-message':
    await raw('message');
    break;
  case 'weir-record':
    await weir('record');
    break;
  case 'weir-batch':
    await weir('batch');
    break;
  default:
    throw new Error(`no such path: ${path}`);
}
