/**
 * Spans around a record's way, by OpenTelemetry's API: what waited, what the handler took, what it sent. The context
 * travels in the record's headers as the process's propagator writes it (W3C `traceparent` unless told otherwise).
 *
 *   <topic> receive    from being fetched to the handler's start: waiting in Weir       child of the producer's span
 *   <topic> process    one handler call; a batch has links to its records' producers     child of the producer's span
 *   <topic> send       from `ctx.send` to the broker's acknowledgement                   child of the span at work
 *
 * Without an OpenTelemetry SDK in the process there is no `Tracing` at all, so the hot path pays one comparison. An SDK
 * has to be registered before the worker starts, as `node --import ./instrumentation.js` does.
 */
import {
  type Attributes,
  type Context,
  context,
  ProxyTracerProvider,
  propagation,
  ROOT_CONTEXT,
  type Span,
  SpanKind,
  SpanStatusCode,
  type TextMapGetter,
  type Tracer,
  trace,
} from '@opentelemetry/api';
import type { Clock } from '@weir/core';
import type { RawHeaders } from '../kafka/port.ts';
import { errorLine } from './classify.ts';
import type { Delivery } from './delivery.ts';
import { headerText } from './headers.ts';

const NAME = '@weir/sdk';

const getter: TextMapGetter<RawHeaders> = {
  get: (headers, name) => headerText(headers, name),
  keys: (headers) => Object.keys(headers),
};

/** A span under way. */
export interface Traced {
  end(error?: unknown): void;
}

export class Tracing {
  readonly #tracer: Tracer;
  readonly #group: string;
  readonly #clock: Clock;

  private constructor(tracer: Tracer, group: string, clock: Clock) {
    this.#tracer = tracer;
    this.#group = group;
    this.#clock = clock;
  }

  /** @returns undefined when the process has no OpenTelemetry SDK */
  static open(group: string, clock: Clock): Tracing | undefined {
    const provider = trace.getTracerProvider();
    const tracer =
      provider instanceof ProxyTracerProvider ? provider.getDelegateTracer(NAME) : provider.getTracer(NAME);
    return tracer === undefined ? undefined : new Tracing(tracer, group, clock);
  }

  /** Calls the handler of one record within its span. */
  handle<T>(delivery: Delivery, call: () => T): { result: T; traced: Traced } {
    const parent = contextOf(delivery);
    const now = this.#clock.now();
    const waited = Math.max(0, this.#clock.monotonic() - delivery.queuedAt);
    this.#tracer
      .startSpan(
        `${delivery.topic} receive`,
        { startTime: now - waited, kind: SpanKind.CONSUMER, attributes: this.#attributes(delivery, 'receive') },
        parent,
      )
      .end(now);
    const span = this.#tracer.startSpan(
      `${delivery.topic} process`,
      {
        kind: SpanKind.CONSUMER,
        attributes: { ...this.#attributes(delivery, 'process'), 'weir.attempt': delivery.attempt },
      },
      parent,
    );
    return this.#within(span, parent, call);
  }

  /** Calls the handler of a batch within a span that has links to what its records come from. */
  handleBatch<T>(deliveries: readonly Delivery[], call: () => T): { result: T; traced: Traced } {
    const links = deliveries.flatMap((delivery) => {
      const spanContext = trace.getSpanContext(contextOf(delivery));
      return spanContext === undefined ? [] : [{ context: spanContext }];
    });
    const topics = [...new Set(deliveries.map((delivery) => delivery.topic))].join(',');
    const span = this.#tracer.startSpan(
      `${topics} process`,
      {
        kind: SpanKind.CONSUMER,
        links,
        attributes: {
          'messaging.system': 'kafka',
          'messaging.operation.type': 'process',
          'messaging.destination.name': topics,
          'messaging.consumer.group.name': this.#group,
          'messaging.batch.message_count': deliveries.length,
        },
      },
      ROOT_CONTEXT,
    );
    return this.#within(span, ROOT_CONTEXT, call);
  }

  /** A span for one send, and its context written into the record's headers. */
  send(topic: string, headers: Record<string, string | Buffer>): Traced {
    const parent = context.active();
    const span = this.#tracer.startSpan(
      `${topic} send`,
      {
        kind: SpanKind.PRODUCER,
        attributes: {
          'messaging.system': 'kafka',
          'messaging.operation.type': 'send',
          'messaging.destination.name': topic,
        },
      },
      parent,
    );
    propagation.inject(trace.setSpan(parent, span), headers);
    return ending(span);
  }

  #within<T>(span: Span, parent: Context, call: () => T): { result: T; traced: Traced } {
    const traced = ending(span);
    try {
      return { result: context.with(trace.setSpan(parent, span), call), traced };
    } catch (error) {
      traced.end(error);
      throw error;
    }
  }

  #attributes(delivery: Delivery, operation: string): Attributes {
    return {
      'messaging.system': 'kafka',
      'messaging.operation.type': operation,
      'messaging.destination.name': delivery.topic,
      'messaging.destination.partition.id': String(delivery.partition),
      'messaging.kafka.offset': delivery.offset,
      'messaging.consumer.group.name': this.#group,
    };
  }
}

function contextOf(delivery: Delivery): Context {
  return propagation.extract(ROOT_CONTEXT, delivery.rawHeaders ?? {}, getter);
}

function ending(span: Span): Traced {
  return {
    end: (error) => {
      if (error !== undefined && error !== null) {
        span.setStatus({ code: SpanStatusCode.ERROR, message: errorLine(error) });
        if (error instanceof Error) span.setAttribute('error.type', error.name);
      }
      span.end();
    },
  };
}
