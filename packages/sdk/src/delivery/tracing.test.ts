/** With a real OpenTelemetry SDK: spans, their parents, and what travels in the headers. */
import { context, propagation, SpanStatusCode, trace } from '@opentelemetry/api';
import { AsyncLocalStorageContextManager } from '@opentelemetry/context-async-hooks';
import { W3CTraceContextPropagator } from '@opentelemetry/core';
import { BasicTracerProvider, InMemorySpanExporter, SimpleSpanProcessor } from '@opentelemetry/sdk-trace-base';
import { afterAll, afterEach, beforeAll, describe, expect, test } from 'vitest';
import { z } from 'zod';
import { defineWorker, topic } from '../define.ts';
import { PermanentError } from '../errors.ts';
import { testWorker } from '../testing/index.ts';
import { Tracing } from './tracing.ts';

const Word = z.object({ text: z.string() });
const words = topic('words', Word, { partitions: 1 });
const loud = topic('loud', Word, { partitions: 1 });
const TRACE = '0af7651916cd43dd8448eb211c80319c';
const traceparent = `00-${TRACE}-b7ad6b7169203331-01`;

const exporter = new InMemorySpanExporter();
const spans = () => exporter.getFinishedSpans();
const named = (name: string) => spans().find((span) => span.name === name);

test('without an OpenTelemetry SDK there is no tracing at all', async () => {
  const { ManualClock } = await import('@weir/core/testing');
  expect(Tracing.open('g', new ManualClock())).toBeUndefined();
});

describe('with an OpenTelemetry SDK', () => {
  beforeAll(() => {
    trace.setGlobalTracerProvider(new BasicTracerProvider({ spanProcessors: [new SimpleSpanProcessor(exporter)] }));
    context.setGlobalContextManager(new AsyncLocalStorageContextManager().enable());
    propagation.setGlobalPropagator(new W3CTraceContextPropagator());
  });
  afterEach(() => exporter.reset());
  afterAll(() => {
    trace.disable();
    context.disable();
    propagation.disable();
  });

  const shouter = defineWorker({
    name: 'shouter',
    consumes: words,
    produces: { loud },
    async handle({ value }, ctx) {
      await new Promise((resolve) => setImmediate(resolve));
      if (value.text === 'bad') throw new PermanentError('no bad words');
      await ctx.send('loud', { text: value.text.toUpperCase() });
    },
  });

  test('receive, process and send belong to the producer’s trace, and the sent record carries it on', async () => {
    await using t = await testWorker(shouter);
    await t.send({ text: 'hi' }, { headers: { traceparent } });
    expect(spans().map((span) => span.name)).toEqual(['xact.words receive', 'xact.loud send', 'xact.words process']);
    for (const span of spans()) expect(span.spanContext().traceId).toBe(TRACE);
    const process = named('xact.words process')!;
    const send = named('xact.loud send')!;
    expect(process.parentSpanContext?.spanId).toBe('b7ad6b7169203331');
    expect(send.parentSpanContext?.spanId).toBe(process.spanContext().spanId);
    expect(process.attributes).toMatchObject({ 'messaging.kafka.offset': 0, 'weir.attempt': 0 });
    const sent = t.kafka.records('xact.loud')[0]!;
    expect(sent.headers.traceparent).toBe(`00-${TRACE}-${send.spanContext().spanId}-01`);
  });

  test('a failed call says so, without secrets', async () => {
    await using t = await testWorker(shouter);
    await t.send({ text: 'bad' });
    expect(named('xact.words process')!.status).toEqual({ code: SpanStatusCode.ERROR, message: 'no bad words' });
  });

  test('a batch has one span with links to its records’ producers', async () => {
    const batcher = defineWorker({
      name: 'batcher',
      consumes: words,
      batch: { maxRecords: 2, maxWait: '5s' },
      async handleBatch() {},
    });
    await using t = await testWorker(batcher);
    await t.send({ text: 'a' }, { headers: { traceparent } });
    await t.send({ text: 'b' });
    const process = named('xact.words process')!;
    expect(process.attributes['messaging.batch.message_count']).toBe(2);
    expect(process.links.map((link) => link.context.traceId)).toEqual([TRACE]);
  });
});
