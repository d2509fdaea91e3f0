import type { KafkaSettings } from '../config.ts';

/** Of a broker that nobody is to call. */
export const SETTINGS: KafkaSettings = {
  brokers: ['127.0.0.1:1'],
  clientId: 'c',
  ssl: false,
  sasl: undefined,
  sessionTimeoutMs: 6_000,
  heartbeatIntervalMs: 500,
  rebalanceTimeoutMs: 60_000,
  fetchMinBytes: 1,
  fetchMaxWaitMs: 250,
};
