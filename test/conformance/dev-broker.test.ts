import { startBroker } from '@weir/dev-broker';
import { kafkaSuite } from './kafka-suite.ts';

kafkaSuite(
  'dev broker',
  async () => {
    const broker = await startBroker({ port: 0 });
    return { brokers: broker.brokers, sessionTimeoutMs: 2_000, stop: () => broker.stop() };
  },
  { transactions: false },
);
