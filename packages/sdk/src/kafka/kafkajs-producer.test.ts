import { seededRandom, silentLogger } from '@weir/core';
import { ManualClock, settle } from '@weir/core/testing';
import { describe, expect, test } from 'vitest';
import { ProduceFailedError } from '../errors.ts';
import type { KafkaClass } from './kafkajs-client.ts';
import { KafkajsProducer } from './kafkajs-producer.ts';
import { SETTINGS } from './settings.fixture.ts';

interface Message {
  readonly key: Buffer | string | null;
  readonly value: Buffer | null;
  partition?: number;
}
interface Request {
  readonly topic: string;
  readonly messages: Message[];
}
type Partitioner = (choice: { topic: string; partitionMetadata: unknown[]; message: Message }) => number;

/** A client whose broker is the test: it decides what becomes of every request. */
function setUp(options: { partitions?: number; leaders?: number } = {}) {
  const clock = new ManualClock();
  const { partitions = 3, leaders = 1 } = options;
  const broker = {
    partitions,
    requests: [] as Request[],
    made: 0,
    /** Throws what the broker answers; by default it takes everything. */
    decide: async (_request: Request): Promise<void> => undefined,
  };
  class Fake {
    producer({ createPartitioner }: { createPartitioner: () => Partitioner }) {
      broker.made++;
      const partition = createPartitioner();
      return {
        connect: async () => undefined,
        disconnect: async () => undefined,
        send: async ({ topic, messages }: Request) => {
          const partitionMetadata = Array.from({ length: broker.partitions }, (_, partitionId) => ({
            partitionId,
            leader: partitionId % leaders,
          }));
          const chosen = messages.map((message) => partition({ topic, partitionMetadata, message }));
          const known = messages.filter((_, index) => (chosen[index] ?? 0) < broker.partitions);
          const request = { topic, messages: known };
          broker.requests.push(request);
          await broker.decide(request);
          return [...new Set(chosen)].filter((one) => one < broker.partitions).map((one) => ({ partition: one }));
        },
      };
    }
  }
  const producer = new KafkajsProducer({
    clock,
    log: silentLogger,
    random: seededRandom(1),
    Kafka: Fake as unknown as KafkaClass,
    settings: SETTINGS,
  });
  const fates = new Map<string, Error | null>();
  const send = (name: string, more: { topic?: string; partition?: number; key?: string; size?: number } = {}) => {
    const { topic = 't', key = null, size, ...rest } = more;
    return producer.send({ topic, key, value: size ? Buffer.alloc(size, name) : Buffer.from(name), ...rest }, (error) =>
      fates.set(name, error),
    );
  };
  /** Learns the topic, so that what follows travels together. */
  const warm = async (topic = 't') => {
    void send(`warm-${topic}`, { topic, partition: 0 });
    await clock.advance(10);
    broker.requests.length = 0;
  };
  return { clock, broker, producer, fates, send, warm };
}

const failure = (type: string) => Object.assign(new Error(type.toLowerCase()), { type });
const names = (request: Request | undefined) => request?.messages.map(({ value }) => String(value));

describe('KafkajsProducer', () => {
  test('records of a few milliseconds share a request; each is told once', async () => {
    const { clock, broker, fates, send, warm } = setUp();
    await warm();
    for (let index = 0; index < 100; index++) expect(send(`r${index}`)).toBeUndefined();
    expect(broker.requests).toHaveLength(0);
    await clock.advance(5);
    expect(broker.requests).toHaveLength(1);
    expect(fates.size).toBe(101);
    expect([...fates.values()].every((fate) => fate === null)).toBe(true);
  });

  test('records without a key go round all partitions', async () => {
    const { clock, broker, send, warm } = setUp();
    await warm();
    for (let index = 0; index < 9; index++) void send(`r${index}`);
    await clock.advance(5);
    const perPartition = Map.groupBy(broker.requests[0]?.messages ?? [], ({ partition }) => partition);
    expect([...perPartition.values()].map((list) => list.length)).toEqual([3, 3, 3]);
  });

  test('each leader gets a request of its own', async () => {
    const { clock, broker, send, warm } = setUp({ partitions: 4, leaders: 2 });
    await warm();
    for (let partition = 0; partition < 4; partition++) void send(`r${partition}`, { partition });
    await clock.advance(5);
    expect(broker.requests.map(names)).toEqual([
      ['r0', 'r2'],
      ['r1', 'r3'],
    ]);
  });

  test('after a failure the same records of a partition go again together, until the broker has them', async () => {
    const { clock, broker, fates, send, warm } = setUp();
    await warm();
    let failures = 0;
    broker.decide = async () => {
      if (failures++ < 12) throw failure('NOT_ENOUGH_REPLICAS');
    };
    for (let index = 0; index < 6; index++) void send(`r${index}`, { partition: index % 2 });
    await clock.advance(5);
    expect(fates.size).toBe(1);
    void send('later', { partition: 0 });
    await clock.advance(120_000);
    expect(fates.size).toBe(8);
    expect([...fates.values()].every((fate) => fate === null)).toBe(true);
    const sets = new Set(broker.requests.map((request) => names(request)?.join()));
    expect([...sets]).toEqual(['r0,r1,r2,r3,r4,r5', 'r0,r2,r4', 'r1,r3,r5', 'later']);
  });

  test.each([
    ['MESSAGE_TOO_LARGE', true],
    ['INVALID_RECORD', false],
  ])('%s fails the record that is to blame and no other', async (type, tooLarge) => {
    const { clock, broker, fates, send, warm } = setUp();
    await warm();
    broker.decide = async (request) => {
      if (names(request)?.includes('bad')) throw failure(type);
    };
    for (const name of ['a', 'b', 'bad', 'c', 'd']) void send(name, { partition: 1 });
    await clock.advance(1_000);
    expect(fates.get('bad')).toBeInstanceOf(ProduceFailedError);
    expect(fates.get('bad')).toMatchObject({ topic: 't', tooLarge });
    for (const name of ['a', 'b', 'c', 'd']) expect(fates.get(name)).toBeNull();
  });

  test('a partition that does not exist fails its records; their neighbours are not sent twice', async () => {
    const { clock, broker, fates, send, warm } = setUp();
    await warm();
    void send('good', { partition: 0 });
    void send('lost', { partition: 9 });
    await clock.advance(1_000);
    expect(fates.get('good')).toBeNull();
    expect(fates.get('lost')).toBeInstanceOf(ProduceFailedError);
    expect(broker.requests.flatMap(({ messages }) => messages.map(({ value }) => String(value)))).toEqual(['good']);
  });

  test('a topic that was made anew with fewer partitions gets its records, on the ones it has', async () => {
    const { clock, broker, fates, send, warm } = setUp({ partitions: 8 });
    await warm();
    broker.partitions = 2;
    for (let index = 0; index < 16; index++) void send(`r${index}`);
    await clock.advance(5_000);
    expect(fates.size).toBe(17);
    expect([...fates.values()].every((fate) => fate === null)).toBe(true);
  });

  test('a lost sequence is answered with a new producer', async () => {
    const { clock, broker, fates, send, warm } = setUp();
    await warm();
    let failures = 0;
    broker.decide = async () => {
      if (failures++ < 1) throw failure('OUT_OF_ORDER_SEQUENCE_NUMBER');
    };
    void send('r', { partition: 0 });
    await clock.advance(1_000);
    expect(broker.made).toBe(2);
    expect(fates.get('r')).toBeNull();
  });

  test('one topic that cannot be sent holds no other up', async () => {
    const { clock, broker, fates, send, warm } = setUp();
    await warm();
    broker.decide = async ({ topic }) => {
      if (topic === 'missing') throw failure('UNKNOWN_TOPIC_OR_PARTITION');
    };
    void send('stuck', { topic: 'missing' });
    void send('free');
    await clock.advance(60_000);
    expect(fates.get('free')).toBeNull();
    expect(fates.has('stuck')).toBe(false);
  });

  test('a full queue makes the next sender wait, in turn, until there is room', async () => {
    const { clock, broker, fates, send, warm } = setUp();
    await warm();
    const gate = Promise.withResolvers<void>();
    broker.decide = () => gate.promise;
    const size = 1024 * 1024;
    for (let index = 0; index < 32; index++) expect(send(`r${index}`, { size, partition: 0 })).toBeUndefined();
    const queued: string[] = [];
    const waiting = ['x', 'y'].map((name) => send(name)?.then(() => queued.push(name)));
    expect(waiting.every((one) => one instanceof Promise)).toBe(true);
    await clock.advance(100);
    expect(queued).toEqual([]);
    gate.resolve();
    await clock.advance(1_000);
    expect(queued).toEqual(['x', 'y']);
    expect(fates.get('y')).toBeNull();
  });

  test('a sender that gives up waiting gets the reason, and its record is never sent', async () => {
    const { clock, broker, producer, fates, send, warm } = setUp();
    await warm();
    const gate = Promise.withResolvers<void>();
    broker.decide = () => gate.promise;
    for (let index = 0; index < 33; index++) void send(`r${index}`, { size: 1024 * 1024, partition: 0 });
    const abort = new AbortController();
    let told = false;
    const waiting = producer.send(
      { topic: 't', key: null, value: Buffer.from('x') },
      () => {
        told = true;
      },
      abort.signal,
    );
    abort.abort(new Error('the handler was aborted'));
    await expect(waiting).rejects.toThrow('the handler was aborted');
    gate.resolve();
    await clock.advance(5_000);
    expect(told).toBe(false);
    expect(fates.size).toBe(34);
  });

  test('flush waits for what was queued before it, not for what comes after', async () => {
    const { clock, broker, producer, send, warm } = setUp();
    await warm();
    const gates = [Promise.withResolvers<void>(), Promise.withResolvers<void>()];
    let turn = 0;
    broker.decide = () => gates[turn++]?.promise ?? Promise.resolve();
    void send('before');
    await clock.advance(5);
    let flushed = false;
    const flushing = producer.flush().then(() => {
      flushed = true;
    });
    void send('after');
    await settle();
    expect(flushed).toBe(false);
    gates[0]?.resolve();
    await flushing;
    gates[1]?.resolve();
  });

  test('stop flushes; past its signal it fails what is left, and takes nothing more', async () => {
    const { clock, broker, producer, fates, send, warm } = setUp();
    await warm();
    void send('in time');
    const stopping = producer.stop();
    await clock.advance(100);
    await stopping;
    expect(fates.get('in time')).toBeNull();
    void send('too late');
    expect(fates.get('too late')).toBeInstanceOf(ProduceFailedError);

    const other = setUp();
    await other.warm();
    other.broker.decide = async () => {
      throw failure('BROKER_NOT_AVAILABLE');
    };
    void other.send('stuck');
    await other.clock.advance(1_000);
    const abort = new AbortController();
    const ended = other.producer.stop(abort.signal);
    abort.abort();
    await other.clock.advance(10_000);
    await ended;
    expect(other.fates.get('stuck')).toBeInstanceOf(ProduceFailedError);
    await other.producer.stop();
    expect(broker.made).toBe(1);
  });

  test('a record that cannot be encoded is refused at once, alone', async () => {
    const { clock, fates, producer, send, warm } = setUp();
    await warm();
    const told: (Error | null)[] = [];
    const wrong = { topic: 't', key: null, value: 'text' as unknown as Buffer };
    expect(producer.send(wrong, (error) => told.push(error))).toBeUndefined();
    producer.send({ topic: 't', key: null, value: null, headers: { h: 5 as unknown as string } }, (e) => told.push(e));
    void send('good');
    await clock.advance(5);
    expect(told).toHaveLength(2);
    expect(told.every((error) => error instanceof ProduceFailedError)).toBe(true);
    expect(fates.get('good')).toBeNull();
  });
});
