/** A batch worker's records that fail alone are on their way to the dead letters when a join begins. */
import { setTimeout as sleep } from 'node:timers/promises';
import { silentLogger, systemClock, systemRandom } from '@weir/core';
import { startBroker } from '@weir/dev-broker';
import { bytes, defineWorker, deriveTopics, PermanentError, resolve, topic, topologyOf } from '@weir/sdk';
import { createMetrics, createWorker, kafkajsPort } from '@weir/sdk/runtime';
import { expect, test } from 'vitest';
import { until } from '../support/until.ts';

const PARTITIONS = 4;
const PER_PARTITION = 10;

test('a join waits for the dead letters of a batch whose other records are done', { timeout: 30_000 }, async () => {
  const broker = await startBroker({ port: 0 });
  const handled = new Map<string, number>();
  let calls = 0;
  const worker = defineWorker({
    name: 'rows',
    consumes: topic('rows', bytes, { partitions: PARTITIONS, key: () => undefined }),
    batch: { maxRecords: PARTITIONS * PER_PARTITION, maxBytes: 1_000_000, maxWait: '200ms' },
    async handleBatch(records, ctx) {
      calls++;
      await sleep(1_500);
      for (const record of records) {
        const id = `${record.partition}/${record.offset}`;
        handled.set(id, (handled.get(id) ?? 0) + 1);
        // Not the first of the batch, or nothing would be done before it.
        if (record.offset === PER_PARTITION - 1) ctx.fail(record, new PermanentError('never'));
      }
    },
  });
  const resolved = resolve(worker, { KAFKA_BROKERS: broker.brokers.join(','), METRICS_PORT: '0' });
  const make = () => {
    const clock = systemClock;
    return createWorker({
      resolved,
      kafka: kafkajsPort({ settings: resolved.kafka, log: silentLogger }),
      metrics: createMetrics({ resolved, clock }),
      log: silentLogger,
      clock,
      random: systemRandom,
      topology: topologyOf([resolved]),
    });
  };
  const members = [make(), make()];
  try {
    for (const each of deriveTopics(resolved)) broker.createTopic(each.topic, { partitions: each.partitions });
    const producer = kafkajsPort({ settings: resolved.kafka, log: silentLogger }).producer();
    await producer.start();
    for (let partition = 0; partition < PARTITIONS; partition++)
      for (let record = 0; record < PER_PARTITION; record++)
        await producer.send(
          { topic: resolved.consumes[0]!.name, partition, key: null, value: Buffer.from('v') },
          () => undefined,
        );
    await producer.stop();
    broker.control('Produce', () => ({ delayMs: 700 }));
    await members[0]!.start();
    await until('the batch is at work', () => calls === 1);
    await members[1]!.start();
    await until('two share', () => members.every((member) => member.gauges().assigned === PARTITIONS / 2));
    await until('all is done', () => members.every((member) => member.idle));
    await sleep(500);
    expect(handled.size).toBe(PARTITIONS * PER_PARTITION);
    expect([...handled].filter(([, times]) => times > 1)).toEqual([]);
  } finally {
    await Promise.all(members.map((member) => member.drain(AbortSignal.timeout(5_000))));
    await broker.stop();
  }
});
