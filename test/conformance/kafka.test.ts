import { afterAll, describe, expect, test } from 'vitest';
import { startKafka } from '../support/kafka.ts';
import { until } from '../support/until.ts';
import { assignerSuite } from './assigner-suite.ts';
import { Bench, type Harness } from './harness.ts';
import { kafkaSuite } from './kafka-suite.ts';
import { World } from './member.ts';

const kafka = await startKafka();
const { restart } = kafka ?? {};

if (kafka) {
  const harness: Harness = { brokers: kafka.brokers, sessionTimeoutMs: 6_000, stop: async () => undefined };
  afterAll(() => kafka.stop());
  kafkaSuite('Apache Kafka', async () => harness, { transactions: true });
  assignerSuite('Apache Kafka', async () => harness);

  if (restart) {
    test('a broker that restarts loses no record, and no member for good', { timeout: 120_000 }, async () => {
      const bench = new Bench(harness);
      try {
        await bench.createTopic(4);
        const world = new World();
        const members = [await bench.member({ world }).start(), await bench.member({ world }).start()];
        const producer = bench.port.producer();
        bench.atEnd(() => producer.stop());
        await producer.start();
        const fates = { written: 0, failed: 0 };
        const send = (count: number) => {
          for (let index = 0; index < count; index++) {
            void producer.send({ topic: bench.topic, key: null, value: Buffer.from('v') }, (error) => {
              if (error) fates.failed++;
              else fates.written++;
            });
          }
        };
        send(200);
        await until('two share', () => members.every(({ owned }) => owned === 2) && world.distinct === 200, 40_000);
        const restarted = restart();
        for (let round = 0; round < 20; round++) {
          send(10);
          await new Promise((resolve) => setTimeout(resolve, 50));
        }
        await restarted;
        await until('all are written', () => fates.written === 400, 60_000);
        expect(fates.failed).toBe(0);
        await until('all are started', () => world.distinct === 400, 60_000);
        const ends = await bench.admin.offsets([bench.topic]);
        expect(ends.reduce((sum, { end }) => sum + end, 0)).toBe(400);
      } finally {
        await bench.close();
      }
    });
  }
} else {
  describe.skip('Apache Kafka', () => {
    test('needs a Kafka', () => undefined);
  });
}
