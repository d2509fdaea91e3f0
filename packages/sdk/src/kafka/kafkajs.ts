/**
 * The Kafka port on kafkajs 2.2. What kafkajs does not give (an awaited revoke, a fence for late commits, a notion of
 * the generation, a producer that keeps a record until its fate is known) is added around its public seams: the socket
 * factory, the partition assigner with the `Cluster` it is given, and the instrumentation events.
 *
 * Consumer, producer and admin have a client each: a JoinGroup that is held back, or a fetch that waits, delays nobody
 * else, and a crash of one leaves the others alone.
 */
import { type Clock, type Logger, type Random, systemClock, systemRandom } from '@weir/core';
import kafkajs from 'kafkajs';
import type { KafkaSettings } from '../config.ts';
import { KafkajsAdmin } from './kafkajs-admin.ts';
import type { KafkaClass } from './kafkajs-client.ts';
import { registerCodecs } from './kafkajs-codecs.ts';
import { KafkajsConsumer } from './kafkajs-consumer.ts';
import { KafkajsProducer } from './kafkajs-producer.ts';
import type { KafkaPort } from './port.ts';

export interface KafkajsOptions {
  readonly settings: KafkaSettings;
  readonly log: Logger;
  readonly clock?: Clock;
  readonly random?: Random;
  /** The client class; kafkajs's own when absent. A fork must have kafkajs's events, assigners and socket factory. */
  readonly Kafka?: KafkaClass;
}

/** What all parts of one port share. */
export interface PortContext {
  readonly settings: KafkaSettings;
  readonly log: Logger;
  readonly clock: Clock;
  readonly random: Random;
  readonly Kafka: KafkaClass;
}

export function kafkajsPort(options: KafkajsOptions): KafkaPort {
  registerCodecs();
  const context: PortContext = {
    settings: options.settings,
    log: options.log,
    clock: options.clock ?? systemClock,
    random: options.random ?? systemRandom,
    Kafka: options.Kafka ?? kafkajs.Kafka,
  };
  return {
    consumer: (consumerOptions) => new KafkajsConsumer(context, consumerOptions),
    producer: () => new KafkajsProducer(context),
    admin: () => new KafkajsAdmin(context),
  };
}
