/** What the words of docs/glossary.md mean, on a worker with everything real but Kafka and the clock. */
import { seededRandom, silentLogger } from '@weir/core';
import { ManualClock } from '@weir/core/testing';
import { describe, expect, test } from 'vitest';
import { z } from 'zod';
import { resolve } from './config.ts';
import { bytes, defineWorker, topic, type Worker } from './define.ts';
import { PermanentError, RetryableError } from './errors.ts';
import { type ConsumerListener, Fetched, type KafkaPort, ListedRecords } from './kafka/port.ts';
import { createMetrics } from './metrics.ts';
import { testWorker } from './testing/index.ts';
import { MemoryKafka } from './testing/memory-kafka.ts';
import { deriveTopics, topologyOf } from './topology.ts';
import { createWorker } from './worker.ts';

const Word = z.object({ text: z.string() });
const words = topic('words', Word, { partitions: 2, key: (word) => word.text });
const loud = topic('loud', Word, { partitions: 2 });

const shouter = defineWorker({
  name: 'shouter',
  consumes: words,
  produces: { loud },
  async handle({ value }, ctx) {
    await ctx.send('loud', { text: value.text.toUpperCase() });
  },
});

describe('one record', () => {
  test('is decoded, handled, and committed when its sends are acknowledged', async () => {
    await using t = await testWorker(shouter);
    await t.send({ text: 'hi' });
    expect(t.sent('loud')).toEqual([{ text: 'HI' }]);
    await t.advance('2s');
    const { partition } = t.kafka.records('xact.words')[0]!;
    expect(t.kafka.committed('xact.words', partition)).toBe(1);
  });

  test('is not committed while the broker has not taken its send', async () => {
    await using t = await testWorker(shouter);
    t.kafka.produceFailure = new Error('no');
    await t.send({ text: 'hi' }, { wait: false });
    await t.advance('2s');
    const { partition } = t.kafka.records('xact.words')[0]!;
    expect(t.kafka.committed('xact.words', partition)).toBe(0);
    t.kafka.produceFailure = undefined;
    await t.advance('20m');
    expect(t.kafka.committed('xact.words', partition)).toBeGreaterThan(0);
    expect(t.sent('loud')).toEqual([{ text: 'HI' }]);
  });

  test('can be spread: value and coordinates come along', async () => {
    const seen: object[] = [];
    const w = defineWorker({ name: 'spreader', consumes: words, handle: (record) => void seen.push({ ...record }) });
    await using t = await testWorker(w);
    await t.send({ text: 'hi' }, { partition: 1 });
    expect(seen).toMatchObject([
      { value: { text: 'hi' }, topic: 'xact.words', partition: 1, offset: 0, timestamp: t.clock.now(), attempt: 0 },
    ]);
  });

  test('that is not JSON is a dead letter with its bytes while the rest flows', async () => {
    await using t = await testWorker(shouter);
    await t.sendRaw('{not json');
    await t.sendRaw('{"text": 5}');
    await t.send({ text: 'fine' });
    expect(t.deadLetters().map((letter) => [letter.value.toString(), letter.errorClass])).toEqual([
      ['{not json', 'poison'],
      ['{"text": 5}', 'poison'],
    ]);
    expect(t.deadLetters()[1]!.error).toContain('text');
    expect(t.sent('loud')).toEqual([{ text: 'FINE' }]);
  });
});

describe('retries without an order', () => {
  const attempts: number[] = [];
  const flaky = (failures: number, error: () => Error) => {
    attempts.length = 0;
    return defineWorker({
      name: 'flaky',
      consumes: words,
      retry: { delays: ['5m', '10m'] },
      async handle({ attempt }) {
        attempts.push(attempt);
        if (attempts.length <= failures) throw error();
      },
    });
  };

  test('n delays mean n + 1 calls, then the dead letters', async () => {
    await using t = await testWorker(flaky(9, () => new RetryableError('busy')));
    await t.send({ text: 'a' });
    expect(t.retries()).toMatchObject([{ topic: 'xact.flaky.retry.5m', attempt: 1 }]);
    await t.advance('5m');
    expect(t.retries()).toMatchObject([{ topic: 'xact.flaky.retry.10m', attempt: 2 }]);
    await t.advance('10m');
    expect(attempts).toEqual([0, 1, 2]);
    expect(t.deadLetters()).toMatchObject([{ attempts: 3, errorClass: 'transient', error: 'busy' }]);
  });

  test('a record that succeeds on the way is done', async () => {
    await using t = await testWorker(flaky(1, () => new RetryableError('busy')));
    await t.send({ text: 'a' });
    await t.advance('5m');
    expect(attempts).toEqual([0, 1]);
    expect(t.deadLetters()).toEqual([]);
  });

  test('`after` picks the first topic that waits long enough', async () => {
    await using t = await testWorker(flaky(1, () => new RetryableError('later', { after: 400_000 })));
    await t.send({ text: 'a' });
    expect(t.retries()).toMatchObject([{ topic: 'xact.flaky.retry.10m' }]);
  });

  test('a permanent failure is a dead letter at once', async () => {
    await using t = await testWorker(flaky(1, () => new PermanentError('gone')));
    await t.send({ text: 'a' });
    expect(t.deadLetters()).toMatchObject([{ attempts: 1, errorClass: 'permanent' }]);
  });

  test('an unknown throw is a bug: retried, then dead as poison', async () => {
    await using t = await testWorker(flaky(9, () => new TypeError('x is undefined')));
    await t.send({ text: 'a' });
    await t.advance('15m');
    expect(attempts).toEqual([0, 1, 2]);
    expect(t.deadLetters()).toMatchObject([{ errorClass: 'poison' }]);
  });

  test('a refused login is retried once', async () => {
    await using t = await testWorker(flaky(9, () => new RetryableError('401', { class: 'auth' })));
    await t.send({ text: 'a' });
    await t.advance('5m');
    expect(attempts).toEqual([0, 1]);
    expect(t.deadLetters()).toMatchObject([{ errorClass: 'auth' }]);
  });
});

describe('weir-* headers', () => {
  test('that name no group of the topology change nothing', async () => {
    const seen: number[] = [];
    const w = defineWorker({
      name: 'reader',
      consumes: words,
      handle({ attempt, replays }) {
        seen.push(attempt, replays);
      },
    });
    await using t = await testWorker(w);
    await t.send({ text: 'a' }, { headers: { 'weir-group': 'evil', 'weir-attempt': '4', 'weir-replays': '9' } });
    expect(seen).toEqual([0, 0]);
  });
});

describe('ordered lanes', () => {
  test('a failing key is retried in place and nothing of it passes, while other keys run', async () => {
    const seen: string[] = [];
    let failing = true;
    const w = defineWorker({
      name: 'ordered',
      consumes: topic('ordered', Word, { partitions: 1, key: (word) => word.text[0]! }),
      order: 'key',
      async handle({ value }) {
        if (value.text === 'a1' && failing) throw new RetryableError('not yet');
        seen.push(value.text);
      },
    });
    await using t = await testWorker(w);
    await t.send({ text: 'a1' });
    await t.send({ text: 'a2' });
    await t.send({ text: 'b1' });
    expect(seen).toEqual(['b1']);
    failing = false;
    await t.advance('2s');
    expect(seen).toEqual(['b1', 'a1', 'a2']);
    expect(t.retries()).toEqual([]);
  });

  test('two minutes of failing in place end in the dead letters', async () => {
    const w = defineWorker({
      name: 'ordered',
      consumes: topic('ordered', Word, { partitions: 1 }),
      order: 'partition',
      async handle({ value }) {
        if (value.text === 'bad') throw new RetryableError('never');
      },
    });
    await using t = await testWorker(w);
    await t.send({ text: 'bad' });
    await t.send({ text: 'good' });
    await t.advance('3m');
    expect(t.deadLetters()).toHaveLength(1);
    expect(t.kafka.committed('xact.ordered', 0)).toBe(2);
  });
});

describe('dead letters', () => {
  test('onDeadLetter’s sends are acknowledged before the record is done', async () => {
    const w = defineWorker({
      name: 'reporter',
      consumes: words,
      produces: { loud },
      async handle() {
        throw new PermanentError('gone');
      },
      async onDeadLetter({ value }, error, ctx) {
        await ctx.send('loud', { text: `${value.text} ${error.class} ${error.exhausted}` });
      },
    });
    await using t = await testWorker(w);
    await t.send({ text: 'a' });
    expect(t.sent('loud')).toEqual([{ text: 'a permanent false' }]);
    expect(t.deadLetters()).toHaveLength(1);
  });
});

describe('a record put back', () => {
  test('runs again when it is due, with no attempt burnt', async () => {
    const seen: number[] = [];
    const w = defineWorker({
      name: 'scheduler',
      consumes: topic('later', bytes, { partitions: 1 }),
      handle({ timestamp, attempt }, ctx) {
        const due = timestamp + 60_000;
        if (due > ctx.clock.now()) ctx.notBefore(due);
        else seen.push(attempt);
      },
    });
    await using t = await testWorker(w);
    await t.sendRaw('x');
    await t.advance('59s');
    expect(seen).toEqual([]);
    expect(t.kafka.committed('xact.later', 0)).toBe(0);
    await t.advance('3s');
    expect(seen).toEqual([0]);
    expect(t.kafka.committed('xact.later', 0)).toBe(1);
  });
});

describe('timeouts', () => {
  test('a handler past its timeout is aborted and its record retried', async () => {
    let aborted: unknown;
    const w = defineWorker({
      name: 'slow',
      consumes: words,
      timeout: '10s',
      async handle(_, { signal, clock }) {
        try {
          await clock.sleep(60_000, signal);
        } catch (error) {
          aborted = error;
          throw error;
        }
      },
    });
    await using t = await testWorker(w);
    await t.send({ text: 'a' }, { wait: false });
    await t.advance('11s');
    expect(String(aborted)).toContain('10000 ms');
    expect(t.retries()).toHaveLength(1);
  });

  test('a handler that ignores its signal keeps its slot; all slots stuck is not live', async () => {
    let release = () => {};
    const w = defineWorker({
      name: 'stubborn',
      consumes: words,
      timeout: '10s',
      concurrency: { fixed: 1 },
      handle: () => new Promise<void>((resolve) => (release = resolve)),
    });
    await using t = await testWorker(w);
    await t.send({ text: 'a' }, { wait: false });
    await t.advance('11s');
    expect(t.worker.health().live).toBe(false);
    expect(t.worker.gauges().stuck).toBe(1);
    release();
    await t.advance('1s');
    expect(t.worker.health().live).toBe(true);
  });
});

describe('batches', () => {
  const collect = (batches: string[][]) =>
    defineWorker({
      name: 'batcher',
      consumes: words,
      batch: { maxRecords: 3, maxWait: '5s' },
      retry: { delays: ['5m'] },
      async handleBatch(records, ctx) {
        batches.push(records.map((record) => record.value.text));
        for (const record of records)
          if (record.value.text.startsWith('bad')) ctx.fail(record, new PermanentError('bad one'));
      },
    });

  test('go out when full, or when the oldest has waited long enough', async () => {
    const batches: string[][] = [];
    await using t = await testWorker(collect(batches));
    for (const text of ['a', 'b', 'c', 'd']) await t.send({ text }, { partition: 0 });
    expect(batches).toEqual([['a', 'b', 'c']]);
    await t.advance('6s');
    expect(batches).toEqual([['a', 'b', 'c'], ['d']]);
  });

  test('one failed record does not fail its batch', async () => {
    const batches: string[][] = [];
    await using t = await testWorker(collect(batches));
    for (const text of ['a', 'bad', 'c']) await t.send({ text }, { partition: 0 });
    expect(t.deadLetters()).toHaveLength(1);
    await t.advance('2s');
    expect(t.kafka.committed('xact.words', 0)).toBe(3);
  });

  test('unreadable records never enter a batch', async () => {
    const batches: string[][] = [];
    await using t = await testWorker(collect(batches));
    await t.sendRaw('garbage', { partition: 0 });
    for (const text of ['a', 'b', 'c']) await t.send({ text }, { partition: 0 });
    await t.advance('6s');
    expect(batches.flat()).toEqual(['a', 'b', 'c']);
    expect(t.deadLetters()).toHaveLength(1);
  });
});

describe('a dependency that is down', () => {
  test('plain: everything waits, no attempt is burnt, and all of it is done afterwards', async () => {
    let down = true;
    const done: string[] = [];
    const attempts = new Set<number>();
    const w = defineWorker({
      name: 'caller',
      consumes: words,
      dependencies: { api: { timeout: '5s' } },
      async handle({ value, attempt }, ctx) {
        await ctx.call('api', async () => {
          if (down) throw new RetryableError('503');
        });
        attempts.add(attempt);
        done.push(value.text);
      },
    });
    await using t = await testWorker(w);
    for (let at = 0; at < 40; at++) await t.send({ text: `w${at}` }, { wait: false });
    await t.advance('20s');
    expect(done).toEqual([]);
    down = false;
    await t.advance('60s');
    expect(done).toHaveLength(40);
    expect([...attempts]).toEqual([0]);
    expect(t.deadLetters()).toEqual([]);
    expect(t.retries()).toEqual([]);
  });

  test('keyed: the other hosts go on, the host’s records are parked and done afterwards', async () => {
    let down = true;
    const done: string[] = [];
    const w = defineWorker({
      name: 'caller',
      consumes: words,
      dependencies: { hosts: { keyed: true, timeout: '5s' } },
      async handle({ value, attempt }, ctx) {
        const host = value.text.split('/')[0]!;
        await ctx.call('hosts', host, async () => {
          if (down && host === 'sick') throw new RetryableError('503');
        });
        expect(attempt).toBe(0);
        done.push(value.text);
      },
    });
    await using t = await testWorker(w);
    for (let at = 0; at < 30; at++) await t.send({ text: `sick/${at}` }, { wait: false });
    for (let at = 0; at < 5; at++) await t.send({ text: `well/${at}` }, { wait: false });
    await t.advance('10s');
    expect(done).toHaveLength(5);
    expect(t.worker.gauges().parked).toBe(30);
    down = false;
    await t.advance('60s');
    expect(done).toHaveLength(35);
    expect(t.retries()).toEqual([]);
  });
});

describe('records that fail by themselves behind a breaker', () => {
  const caller = (done: string[]) =>
    defineWorker({
      name: 'caller',
      consumes: words,
      retry: { delays: ['1s', '2s'] },
      dependencies: { host: { keyed: true } },
      async handle({ value }, ctx) {
        const work = async () => {
          if (value.text.startsWith('bad')) throw new RetryableError('500');
        };
        await ctx.call('host', 'h', work);
        done.push(value.text);
      },
    });

  test('do not keep it open for ever: they use up their retries, and the good ones behind them are done', async () => {
    const done: string[] = [];
    await using t = await testWorker(caller(done));
    for (let at = 0; at < 12; at++) await t.send({ text: `bad ${at}` }, { wait: false });
    await t.advance('5s');
    for (let at = 0; at < 3; at++) await t.send({ text: `good ${at}` }, { wait: false });
    for (let halfMinute = 0; halfMinute < 150; halfMinute++) await t.advance('30s');
    expect(done.sort()).toEqual(['good 0', 'good 1', 'good 2']);
    expect(t.deadLetters()).toHaveLength(12);
    expect(t.worker.gauges().parked).toBe(0);
  });
});

describe('draining', () => {
  test('a last commit that a join refuses is made again, within bounds', async () => {
    const w = defineWorker({ name: 'leaver', consumes: topic('left', Word, { partitions: 1 }), async handle() {} });
    const t = await testWorker(w);
    await t.send({ text: 'a' });
    t.kafka.refuseCommits(3);
    const drained = t.worker.drain(AbortSignal.timeout(5_000));
    await t.advance('2s');
    await drained;
    expect(t.kafka.committed('xact.left', 0)).toBe(1);
  });

  test('what is in flight is finished and committed, what is queued is left', async () => {
    const done: string[] = [];
    const w = defineWorker({
      name: 'drainer',
      consumes: topic('drained', Word, { partitions: 1 }),
      concurrency: { fixed: 1 },
      async handle({ value }) {
        await new Promise((resolve) => setImmediate(resolve));
        done.push(value.text);
      },
    });
    const t = await testWorker(w);
    for (let at = 0; at < 5; at++) await t.send({ text: `${at}` }, { wait: false });
    while (done.length < 1) await new Promise((resolve) => setImmediate(resolve));
    const report = await t.worker.drain(AbortSignal.timeout(5_000));
    expect(report.clean).toBe(true);
    expect(done.length).toBeLessThan(5);
    expect(t.kafka.committed('xact.drained', 0)).toBe(done.length);
    expect(report.handedOver).toBe(5 - done.length);
  });
});

describe('what the signal says of age', () => {
  const slow = defineWorker({
    name: 'slow',
    consumes: words,
    concurrency: { fixed: 1 },
    handle: (_record, ctx) => ctx.clock.sleep(60_000),
  });

  test('is the timestamp of the record whose turn is next, and now where none waits', async () => {
    await using t = await testWorker(slow);
    const ages = () => t.worker.signals().map(({ oldestAt, sentAt }) => sentAt - (oldestAt ?? Number.NaN));
    expect(ages()).toEqual([0, 0]);
    await t.send({ text: 'first' }, { partition: 0, wait: false });
    await t.clock.advance(1_000);
    expect(ages()).toEqual([0, 0]);
    await t.send({ text: 'second' }, { partition: 0, wait: false });
    await t.clock.advance(5_000);
    expect(ages()).toEqual([5_000, 0]);
  });

  test.each(['partition', 'key'] as const)('is told by %s order also while every lane is held', async (order) => {
    const slow = defineWorker({
      name: 'slow',
      consumes: words,
      order,
      concurrency: { fixed: 4 },
      handle: (_record, ctx) => ctx.clock.sleep(60_000),
    });
    await using t = await testWorker(slow);
    for (const text of ['in hand', 'next', 'last']) {
      await t.send({ text }, { partition: 0, key: 'k', wait: false });
      await t.clock.advance(5_000);
    }
    const [signal] = t.worker.signals();
    expect(signal!.sentAt - signal!.oldestAt!).toBe(10_000);
    expect(t.worker.gauges().partitions[0]).toMatchObject({ lag: 3, lagSeconds: 10 });
  });

  test('is what a scrape shows of each partition, and 0 where there is no backlog', async () => {
    await using t = await testWorker(slow);
    const shown = () => t.worker.gauges().partitions.map(({ lag, lagSeconds }) => [lag, lagSeconds]);
    for (const text of ['in hand', 'next', 'last']) {
      await t.send({ text }, { partition: 0, wait: false });
      await t.clock.advance(5_000);
    }
    expect(shown()).toEqual([
      [3, 10],
      [0, 0],
    ]);
  });
});

describe('what the signal says of lanes', () => {
  test('is how many keys were there at once, also of records that were done between two commits', async () => {
    const quick = defineWorker({
      name: 'quick',
      consumes: words,
      order: 'key',
      concurrency: { fixed: 8 },
      handle: (_record, ctx) => ctx.clock.sleep(10),
    });
    await using t = await testWorker(quick);
    const lanes = () => t.worker.signals().map((signal) => signal.lanes);
    expect(lanes()).toEqual([1, 1]);
    for (let n = 0; n < 12; n++) {
      const text = `key-${n % 5}`;
      t.kafka.append({ topic: 'xact.words', partition: 0, key: text, value: Buffer.from(JSON.stringify({ text })) });
    }
    await t.clock.advance(500);
    expect(lanes()).toEqual([5, 1]);
    // What a scrape shows goes by the same lanes, not by those of a moment in which nothing is at work.
    expect(t.worker.gauges().partitions[0]!.load).toBeDefined();
  });
});

describe('a crash', () => {
  const handled: string[] = [];
  const w = (hang: string) => {
    handled.length = 0;
    return defineWorker({
      name: 'crasher',
      consumes: topic('crashed', Word, { partitions: 1 }),
      async handle({ value }) {
        if (value.text === hang) await new Promise(() => {});
        handled.push(value.text);
      },
    });
  };

  test('what was finished out of order is not repeated by the next owner', async () => {
    const first = await testWorker(w('w1'));
    for (let at = 0; at < 6; at++) await first.send({ text: `w${at}` }, { wait: false });
    await first.advance('3s');
    expect(first.kafka.committed('xact.crashed', 0)).toBe(1);
    expect(handled.splice(0)).toEqual(['w0', 'w2', 'w3', 'w4', 'w5']);
    await using second = await testWorker(w('nothing'), { clock: first.clock, kafka: first.kafka });
    await second.advance('3s');
    expect(handled).toEqual(['w1']);
    expect(second.kafka.committed('xact.crashed', 0)).toBe(6);
  });

  test('what is finished behind a stuck record long after the watermark last moved is not repeated either', async () => {
    const first = await testWorker(w('w1'));
    for (let at = 0; at < 3; at++) await first.send({ text: `w${at}` }, { wait: false });
    await first.advance('5s');
    for (let at = 3; at < 6; at++) await first.send({ text: `w${at}` }, { wait: false });
    await first.advance('2s');
    expect(handled.splice(0)).toEqual(['w0', 'w2', 'w3', 'w4', 'w5']);
    await using second = await testWorker(w('nothing'), { clock: first.clock, kafka: first.kafka });
    await second.advance('2s');
    expect(handled).toEqual(['w1']);
  });
});

/** A member whose consumer the test can speak for; `beforeCommit` holds its commits up. */
async function openMember(worker: object, { beforeCommit }: { beforeCommit?: () => Promise<void> } = {}) {
  const clock = new ManualClock();
  const kafka = new MemoryKafka(clock);
  let listener: ConsumerListener | undefined;
  const port: KafkaPort = {
    producer: () => kafka.producer(),
    admin: () => kafka.admin(),
    consumer: (options) => {
      listener = options.listener;
      const consumer = kafka.consumer(options);
      const commit = consumer.commit.bind(consumer);
      consumer.commit = async (entries) => {
        await beforeCommit?.();
        return commit(entries);
      };
      return consumer;
    },
  };
  const resolved = resolve(worker as Worker, { KAFKA_BROKERS: 'memory:9092', METRICS_PORT: '0' });
  for (const { topic, partitions } of deriveTopics(resolved)) kafka.createTopic(topic, partitions);
  const metrics = createMetrics({ resolved, clock, nodeMetrics: false });
  const member = createWorker({
    resolved,
    kafka: port,
    clock,
    random: seededRandom(1),
    log: silentLogger,
    metrics,
    topology: topologyOf([resolved]),
  });
  await member.start();
  return {
    clock,
    kafka,
    listener: listener!,
    metric: async (name: string) =>
      Number(new RegExp(`^${name}\\{[^}]*\\} (.*)$`, 'm').exec(await metrics.registry.metrics())?.[1]),
    async [Symbol.asyncDispose]() {
      const drained = member.drain(AbortSignal.timeout(5_000));
      await clock.advance(5_000);
      await drained;
    },
  };
}

describe('a join that begins while the assignment before it is still being taken over', () => {
  test('starts no handler until it has ended', async () => {
    const seen: number[] = [];
    let opening: PromiseWithResolvers<void> | undefined;
    const worker = defineWorker({
      name: 'overlap',
      consumes: topic('overlap', bytes, { partitions: 2 }),
      concurrency: { fixed: 1 },
      assigned: async () => opening?.promise,
      handle: async ({ offset }, ctx) => {
        seen.push(offset);
        await ctx.clock.sleep(1_000);
      },
    });
    await using opened = await openMember(worker);
    const { clock, kafka, listener } = opened;
    for (let n = 0; n < 4; n++)
      kafka.append({ topic: 'xact.overlap', partition: 0, key: null, value: Buffer.from('v') });
    await clock.advance(100);
    expect(seen).toEqual([0]);

    // Partition 0 is kept with its queue. What comes with partition 1 takes a while to open.
    const first = listener.revoking('the group is rebalancing');
    await clock.advance(1_000);
    await first;
    expect(kafka.committed('xact.overlap', 0)).toBe(1);
    listener.lost([{ topic: 'xact.overlap', partition: 1 }], 'rebalance');
    opening = Promise.withResolvers();
    const part = (partition: number, retained: boolean, end: number) => ({
      ...{ topic: 'xact.overlap', partition, retained, committed: 0, metadata: '', logStart: 0, logEnd: end },
    });
    const assigned = listener.assigned({
      generation: 2,
      memberId: 'm',
      partitions: [part(0, true, 4), part(1, false, 0)],
      lost: [],
      leader: true,
    });
    // Meanwhile the group rebalances again.
    const second = listener.revoking('the group is rebalancing');
    await clock.advance(100);
    opening.resolve();
    await assigned;
    await second;
    await clock.advance(5_000);
    expect(seen).toEqual([0]);

    await listener.assigned({
      generation: 3,
      memberId: 'm',
      partitions: [part(0, true, 4)],
      lost: [{ topic: 'xact.overlap', partition: 1 }],
      leader: true,
    });
    await clock.advance(5_000);
    expect(seen).toEqual([0, 1, 2, 3]);
  });
});

describe('the commit that says a member is at work', () => {
  const open = async (beforeCommit: () => Promise<void>) => {
    const at: number[] = [];
    const worker = defineWorker({
      name: 'beginner',
      consumes: topic('begun', bytes, { partitions: 1 }),
      handle: (_record, ctx) => void at.push(ctx.clock.now()),
    });
    const opened = await openMember(worker, { beforeCommit });
    const bornAt = opened.clock.now();
    opened.kafka.append({ topic: 'xact.begun', partition: 0, key: null, value: Buffer.from('v') });
    return { ...opened, startedAfter: () => at.map((each) => each - bornAt) };
  };

  test('is waited for by every handler', async () => {
    const told = Promise.withResolvers<void>();
    await using opened = await open(() => told.promise);
    await opened.clock.advance(1_500);
    expect(opened.startedAfter()).toEqual([]);
    told.resolve();
    await opened.clock.advance(0);
    expect(opened.startedAfter()).toEqual([1_500]);
  });

  test('holds them up for 2 s at most, when it gets no answer', async () => {
    const told = Promise.withResolvers<void>();
    await using opened = await open(() => told.promise);
    await opened.clock.advance(1_999);
    expect(opened.startedAfter()).toEqual([]);
    await opened.clock.advance(8_000);
    expect(opened.startedAfter()).toEqual([2_000]);
    told.resolve();
  });
});

describe('a partition that is assigned', () => {
  /** Partition 1 of two, to a member that had partition 0. */
  const one = (topic: string, of: { committed: number; logEnd: number }) => ({
    generation: 2,
    memberId: 'm',
    partitions: [{ topic, partition: 1, retained: false, metadata: '', logStart: 0, ...of }],
    lost: [{ topic, partition: 0 }],
    leader: true,
  });

  test('is not begun before the worker’s own `assigned` has resolved', async () => {
    const opening = Promise.withResolvers<void>();
    const worker = defineWorker({
      name: 'opener',
      consumes: topic('opened', bytes, { partitions: 2 }),
      assigned: async (partitions) => {
        if (partitions.length === 1) await opening.promise;
      },
      handle: () => undefined,
    });
    await using opened = await openMember(worker);
    const { clock, listener } = opened;
    listener.lost([{ topic: 'xact.opened', partition: 1 }], 'rebalance');
    let begun = false;
    const assigned = listener.assigned(one('xact.opened', { committed: 0, logEnd: 0 })).finally(() => {
      begun = true;
    });
    await clock.advance(60_000);
    expect(begun).toBe(false);
    opening.resolve();
    expect(await assigned).toEqual([{ topic: 'xact.opened', partition: 1, offset: 0 }]);
  });

  test('begins where the worker’s own `positions` say, and at the commit where they say nothing', async () => {
    const known = new Map<number, number>();
    const worker = defineWorker({
      name: 'sink',
      consumes: topic('sunk', bytes, { partitions: 2 }),
      positions: async (partitions) =>
        partitions.flatMap(({ topic, partition }) => {
          const offset = known.get(partition);
          return offset === undefined ? [] : [{ topic, partition, offset }];
        }),
      handle: () => undefined,
    });
    await using opened = await openMember(worker);
    const { listener } = opened;
    const at = { topic: 'xact.sunk', partition: 1 };
    const startsAt = async () => {
      listener.lost([at], 'rebalance');
      const [start] = await listener.assigned(one('xact.sunk', { committed: 3, logEnd: 9 }));
      return start?.offset;
    };
    expect(await startsAt()).toBe(3);
    known.set(1, 7);
    expect(await startsAt()).toBe(7);
  });
});

describe('records that come again', () => {
  test('to an owner that has them done or in hand are dropped and counted', async () => {
    const seen: number[] = [];
    const worker = defineWorker({
      name: 'again',
      consumes: topic('again', bytes, { partitions: 1 }),
      concurrency: { fixed: 1 },
      handle: async ({ offset }, ctx) => {
        seen.push(offset);
        await ctx.clock.sleep(100);
      },
    });
    await using opened = await openMember(worker);
    const { clock, kafka, listener, metric } = opened;
    for (let n = 0; n < 4; n++) kafka.append({ topic: 'xact.again', partition: 0, key: null, value: Buffer.from('v') });
    await clock.advance(150);
    expect(seen).toEqual([0, 1]);
    const at = (offset: number) => new Fetched('xact.again', 0, offset, 0, null, Buffer.from('v'), undefined);
    const records = new ListedRecords([0, 1, 2, 3, 4].map(at));
    listener.records({ topic: 'xact.again', partition: 0, records, lastOffset: 4, highWatermark: 5 });
    await clock.advance(1_000);
    expect(seen).toEqual([0, 1, 2, 3, 4]);
    expect(await metric('weir_redelivered_total')).toBe(4);
    expect(await metric('weir_handed_over_total')).toBe(0);
  });
});
