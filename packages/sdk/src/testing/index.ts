/** @weir/sdk/testing: workers under test, without Kafka and without waiting. */
export { ManualClock } from '@weir/core/testing';
export { MemoryKafka, type StoredRecord } from './memory-kafka.ts';
export {
  type DeadLetter,
  type TestSendOptions,
  type TestWorker,
  type TestWorkerOptions,
  testWorker,
} from './test-worker.ts';
export { topicOf, topologyOfWorkers, workerOf } from './topologies.ts';
