/**
 * @weir/sdk/runtime: the parts of a worker's process, for those who build a process of their own (the scaler, the command
 * line, tests). Apart from @weir/sdk because they load the Kafka client, the metrics library and the breakers, which a
 * declaration does not need.
 */
export { kafkajsPort } from './kafka/kafkajs.ts';
export { createMetrics } from './metrics.ts';
export { ScalingView, type ScalingViewOptions } from './scaling/view.ts';
export { type ExternalScaler, type ExternalScalerOptions, startExternalScaler } from './serve/external-scaler.ts';
export { type Health, type HttpOptions, type HttpServer, startHttp } from './serve/http.ts';
export { createWorker, type WorkerOptions } from './worker.ts';
