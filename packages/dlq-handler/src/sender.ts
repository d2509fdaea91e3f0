/**
 * The way of a replayed letter into Kafka. The port's producer keeps a record and tries for ever, which is right for a
 * worker and wrong for a person at a terminal: the command would hang, and say nothing. Here a topic that does not exist
 * is known beforehand, and a record that nobody acknowledges within the time has failed.
 *
 *   sending --no acknowledgement in time, or told to stop--> given up: nothing more is sent, not even what is queued
 *
 * What was given up may have arrived all the same: its letter stays dead, and can be replayed twice, never zero times.
 */
import type { Clock } from '@weir/core';
import { type KafkaPort, ProduceFailedError, type Producer, type ProducerRecord } from '@weir/sdk';

export interface SenderOptions {
  readonly kafka: KafkaPort;
  readonly clock: Clock;
  /** Longest wait for the acknowledgement of one record. */
  readonly timeoutMs: number;
}

export class Sender {
  readonly #options: SenderOptions;
  readonly #producer: Producer;
  #topics: ReadonlySet<string> = new Set();
  #givenUp: Error | undefined;

  constructor(options: SenderOptions) {
    this.#options = options;
    this.#producer = options.kafka.producer();
  }

  /** @param topics  that records are going to be sent to */
  async start(topics: readonly string[]): Promise<void> {
    const admin = this.#options.kafka.admin();
    try {
      await admin.start();
      this.#topics = new Set((await admin.partitionCounts(topics)).keys());
    } finally {
      await admin.stop();
    }
    await this.#producer.start();
  }

  /**
   * Resolves when all in-sync replicas have it.
   * @throws ProduceFailedError; the signal's reason when aborted
   */
  async send(record: ProducerRecord, signal?: AbortSignal): Promise<void> {
    signal?.throwIfAborted();
    if (this.#givenUp) throw this.#givenUp;
    const { topic } = record;
    if (!this.#topics.has(topic)) throw new ProduceFailedError(topic, 'there is no such topic');
    const { clock, timeoutMs } = this.#options;
    const { promise, resolve, reject } = Promise.withResolvers<void>();
    const giveUp = (reason: unknown) => {
      this.#givenUp = new ProduceFailedError(topic, 'not tried: the record before it was given up');
      reject(reason);
    };
    const aborted = () => giveUp(signal?.reason);
    signal?.addEventListener('abort', aborted, { once: true });
    const cancel = clock.after(timeoutMs, () =>
      giveUp(
        new ProduceFailedError(topic, `not acknowledged within ${timeoutMs} ms; it may have arrived all the same`),
      ),
    );
    try {
      this.#producer.send(record, (error) => (error ? reject(error) : resolve()), signal)?.catch(reject);
      await promise;
    } finally {
      cancel();
      signal?.removeEventListener('abort', aborted);
    }
  }

  async stop(): Promise<void> {
    await this.#producer.stop(this.#givenUp ? AbortSignal.abort(this.#givenUp) : undefined);
  }
}
