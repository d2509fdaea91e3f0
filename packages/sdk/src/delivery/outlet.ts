/**
 * What a worker produces: its own sends, and the consequences of failures (retry topics, dead letters). A consequence is
 * produced until the broker has acknowledged it or the partition is lost: giving up would lose the record.
 */
import { createHash } from 'node:crypto';
import { promisify } from 'node:util';
import { gzip } from 'node:zlib';
import type { Clock, Logger } from '@weir/core';
import type { Resolved } from '../config.ts';
import type { DeadLetterReason, SendOptions } from '../define.ts';
import { ProduceFailedError } from '../errors.ts';
import type { Acknowledge, Producer, ProducerRecord } from '../kafka/port.ts';
import { encode } from './codec.ts';
import type { Delivery } from './delivery.ts';
import { cutBytes, type FailureStory, failureHeaders, HEADER, headerText, originOf } from './headers.ts';
import type { Tracing } from './tracing.ts';

const compress = promisify(gzip);

/** Headers that travel on: tracing only. Everything else belongs to the record that carried it. */
const FORWARDED = ['traceparent', 'tracestate'] as const;
const RETRY_PRODUCE_FIRST_MS = 500;
const RETRY_PRODUCE_LONGEST_MS = 10_000;

export interface OutletMetrics {
  produced(topic: string, status: 'ok' | 'failed', count: number): void;
}

export class Outlet {
  readonly #resolved: Resolved;
  readonly #producer: Producer;
  readonly #clock: Clock;
  readonly #log: Logger;
  readonly #metrics: OutletMetrics;
  readonly #tracing: Tracing | undefined;

  constructor(options: {
    resolved: Resolved;
    producer: Producer;
    clock: Clock;
    log: Logger;
    metrics: OutletMetrics;
    tracing?: Tracing | undefined;
  }) {
    this.#resolved = options.resolved;
    this.#producer = options.producer;
    this.#clock = options.clock;
    this.#log = options.log;
    this.#metrics = options.metrics;
    this.#tracing = options.tracing;
  }

  /**
   * Queues a handler's send. `acknowledge` is called once, unless this throws or rejects.
   * @throws ValueInvalidError when the value does not match the topic's schema
   */
  send(
    to: string,
    value: unknown,
    options: SendOptions,
    cause: Delivery | undefined,
    acknowledge: Acknowledge,
    signal: AbortSignal | undefined,
  ): Promise<void> | undefined {
    const target = this.#resolved.produces[to];
    if (target === undefined) {
      const known = Object.keys(this.#resolved.produces).join(', ') || 'none';
      throw new TypeError(`send: "${to}" is not in the declaration's "produces" (${known})`);
    }
    const encoded = encode(target.topic, value);
    const headers: Record<string, string | Buffer> = {
      [HEADER.schema]: target.topic.schemaId,
      [HEADER.producer]: this.#resolved.name,
    };
    for (const name of FORWARDED) {
      const text = headerText(cause?.rawHeaders, name);
      if (text !== undefined) headers[name] = text;
    }
    for (const name in options.headers) {
      if (!name.startsWith('weir-')) headers[name] = options.headers[name]!;
    }
    Object.assign(headers, options.story);
    const traced = this.#tracing?.send(target.name, headers);
    return this.#producer.send(
      {
        topic: target.name,
        key: options.key === undefined ? encoded.key : options.key,
        value: encoded.value,
        headers,
        ...(options.partition === undefined ? {} : { partition: options.partition }),
        ...(options.timestamp === undefined ? {} : { timestamp: options.timestamp }),
      },
      (error) => {
        this.#metrics.produced(target.name, error ? 'failed' : 'ok', 1);
        traced?.end(error);
        acknowledge(error);
      },
      signal,
    );
  }

  /** Resolves when the broker has the retry record; rejects only with the partition's abort reason. */
  async retry(
    delivery: Delivery,
    step: number,
    failed: { attempt: number; parked: number; reason: Pick<DeadLetterReason, 'class' | 'message'> },
  ): Promise<void> {
    const rung = this.#resolved.retry[step];
    if (rung === undefined) throw new RangeError(`no retry topic at step ${step}`);
    await this.#consequence(delivery, rung.topic, {
      attempt: failed.attempt,
      parked: failed.parked,
      errorClass: failed.reason.class,
      error: failed.reason.message,
      dueAt: this.#clock.now() + rung.delayMs,
    });
  }

  /** Resolves when the broker has the dead letter; rejects only with the partition's abort reason. */
  async deadLetter(delivery: Delivery, reason: DeadLetterReason): Promise<void> {
    await this.#consequence(delivery, this.#resolved.deadLetters, {
      attempt: reason.attempts,
      parked: delivery.parked,
      errorClass: reason.class,
      error: reason.message,
    });
  }

  /** The original bytes, key and headers to `topic`, with the story of the failure. */
  #consequence(
    delivery: Delivery,
    topic: string,
    failure: Pick<FailureStory, 'attempt' | 'parked' | 'errorClass' | 'error' | 'dueAt'>,
  ): Promise<void> {
    const now = this.#clock.now();
    return this.#produce(delivery, {
      topic,
      key: delivery.rawKey,
      value: delivery.raw,
      timestamp: now,
      headers: {
        ...this.#originalHeaders(delivery),
        ...failureHeaders({
          group: this.#resolved.group,
          replays: delivery.replays,
          firstSeen: delivery.story?.firstSeen ?? now,
          origin: delivery.story?.origin ?? originOf(delivery),
          ...failure,
        }),
      },
    });
  }

  /** A dead letter for a batch that the client could not read at all: its coordinates are all that is known. */
  async unreadable(
    at: { topic: string; partition: number; firstOffset: number; lastOffset: number },
    message: string,
    signal: AbortSignal,
  ): Promise<void> {
    const now = this.#clock.now();
    await this.#untilAcknowledged(
      {
        topic: this.#resolved.deadLetters,
        key: null,
        value: Buffer.from(JSON.stringify(at)),
        timestamp: now,
        headers: {
          [HEADER.producer]: this.#resolved.name,
          [HEADER.encoding]: 'pointer',
          ...failureHeaders({
            group: this.#resolved.group,
            attempt: 0,
            parked: 0,
            replays: 0,
            firstSeen: now,
            origin: `${at.topic}/${at.partition}/${at.firstOffset}`,
            errorClass: 'poison',
            error: message,
          }),
        },
      },
      signal,
    );
  }

  #originalHeaders(delivery: Delivery): Record<string, string | Buffer> {
    const kept: Record<string, string | Buffer> = { [HEADER.producer]: this.#resolved.name };
    for (const [name, raw] of Object.entries(delivery.rawHeaders ?? {})) {
      if (name.startsWith('weir-') && name !== HEADER.schema) continue;
      const value = Array.isArray(raw) ? raw[0] : raw;
      if (value !== undefined) kept[name] = value;
    }
    return kept;
  }

  /** As it is; refused for its size: compressed; still refused: a pointer to the origin. Never dropped. */
  async #produce(delivery: Delivery, record: ProducerRecord): Promise<void> {
    const signal = delivery.owned.signal;
    const raw = delivery.raw ?? Buffer.alloc(0);
    const forms: (() => Promise<ProducerRecord>)[] = [
      async () => record,
      async () => ({
        ...record,
        value: await compress(raw),
        headers: { ...record.headers, [HEADER.encoding]: 'gzip' },
      }),
      async () => ({
        ...record,
        value: Buffer.from(
          JSON.stringify({
            origin: originOf(delivery),
            bytes: raw.length,
            sha256: createHash('sha256').update(raw).digest('hex'),
          }),
        ),
        headers: {
          ...weirHeadersOnly(record.headers),
          [HEADER.encoding]: 'pointer',
          [HEADER.error]: cutBytes(String(record.headers?.[HEADER.error] ?? ''), 200),
        },
      }),
    ];
    for (const [at, form] of forms.entries()) {
      try {
        await this.#untilAcknowledged(await form(), signal);
        return;
      } catch (error) {
        if (!(error instanceof ProduceFailedError && error.tooLarge) || at === forms.length - 1) throw error;
        this.#log.warn(
          { topic: record.topic, origin: originOf(delivery), bytes: raw.length },
          `record is too large for ${record.topic}: ${at === 0 ? 'compressing it' : 'writing a pointer to its origin instead'}`,
        );
      }
    }
  }

  async #untilAcknowledged(record: ProducerRecord, signal: AbortSignal): Promise<void> {
    for (let wait = RETRY_PRODUCE_FIRST_MS; ; wait = Math.min(wait * 2, RETRY_PRODUCE_LONGEST_MS)) {
      signal.throwIfAborted();
      try {
        await new Promise<void>((resolve, reject) => {
          this.#producer.send(record, (error) => (error ? reject(error) : resolve()), signal)?.catch(reject);
        });
        this.#metrics.produced(record.topic, 'ok', 1);
        return;
      } catch (error) {
        signal.throwIfAborted();
        this.#metrics.produced(record.topic, 'failed', 1);
        if (error instanceof ProduceFailedError && error.tooLarge) throw error;
        this.#log.error(
          { topic: record.topic, error },
          `a record for ${record.topic} was not taken; trying again in ${wait} ms`,
        );
        await this.#clock.sleep(wait, signal);
      }
    }
  }
}

function weirHeadersOnly(headers: ProducerRecord['headers']): Record<string, string | Buffer> {
  return Object.fromEntries(Object.entries(headers ?? {}).filter(([name]) => name.startsWith('weir-')));
}
