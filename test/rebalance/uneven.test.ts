/**
 * Whole workers, as `runWorker` runs them, on the dev broker and on Kafka: the load moves to partitions that one of them
 * happens to have, and nobody joins or leaves.
 */
import { setTimeout as sleep } from 'node:timers/promises';
import { type Logger, silentLogger } from '@weir/core';
import { startBroker } from '@weir/dev-broker';
import { bytes, defineWorker, deriveTopics, resolve, runWorker, topic } from '@weir/sdk';
import { kafkajsPort } from '@weir/sdk/runtime';
import { describe, expect, test } from 'vitest';
import { startKafka } from '../support/kafka.ts';
import { until } from '../support/until.ts';

const PARTITIONS = 6;
const WORKERS = 2;
const CATCH_UP_MS = 8_000;
/** Two calls at a time of 20 ms each: a worker manages a little under 100/s. */
const HANDLER_MS = 20;
const HOT_PER_SECOND = 55;
const COLD_PER_SECOND = 4;

/** Two times to catch up, and the joins around them. */
const PATIENCE_MS = 60_000;

/** What one worker has been told and has done. */
class Seen {
  readonly generations = new Set<number>();
  rejoins = 0;
  readonly lately = new Map<number, number>();
  readonly log: Logger = {
    ...silentLogger,
    info: (fields, message) => {
      const { generation } = fields as { generation?: number };
      if (generation !== undefined) this.generations.add(generation);
      if (message?.startsWith('the load is uneven')) this.rejoins++;
    },
    child: () => this.log,
  };
}

async function spread(brokers: readonly string[]): Promise<void> {
  const name = `uneven-${Date.now().toString(36)}`;
  const work = topic(name, bytes, { partitions: PARTITIONS, key: () => undefined });
  const stop = new AbortController();
  const env = {
    KAFKA_BROKERS: brokers.join(','),
    METRICS_PORT: '0',
    WEIR_CATCH_UP: `${CATCH_UP_MS}ms`,
    WEIR_SCALING_INTERVAL_MS: '500',
    WEIR_SIGNAL_INTERVAL_MS: '250',
  };
  const make = (seen: Seen) =>
    defineWorker({
      name,
      consumes: work,
      concurrency: { fixed: 2 },
      scaling: { min: 1, max: WORKERS },
      handle: async ({ partition }) => {
        seen.lately.set(partition, performance.now());
        await sleep(HANDLER_MS);
      },
    });
  const resolved = resolve(make(new Seen()), env);
  const kafka = kafkajsPort({ settings: resolved.kafka, log: silentLogger });
  const admin = kafka.admin();
  const producer = kafka.producer();
  const crew = Array.from({ length: WORKERS }, () => new Seen());
  const owners = () => {
    const since = performance.now() - 1_500;
    return crew.map(({ lately }) => new Set([...lately].flatMap(([partition, at]) => (at > since ? [partition] : []))));
  };
  const runs: Promise<void>[] = [];
  const hot = new Set<number>();
  let load: Promise<void> | undefined;
  try {
    await admin.createTopics(deriveTopics(resolved).map(({ topic, partitions }) => ({ topic, partitions })));
    await producer.start();
    load = produce();
    for (const seen of crew) runs.push(runWorker(make(seen), { env, signal: stop.signal, log: seen.log }));
    await until('two share', () => owners().every(({ size }) => size === PARTITIONS / WORKERS), PATIENCE_MS);
    for (const partition of [...owners()[0]!].slice(0, 2)) hot.add(partition);
    const before = last(crew);
    const eachHasAHotOne = () => owners().every((owned) => [...hot].filter((p) => owned.has(p)).length === 1);
    await until('each has a hot one', eachHasAHotOne, PATIENCE_MS);
    const rejoins = crew.reduce((sum, seen) => sum + seen.rejoins, 0);
    expect(rejoins).toBe(1);
    // Nobody came or went: that one join is all that has happened, and it stays so under the same load.
    expect(last(crew)).toBe(before + 1);
    await sleep(2 * CATCH_UP_MS);
    expect(last(crew)).toBe(before + 1);
  } finally {
    stop.abort();
    await load;
    await Promise.all(runs);
    await producer.stop();
    await admin.stop();
  }

  async function produce(): Promise<void> {
    const sent = new Float64Array(PARTITIONS);
    for (let at = performance.now(); !stop.signal.aborted; at = performance.now()) {
      await sleep(50);
      const seconds = (performance.now() - at) / 1_000;
      for (let partition = 0; partition < PARTITIONS; partition++) {
        sent[partition]! += seconds * (hot.has(partition) ? HOT_PER_SECOND : COLD_PER_SECOND);
        for (; sent[partition]! >= 1; sent[partition]!--)
          await producer.send(
            { topic: resolved.consumes[0]!.name, partition, key: null, value: Buffer.from('v') },
            () => undefined,
          );
      }
    }
  }
}

function last(crew: readonly Seen[]): number {
  return Math.max(...crew.flatMap(({ generations }) => [...generations]));
}

const fact = 'two hot partitions of one worker are shared by one join of the leader, and nothing moves after it';

test(`dev broker: ${fact}`, { timeout: 120_000 }, async () => {
  const broker = await startBroker({ port: 0 });
  try {
    await spread(broker.brokers);
  } finally {
    await broker.stop();
  }
});

const kafka = await startKafka();
if (kafka)
  test(`Apache Kafka: ${fact}`, { timeout: 120_000 }, async () => {
    try {
      await spread(kafka.brokers);
    } finally {
      await kafka.stop();
    }
  });
else
  describe.skip('Apache Kafka', () => {
    test('needs a Kafka', () => undefined);
  });
