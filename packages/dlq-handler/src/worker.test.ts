import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { pathToFileURL } from 'node:url';
import { gzipSync } from 'node:zlib';
import { deadLetters } from '@weir/contracts';
import { seededRandom } from '@weir/core';
import { openTable, readRows, type Table } from '@weir/lake';
import { appending } from '@weir/lake/testing';
import { HEADER, type KafkaPort, ProduceFailedError } from '@weir/sdk';
import { testWorker, topicOf, topologyOfWorkers, workerOf } from '@weir/sdk/testing';
import { openStore } from '@weir/storage';
import { TableSink } from '@weir/table-sink';
import { Registry } from 'prom-client';
import { describe, expect, test, vi } from 'vitest';
import { DeadLetterDesk } from './desk.ts';
import { dlqHandler } from './worker.ts';

const topology = topologyOfWorkers(workerOf('a', { consumes: [topicOf('one'), topicOf('two')] }), workerOf('b'));

async function start() {
  const folder = await mkdtemp(join(tmpdir(), 'weir-dlq-'));
  const url = pathToFileURL(folder).href;
  const worker = await testWorker(dlqHandler(topology), { env: { TABLES_URL: url } });
  const { kafka, clock } = worker;
  for (const name of ['xact.one', 'xact.two', 'xact.b.in']) kafka.createTopic(name, 6);
  const store = await openStore(url);
  // On the real clock: two writers of one table back off from each other, and nobody moves the test's clock meanwhile.
  const table: Table = await openTable({ store, path: deadLetters.name, spec: deadLetters });
  const desk = new DeadLetterDesk({ table, kafka, topology, clock, random: seededRandom(1) });
  let offset = 0;
  return {
    worker,
    kafka,
    clock,
    store,
    table,
    desk,
    async dies(value: string | Buffer, headers: Record<string, string> = {}, topic = 'a.dlq') {
      const origin = `xact.two/1/${offset++}`;
      const story = {
        [HEADER.group]: 'xact-a',
        [HEADER.origin]: origin,
        [HEADER.attempt]: '5',
        [HEADER.replays]: '0',
        [HEADER.firstSeen]: String(clock.now()),
        [HEADER.errorClass]: 'transient',
        [HEADER.error]: 'it was down',
        mine: 'kept',
      };
      await worker.sendRaw(value, { topic, key: 'k', headers: { ...story, ...headers }, wait: false });
      await worker.advance('3s');
      // After an operator's append the worker's own has to back off and try again, on the test's clock.
      while (!worker.worker.idle) await worker.advance('1s');
      return `a:${headers[HEADER.origin] ?? origin}#${headers[HEADER.replays] ?? 0}`;
    },
    async [Symbol.asyncDispose]() {
      await worker.stop();
      await table.close();
      await store.close();
      await rm(folder, { recursive: true, force: true });
    },
  };
}

async function all<T>(source: AsyncIterable<T>): Promise<T[]> {
  const found: T[] = [];
  for await (const each of source) found.push(each);
  return found;
}

describe('the dlq-handler', () => {
  test('indexes every letter once, whatever its bytes', async () => {
    await using w = await start();
    await w.dies('{"ok":1}');
    await w.dies(Buffer.from([0xff, 0xfe]));
    await w.dies('', {}, 'b.dlq');
    const letters = await w.desk.list();
    expect(letters.map((letter) => [letter.worker, letter.state, letter.bytes])).toEqual(
      expect.arrayContaining([
        ['a', 'dead', 8],
        ['a', 'dead', 2],
        ['b', 'dead', 0],
      ]),
    );
    expect(await readRows(w.table)).toHaveLength(3);
  });

  test('a letter is done when its row is in the table, however long that takes', async () => {
    await using w = await start();
    const away = Promise.withResolvers<void>();
    const slow = appending(w.table, (real) => away.promise.then(real));
    await using worker = await testWorker(dlqHandler(topology), {
      resources: new TableSink({ store: w.store, table: slow, registry: new Registry() }),
    });
    await worker.sendRaw('{}', { topic: 'a.dlq', partition: 0, headers: { [HEADER.group]: 'xact-a' }, wait: false });
    await worker.advance('50s');
    expect(worker.kafka.committed('xact.a.dlq', 0)).toBeLessThan(1);
    away.resolve();
    await worker.settle();
    await worker.advance('6s');
    expect(worker.kafka.committed('xact.a.dlq', 0)).toBe(1);
    expect(await readRows(w.table)).toHaveLength(1);
  });

  test('does not read its own dead letters', () => {
    const withItself = topologyOfWorkers(workerOf('a'), workerOf('dlq-handler'));
    expect(dlqHandler(withItself).consumes.map((topic) => topic.name)).toEqual(['a.dlq']);
  });

  test('needs no retry topics: a story must not be written over', async () => {
    await using w = await start();
    expect(w.worker.resolved.retry).toEqual([]);
  });
});

describe('the desk', () => {
  test('lists by class, topic, worker, state and time', async () => {
    await using w = await start();
    await w.dies('1', { [HEADER.errorClass]: 'expired' });
    await w.clock.advance(60_000);
    const since = w.clock.now();
    await w.dies('2');
    const count = async (filter: Parameters<DeadLetterDesk['list']>[0]) => (await w.desk.list(filter)).length;
    expect(await count({})).toBe(2);
    expect(await count({ errorClass: 'expired' })).toBe(1);
    expect(await count({ topic: 'xact.two' })).toBe(2);
    expect(await count({ topic: 'a.dlq' })).toBe(2);
    expect(await count({ topic: 'one' })).toBe(0);
    expect(await count({ worker: 'b' })).toBe(0);
    expect(await count({ state: 'resolved' })).toBe(0);
    expect(await count({ since })).toBe(1);
  });

  test('shows the original bytes and every header', async () => {
    await using w = await start();
    const id = await w.dies(Buffer.from([0xff, 0x00]));
    const { letter, value, key, headers } = await w.desk.view(id);
    expect(letter.id).toBe(id);
    expect(value).toEqual(Buffer.from([0xff, 0x00]));
    expect(key?.toString()).toBe('k');
    expect(headers).toMatchObject({ mine: 'kept', [HEADER.error]: 'it was down' });
  });

  test('undoes what made a letter fit its topic', async () => {
    await using w = await start();
    const packed = await w.dies(gzipSync('original'), { [HEADER.encoding]: 'gzip' });
    expect((await w.desk.view(packed)).value?.toString()).toBe('original');
    w.kafka.append({ topic: 'xact.two', partition: 4, key: 'big', value: Buffer.from('whole'), headers: { own: 'h' } });
    const pointer = await w.dies('{"pointer":1}', { [HEADER.encoding]: 'pointer', [HEADER.origin]: 'xact.two/4/0' });
    expect(await w.desk.view(pointer)).toMatchObject({ value: Buffer.from('whole'), key: Buffer.from('big') });
    const lost = await w.dies('{"pointer":1}', { [HEADER.encoding]: 'pointer', [HEADER.origin]: 'xact.two/4/77' });
    await expect(w.desk.view(lost)).rejects.toMatchObject({ code: 'WEIR_DEAD_LETTER_GONE' });
  });

  test('says which id it does not know, and which is none', async () => {
    await using w = await start();
    await expect(w.desk.view('a:xact.two/0/99#0')).rejects.toMatchObject({ code: 'WEIR_DEAD_LETTER_UNKNOWN' });
    await expect(w.desk.view('nonsense')).rejects.toMatchObject({ code: 'WEIR_DEAD_LETTER_ID_INVALID' });
  });

  test('replays the original bytes to where they came from, for the group that failed, attempts anew', async () => {
    await using w = await start();
    const id = await w.dies('payload');
    const outcomes = await all(w.desk.replay(await w.desk.find([id])));
    expect(outcomes).toEqual([expect.objectContaining({ outcome: 'replayed', to: 'xact.two', error: undefined })]);
    const [record] = w.kafka.records('xact.two');
    expect(record?.value?.toString()).toBe('payload');
    expect(record?.key?.toString()).toBe('k');
    expect(record?.headers).toMatchObject({
      mine: 'kept',
      [HEADER.group]: 'xact-a',
      [HEADER.attempt]: '0',
      [HEADER.replays]: '1',
      [HEADER.origin]: 'xact.two/1/0',
    });
    expect(record?.headers).not.toHaveProperty(HEADER.error);
    expect((await w.desk.list()).map((letter) => letter.state)).toEqual(['replayed']);
  });

  test('in a dry run sends nothing and writes nothing', async () => {
    await using w = await start();
    const id = await w.dies('payload');
    const outcomes = await all(w.desk.replay(await w.desk.find([id]), { dryRun: true }));
    expect(outcomes.map((each) => [each.outcome, each.to])).toEqual([['would-replay', 'xact.two']]);
    expect(w.kafka.records('xact.two')).toEqual([]);
    expect((await w.desk.list())[0]?.state).toBe('dead');
  });

  test('a replay that fails leaves its letter as it was, and the others go on', async () => {
    await using w = await start();
    const first = await w.dies('1');
    const second = await w.dies('2');
    const replaying = w.desk.replay(await w.desk.find([first, second]));
    w.kafka.produceFailure = new ProduceFailedError('xact.two', 'no leader');
    expect((await replaying.next()).value).toMatchObject({
      outcome: 'failed',
      error: expect.stringContaining('no leader'),
    });
    w.kafka.produceFailure = undefined;
    expect((await replaying.next()).value).toMatchObject({ outcome: 'replayed' });
    const states = new Map((await w.desk.list()).map((letter) => [letter.id, letter.state]));
    expect([states.get(first), states.get(second)]).toEqual(['dead', 'replayed']);
    await w.desk.view(first);
  });

  test('a replay to a topic that does not exist fails at once', async () => {
    await using w = await start();
    const id = await w.dies('payload');
    const nowhere = topologyOfWorkers(workerOf('a', { consumes: [topicOf('nowhere')] }));
    const { table, kafka, clock } = w;
    const desk = new DeadLetterDesk({ table, kafka, topology: nowhere, clock, random: seededRandom(2) });
    expect(await all(desk.replay(await desk.find([id])))).toEqual([
      expect.objectContaining({
        outcome: 'failed',
        to: 'xact.nowhere',
        error: expect.stringContaining('no such topic'),
      }),
    ]);
    expect((await desk.list())[0]?.state).toBe('dead');
  });

  test.each([
    'the time is over',
    'somebody stops it',
  ])('a replay that nobody acknowledges ends when %s, and nothing is sent after it', async (how) => {
    await using w = await start();
    const letters = await w.desk.find([await w.dies('1'), await w.dies('2')]);
    const { table, kafka, clock } = w;
    let sent = 0;
    let dropped: boolean | undefined;
    const deaf: KafkaPort = {
      consumer: (options) => kafka.consumer(options),
      admin: () => kafka.admin(),
      producer: () => ({
        start: async () => undefined,
        stop: async (signal) => {
          dropped = signal?.aborted;
        },
        send: () => {
          sent++;
          return undefined;
        },
        flush: async () => undefined,
      }),
    };
    const desk = new DeadLetterDesk({ table, kafka: deaf, topology, clock, random: seededRandom(3), timeoutMs: 5_000 });
    const stop = new AbortController();
    const replaying = desk.replay(letters, { signal: stop.signal });
    const first = replaying.next();
    await vi.waitFor(() => expect(sent).toBe(1));
    if (how === 'somebody stops it') stop.abort(new Error('stopped by SIGINT'));
    else await clock.advance(5_000);
    expect((await first).value).toMatchObject({
      outcome: 'failed',
      error: expect.stringMatching(/not acknowledged within 5000 ms|stopped by SIGINT/),
    });
    if (how === 'somebody stops it') await expect(replaying.next()).rejects.toThrow('SIGINT');
    else
      expect((await replaying.next()).value).toMatchObject({
        outcome: 'failed',
        error: expect.stringContaining('not tried'),
      });
    expect((await replaying.next()).done).toBe(true);
    expect({ sent, dropped }).toEqual({ sent: 1, dropped: true });
    expect((await desk.list()).map(({ state }) => state)).toEqual(['dead', 'dead']);
  });

  test('keeps to its rate', async () => {
    await using w = await start();
    const ids = [await w.dies('1'), await w.dies('2'), await w.dies('3')];
    const letters = await w.desk.find(ids);
    const began = w.clock.monotonic();
    const done = all(w.desk.replay(letters, { ratePerSecond: 2 }));
    let ended = false;
    void done.then(() => {
      ended = true;
    });
    while (!ended) {
      await w.clock.advance(50);
      await new Promise((resolve) => setTimeout(resolve, 2));
    }
    expect((await done).map((each) => each.outcome)).toEqual(['replayed', 'replayed', 'replayed']);
    expect(w.clock.monotonic() - began).toBeGreaterThanOrEqual(1000);
  });

  test('a letter that dies again is a new one with one replay more', async () => {
    await using w = await start();
    const id = await w.dies('payload');
    await all(w.desk.replay(await w.desk.find([id])));
    const again = await w.dies('payload', { [HEADER.origin]: 'xact.two/1/0', [HEADER.replays]: '1' });
    const states = new Map((await w.desk.list()).map((letter) => [letter.id, letter.state]));
    expect([...states]).toEqual(
      expect.arrayContaining([
        [id, 'replayed'],
        [again, 'dead'],
      ]),
    );
  });

  test('resolves, once, and replays nothing that is resolved', async () => {
    await using w = await start();
    const id = await w.dies('payload');
    expect(await w.desk.resolve(await w.desk.find([id]))).toHaveLength(1);
    expect(await w.desk.resolve(await w.desk.find([id]))).toHaveLength(0);
    const outcomes = await all(w.desk.replay(await w.desk.find([id])));
    expect(outcomes.map((each) => each.outcome)).toEqual(['resolved']);
    expect(w.kafka.records('xact.two')).toEqual([]);
    expect(await readRows(w.table)).toHaveLength(2);
  });
});
