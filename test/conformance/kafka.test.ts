import { describe, test } from 'vitest';
import { startKafka } from '../support/kafka.ts';
import { kafkaSuite } from './kafka-suite.ts';

const kafka = await startKafka();

if (kafka) {
  kafkaSuite(
    'Apache Kafka',
    async () => ({ brokers: kafka.brokers, sessionTimeoutMs: 6_000, stop: () => kafka.stop() }),
    { transactions: true },
  );
} else {
  describe.skip('Apache Kafka', () => {
    test('needs a Kafka', () => undefined);
  });
}
