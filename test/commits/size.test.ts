/** Brokers whose operator lowered `offset.metadata.max.bytes`: commits get through with less, and work goes on. */
import { type Logger, silentLogger, systemClock, systemRandom } from '@weir/core';
import { startBroker } from '@weir/dev-broker';
import { bytes, decodeMetadata, defineWorker, deriveTopics, resolve, topic } from '@weir/sdk';
import { createMetrics, createWorker } from '@weir/sdk/runtime';
import { expect, test } from 'vitest';
import { kafkajsPort } from '../../packages/sdk/src/kafka/kafkajs.ts';
import { topologyOf } from '../../packages/sdk/src/topology.ts';
import { startKafka } from '../support/kafka.ts';

const RECORDS = 1_000;

/** One partition whose every seventh record hangs, so that the map of what is done above them is long. */
async function run(brokers: readonly string[]) {
  const warnings: string[] = [];
  const log: Logger = { ...silentLogger, warn: (_fields: unknown, line: string) => void warnings.push(line) } as Logger;
  const open = Promise.withResolvers<void>();
  let done = 0;
  const worker = defineWorker({
    name: 'holey',
    consumes: topic('holes', bytes, { partitions: 1 }),
    concurrency: { fixed: 200 },
    async handle({ offset }) {
      if (offset % 7 === 0) await open.promise;
      done++;
    },
  });
  const resolved = resolve(worker as never, { KAFKA_BROKERS: brokers.join(','), WEIR_SIGNAL_INTERVAL_MS: '200' });
  const kafka = kafkajsPort({ settings: { ...resolved.kafka }, log: silentLogger, clock: systemClock });
  const admin = kafka.admin();
  await admin.start();
  await admin.createTopics(deriveTopics(resolved).map(({ topic, partitions }) => ({ topic, partitions })));
  const producer = kafka.producer();
  await producer.start();
  for (let at = 0; at < RECORDS; at++)
    await producer.send({ topic: 'xact.holes', key: null, value: Buffer.from(`${at}`) }, () => {});
  await producer.flush();
  await producer.stop();
  const metrics = createMetrics({ resolved, clock: systemClock, nodeMetrics: false });
  const member = createWorker({
    resolved,
    kafka,
    metrics,
    log,
    clock: systemClock,
    random: systemRandom,
    topology: topologyOf([resolved]),
  });
  const committed = async () => (await admin.committed(resolved.group, ['xact.holes']))[0]!;
  await member.start();
  return {
    warnings,
    open: () => open.resolve(),
    done: () => done,
    committed,
    refusals: async () =>
      Number(/weir_metadata_refused_total\{.*\} (\d+)/.exec(await metrics.registry.metrics())?.[1] ?? -1),
    stop: async () => {
      await member.drain(AbortSignal.timeout(5_000));
      await admin.stop();
    },
  };
}

async function check(brokers: readonly string[], limit: number): Promise<void> {
  const world = await run(brokers);
  try {
    await expect.poll(world.done, { timeout: 20_000 }).toBe(RECORDS - Math.ceil(RECORDS / 7));
    // Refused, made again with less, and from then on within the limit.
    await expect.poll(world.refusals, { timeout: 10_000 }).toBeGreaterThan(0);
    const refusals = await world.refusals();
    await expect.poll(async () => (await world.committed()).metadata.length).toBeGreaterThan(50);
    const { offset, metadata } = await world.committed();
    expect(metadata.length).toBeLessThanOrEqual(limit);
    expect(decodeMetadata(metadata, offset).signal?.offset).toBe(0);
    world.open();
    await expect.poll(async () => (await world.committed()).offset, { timeout: 10_000 }).toBe(RECORDS);
    expect(await world.refusals()).toBeLessThanOrEqual(refusals + 2);
    expect(world.warnings.filter((line) => line.includes('offset.metadata.max.bytes'))).toHaveLength(1);
  } finally {
    world.open();
    await world.stop();
  }
}

test('a broker that takes 250 characters gets commits of at most 250 (dev broker)', async () => {
  const broker = await startBroker({ maxMetadataCharacters: 250 });
  try {
    await check(broker.brokers, 250);
  } finally {
    await broker.stop();
  }
});

test('a broker that takes no metadata worth the name gets commits without (dev broker)', async () => {
  const broker = await startBroker({ maxMetadataCharacters: 20 });
  const world = await run(broker.brokers);
  try {
    world.open();
    await expect.poll(async () => (await world.committed()).offset, { timeout: 20_000 }).toBe(RECORDS);
    expect((await world.committed()).metadata).toBe('');
    expect(world.warnings.filter((line) => line.includes('not even'))).toHaveLength(1);
  } finally {
    world.open();
    await world.stop();
    await broker.stop();
  }
});

// One broker shared by several test files would have Kafka's default: this one needs its own.
const kafka =
  process.env.WEIR_TEST_KAFKA || process.env.KAFKA_BROKERS
    ? undefined
    : await startKafka({ properties: { 'offset.metadata.max.bytes': '250' } });

test.runIf(kafka !== undefined)(
  'a broker that takes 250 characters gets commits of at most 250 (Kafka)',
  async () => {
    try {
      await check(kafka!.brokers, 250);
    } finally {
      await kafka!.stop();
    }
  },
  60_000,
);
