/** The rows that are the broker's business, on a real Kafka: dev-broker.test.ts has all of them. */
import { afterAll, beforeAll, describe } from 'vitest';
import { type RunningKafka, startKafka } from '../support/kafka.ts';
import { crashRows } from './crashes.ts';
import { openWorld, type World } from './world.ts';

const kafka: RunningKafka | undefined = await startKafka();

describe.skipIf(!kafka)('crashes, on Kafka', () => {
  let world: World;
  beforeAll(async () => {
    world = await openWorld({ brokers: kafka!.brokers });
  }, 120_000);
  afterAll(async () => {
    await world?.pipeline.stop();
    await kafka?.stop();
  }, 60_000);

  crashRows(() => world, kafka?.restart ? { restartBroker: kafka.restart } : {});
});
