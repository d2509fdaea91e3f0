/** Records that kill the process which handles them, on whole workers over Kafka in memory: `crash` is the death. */
import { silentLogger } from '@weir/core';
import { ManualClock } from '@weir/core/testing';
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { z } from 'zod';
import { type DeadLetterReason, defineWorker, topic } from '../define.ts';
import { Fetched, ListedRecords } from '../kafka/port.ts';
import { decodeMetadata, encodeMetadata } from '../metadata.ts';
import { MemoryKafka, testWorker } from '../testing/index.ts';
import { FairQueue } from './fair.ts';
import { Narrowing } from './narrowing.ts';
import { Owned } from './owned.ts';
import { decodeSuspicion } from './suspicion.ts';
import { Waiting } from './waiting.ts';

const RECORDS = 60;
const Item = z.object({ id: z.number() });
const items = topic('items', Item, { partitions: 2 });

type Shape = 'none' | 'key' | 'partition' | 'batch';

/** Starts workers one after the other until one lives. Each dies when it is handed a record that kills. */
class World {
  readonly clock = new ManualClock();
  readonly kafka = new MemoryKafka(this.clock);
  /** Calls, by record. */
  readonly calls = new Map<number, number>();
  readonly #inHand = new Set<number>();
  /** What was in flight at each death. */
  readonly inFlight: ReadonlySet<number>[] = [];
  /** What was written down as in flight, or about to be, at each death but the first. */
  readonly written: ReadonlySet<number>[] = [];
  #callsOfLife = 0;
  readonly handled: number[] = [];
  readonly buried: { id: number; reason: DeadLetterReason }[] = [];
  starts = 0;
  deaths = 0;
  readonly shape: Shape;
  readonly kills: (id: number, start: number, call: number) => boolean;
  current: Awaited<ReturnType<typeof testWorker>> | undefined;

  readonly #hookKills: boolean;

  constructor(
    shape: Shape,
    kills: (id: number, start: number, call: number) => boolean,
    { hookKills = false }: { hookKills?: boolean } = {},
  ) {
    this.shape = shape;
    this.kills = kills;
    this.#hookKills = hookKills;
    this.kafka.createTopic('xact.items', 2);
    for (let id = 0; id < RECORDS; id++) this.#append(id);
  }

  #append(id: number): void {
    this.kafka.append({
      topic: 'xact.items',
      partition: id % 2,
      key: `key-${id % 10}`,
      value: Buffer.from(JSON.stringify({ id })),
    });
  }

  #done(id: number): void {
    this.#inHand.delete(id);
    this.handled.push(id);
  }

  async #writtenDown(): Promise<Set<number>> {
    const ids = new Set<number>();
    for (const { partition, offset, metadata } of await this.kafka.admin().committed('', ['xact.items'])) {
      const { suspects } = decodeMetadata(metadata, offset) as { suspects: string };
      for (const each of decodeSuspicion(suspects, offset)?.suspects ?? [])
        if (each.inFlight) ids.add(each.offset * 2 + partition);
    }
    return ids;
  }

  /** One life: true when it is still alive after what it found. */
  async live(): Promise<boolean> {
    if (this.deaths > 1) this.written.push(await this.#writtenDown());
    const start = ++this.starts;
    const deaths = this.deaths;
    this.#callsOfLife = 0;
    this.#inHand.clear();
    const die = () => {
      this.deaths++;
      this.inFlight.push(new Set(this.#inHand));
      this.kafka.crash();
    };
    const alive = () => this.deaths === deaths && this.starts === start;
    const one = (id: number): boolean => {
      if (!alive()) return false;
      this.calls.set(id, (this.calls.get(id) ?? 0) + 1);
      if (this.kills(id, start, ++this.#callsOfLife)) die();
      return alive();
    };
    const turns = (count: number) =>
      Array.from({ length: count }).reduce<Promise<void>>(
        (before) => before.then(() => new Promise((resolve) => setImmediate(resolve))),
        Promise.resolve(),
      );
    const onDeadLetter = async ({ value }: { value: { id: number } }, reason: DeadLetterReason) => {
      this.buried.push({ id: value.id, reason });
      if (this.#hookKills && alive()) die();
    };
    const declared = { name: 'keeper', consumes: items, concurrency: { fixed: 8 }, onDeadLetter } as const;
    const worker =
      this.shape === 'batch'
        ? defineWorker({
            ...declared,
            batch: { maxRecords: 16, maxBytes: 1_000_000, maxWait: '10ms' },
            handleBatch: async (records) => {
              if (!alive()) return;
              for (const { value } of records) this.#inHand.add(value.id);
              await turns(2);
              for (const { value } of records) if (!one(value.id)) return;
              for (const { value } of records) this.#done(value.id);
            },
          })
        : defineWorker({
            ...declared,
            order: this.shape,
            handle: async ({ value }) => {
              if (!alive()) return;
              this.#inHand.add(value.id);
              await turns((value.id % 3) + 1);
              if (one(value.id)) this.#done(value.id);
            },
          });
    this.current = await testWorker(worker as never, { clock: this.clock, kafka: this.kafka });
    // Nobody is buried within the first session.
    for (let at = 0; at < 60 && alive(); at++) await this.current!.advance('1s');
    return alive();
  }

  async untilItLives(most = 12): Promise<void> {
    while (!(await this.live())) if (this.starts >= most) throw new Error(`dead after ${most} starts`);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.current?.stop();
  }

  deadIds(): number[] {
    return this.current!.deadLetters().map(({ value }) => (JSON.parse(value.toString()) as { id: number }).id);
  }
}

const others = (...not: number[]) => Array.from({ length: RECORDS }, (_, id) => id).filter((id) => !not.includes(id));
const unique = (ids: readonly number[]) => [...new Set(ids)].sort((a, b) => a - b);

describe.each(['none', 'key', 'partition', 'batch'] as const)('a record that kills its process, order %s', (shape) => {
  test('is a dead letter at the fourth start, and everything else is handled', async () => {
    await using world = new World(shape, (id) => id === 25);
    await world.untilItLives();
    expect(world.starts).toBe(4);
    expect(world.deadIds()).toEqual([25]);
    expect(world.calls.get(25)).toBe(3);
    expect(unique(world.handled)).toEqual(others(25));
    const [letter] = world.current!.deadLetters();
    expect(letter).toMatchObject({ errorClass: 'poison', attempts: 3, headers: { 'weir-origin': 'xact.items/1/12' } });
    expect(letter!.error).toMatch(/3 processes ended without leaving while this record was in flight/);
    expect(world.buried).toMatchObject([{ id: 25, reason: { class: 'poison', attempts: 3 } }]);
    expect(world.current!.worker.gauges().suspects).toBe(0);
    for (const partition of [0, 1]) expect(world.kafka.committed('xact.items', partition)).toBe(RECORDS / 2);
  });

  test('and two of them, on both partitions: both are found, nobody else is', async () => {
    await using world = new World(shape, (id) => id === 4 || id === 31);
    await world.untilItLives();
    expect(unique(world.deadIds())).toEqual([4, 31]);
    expect(world.starts).toBeLessThanOrEqual(8);
    expect(unique(world.handled)).toEqual(others(4, 31));
  });
});

test('a record that kills in onDeadLetter too is buried unread at the fifth start', async () => {
  await using world = new World('none', (id) => id === 25, { hookKills: true });
  await world.untilItLives();
  expect(world.starts).toBe(5);
  expect(world.buried.map(({ id }) => id)).toEqual([25]);
  expect(world.calls.get(25)).toBe(3);
  expect(world.deadIds()).toEqual([25]);
  expect(world.current!.deadLetters()[0]).toMatchObject({ errorClass: 'poison', attempts: 4 });
  expect(unique(world.handled)).toEqual(others(25));
});

test('an owner that turns out to be alive takes its strike back: the record runs alone once more', async () => {
  await using world = new World('none', (id) => id === 25);
  await world.live();
  const admin = world.kafka.admin();
  const [left] = await admin.committed('', ['xact.items']);
  const { signal } = decodeMetadata(left!.metadata, left!.offset);
  // The first owner was cut off for a while. Some seconds after the third death it commits for what it owns now.
  let thirdDeathAt = Number.POSITIVE_INFINITY;
  const isBack = () => {
    if (world.deaths === 3) thirdDeathAt = Math.min(thirdDeathAt, world.clock.now());
    return world.clock.now() >= thirdDeathAt + 5_000;
  };
  const back = () => encodeMetadata({ ...signal!, offset: 0, sentAt: isBack() ? world.clock.now() + 1 : 0 });
  world.kafka.admin = () => ({
    ...admin,
    committed: async (group, topics) => [
      ...(await admin.committed(group, topics)),
      { topic: 'xact.items', partition: 2, offset: 0, metadata: back() },
    ],
  });
  await world.untilItLives();
  expect(world.calls.get(25)).toBe(4);
  expect(world.starts).toBe(5);
  expect(world.deadIds()).toEqual([25]);
  expect(world.current!.deadLetters()[0]!.error).not.toContain(signal!.writer);
});

test.each<[string, (metadata: string) => string]>([
  ['foreign', () => 'checkpoint 17 of some mirror'],
  ['cut', (metadata) => metadata.slice(0, -1)],
  ['newer', (metadata) => metadata.replace('weir/1', 'weir/2')],
  ['changed by hand', (metadata) => metadata.replace(/x=\S+/, 'x=a0..')],
  ['of another offset', (metadata) => metadata.replace(/o=\d+/, 'o=7')],
])('metadata that is %s accuses nobody', async (_, rewrite) => {
  await using world = new World('none', (id) => id === 25);
  // The fourth start would bury it.
  for (let start = 0; start < 3; start++) expect(await world.live()).toBe(false);
  world.kafka.rewriteMetadata('xact.items', 1, rewrite);
  expect(await world.live()).toBe(false);
  expect(world.calls.get(25)).toBe(4);
});

describe('records that have the process to themselves hold up the others for a minute in all', () => {
  const FRESH = 20;
  const forEver = Number.POSITIVE_INFINITY;

  /**
   * The third start after two deaths with the records 0 and 2 in hand, and some that came since.
   * @param takes  seconds that each of the two takes this time
   */
  async function thirdStart(takes: readonly [number, number]) {
    const clock = new ManualClock();
    const kafka = new MemoryKafka(clock);
    kafka.createTopic('xact.items', 2);
    const append = (id: number) =>
      kafka.append({ topic: 'xact.items', partition: id % 2, key: null, value: Buffer.from(`{"id":${id}}`) });
    /** Seconds after this start at which a record was called, or had been handled. */
    const called = new Map<number, number>();
    const handled = new Map<number, number>();
    let bornAt = 0;
    const seconds = () => (clock.now() - bornAt) / 1000;
    let starts = 0;
    const start = () => {
      const life = ++starts;
      const inHand = new Set<number>();
      const dead = Promise.withResolvers<void>();
      return testWorker(
        defineWorker({
          name: 'keeper',
          consumes: items,
          concurrency: { fixed: 8 },
          timeout: '5m',
          async handle({ value: { id } }, ctx) {
            if (life !== starts) return;
            if (life < 3) {
              inHand.add(id);
              if (inHand.size === 2) {
                kafka.crash();
                dead.resolve();
              }
              return dead.promise;
            }
            if (!called.has(id)) called.set(id, seconds());
            const takesSeconds = id < 4 ? takes[id / 2]! : 0;
            if (takesSeconds === forEver) return new Promise(() => undefined);
            if (takesSeconds > 0) await ctx.clock.sleep(takesSeconds * 1000);
            handled.set(id, seconds());
          },
        }),
        { clock, kafka },
      );
    };
    for (const id of [0, 2]) append(id);
    for (let life = 1; life < 3; life++) await start();
    for (let id = 4; id < 4 + FRESH; id++) append(id);
    // Nothing starts that could not be written down: not before the test has its worker.
    kafka.refuseCommits(Number.POSITIVE_INFINITY);
    const worker = await start();
    bornAt = clock.now();
    kafka.refuseCommits(0);
    return {
      called,
      handled,
      fresh: () => [...handled.keys()].filter((id) => id >= 4).length,
      worker,
      /** Second by second, as the ticks of a worker come. */
      async pass(seconds: number) {
        for (let at = 0; at < seconds; at++) await worker.clock.advance(1_000);
      },
      [Symbol.asyncDispose]: () => worker.stop(),
    };
  }

  test('one that takes longer goes on beside the others', async () => {
    await using w = await thirdStart([90, 0]);
    await w.pass(59);
    expect([...w.called.keys()]).toEqual([0]);
    // Those that wait are told with their age.
    const [signal] = w.worker.worker.signals();
    expect(signal!.sentAt - signal!.oldestAt!).toBeGreaterThanOrEqual(59_000);
    await w.pass(3);
    expect(w.fresh()).toBe(FRESH);
    expect(w.handled.has(0)).toBe(false);
    await w.pass(29);
    expect(w.handled.get(0)).toBeGreaterThanOrEqual(90);
    // Still one suspect at a time.
    expect(w.called.get(2)).toBeGreaterThanOrEqual(90);
    expect(w.handled.size).toBe(FRESH + 2);
  });

  test('one that never ends does, and its own timeout lets the next suspect start', async () => {
    await using w = await thirdStart([forEver, 0]);
    await w.pass(59);
    expect(w.fresh()).toBe(0);
    await w.pass(3);
    expect(w.fresh()).toBe(FRESH);
    await w.pass(236);
    expect(w.called.has(2)).toBe(false);
    await w.pass(4);
    expect(w.called.get(2)).toBeGreaterThanOrEqual(300);
    expect(w.handled.has(2)).toBe(true);
    expect(w.worker.retries()).toHaveLength(1);
  });

  test('two that take long do not have a minute each', async () => {
    await using w = await thirdStart([40, 40]);
    await w.pass(59);
    expect([...w.handled.keys()]).toEqual([0]);
    expect(w.called.get(2)).toBeGreaterThanOrEqual(40);
    await w.pass(3);
    expect(w.fresh()).toBe(FRESH);
    expect(w.handled.has(2)).toBe(false);
    await w.pass(20);
    expect(w.handled.size).toBe(FRESH + 2);
  });

  test('what is at work when they begin is waited for no longer than that either', async () => {
    const clock = new ManualClock();
    const fair = new FairQueue();
    const suspicion = { until: 1, ends: [], suspects: [{ offset: 0, strikes: 2, inFlight: false }] };
    const owned = new Owned({ topic: 't', partition: 0 }, { start: 0, committed: 0, order: 'none', suspicion });
    const record = new ListedRecords([new Fetched('t', 0, 0, 0, null, null, undefined)]);
    owned.lanes.add(new Waiting(record, owned, { first: 0, slot: owned.ledger.take(0), left: 1, queuedAt: 0 }));
    const narrowing = new Narrowing({
      ...{ fair, clock, log: silentLogger, metrics: { poisoned: () => undefined } },
      ...{ writeAhead: async () => true, mayStart: () => true, room: () => 8, pump: () => undefined },
      ...{ bury: () => undefined, alive: async () => [], returnsWithinMs: 10_000 },
      // A handler of another partition, which does not end.
      atWork: () => 1,
    });
    narrowing.watch(owned);
    for (let second = 0; second < 60; second++) {
      narrowing.look();
      await clock.advance(1_000);
      expect(fair.only, `${second} s`).toBe(null);
    }
    expect(owned.runnable).toBe(false);
    narrowing.look();
    await clock.advance(1_000);
    expect(owned.runnable).toBe(true);
    expect(fair.only).toBe(undefined);
  });
});

describe('records that are innocent', () => {
  test('are handled when the process survives them one at a time: too many at once were the killers', async () => {
    // Out of memory: whatever is in flight together with 25 kills; alone it does not.
    let inFlight = 0;
    const clock = new ManualClock();
    const kafka = new MemoryKafka(clock);
    kafka.createTopic('xact.items', 2);
    for (let id = 0; id < 20; id++)
      kafka.append({ topic: 'xact.items', partition: id % 2, key: null, value: Buffer.from(`{"id":${id}}`) });
    const handled: number[] = [];
    let deaths = 0;
    const start = () => {
      const life = deaths;
      inFlight = 0;
      return testWorker(
        defineWorker({
          name: 'keeper',
          consumes: items,
          concurrency: { fixed: 8 },
          async handle({ value }) {
            inFlight++;
            await new Promise((resolve) => setImmediate(resolve));
            await new Promise((resolve) => setImmediate(resolve));
            if (life !== deaths) return;
            if (value.id < 6 && inFlight > 1) {
              deaths++;
              kafka.crash();
              return;
            }
            inFlight--;
            handled.push(value.id);
          },
        }),
        { clock, kafka },
      );
    };
    await start();
    await start();
    expect(deaths).toBe(2);
    await using third = await start();
    for (let at = 0; at < 10; at++) await third.advance('1s');
    expect(deaths).toBe(2);
    expect(unique(handled)).toEqual(Array.from({ length: 20 }, (_, id) => id));
    expect(third.deadLetters()).toEqual([]);
  });

  test('are no dead letters unless they were in flight at three deaths, whatever the deaths come from', async () => {
    await fc.assert(
      fc.asyncProperty(
        fc.constantFrom<Shape>('none', 'key', 'partition', 'batch'),
        fc.array(fc.integer({ min: 1, max: 50 }), { minLength: 1, maxLength: 7 }),
        async (shape, deathAtCall) => {
          // Life n ends at its deathAtCall[n]th call, whichever record that is.
          await using world = new World(shape, (_id, start, call) => deathAtCall[start - 1] === call);
          await world.untilItLives();
          const dead = world.deadIds();
          for (const id of dead) {
            // Of the first death nobody knows more than that the record may have been in flight; of the others it was
            // written down, and at the last it was alone.
            expect(world.written.filter((each) => each.has(id)).length, `${id} of ${dead}`).toBeGreaterThanOrEqual(2);
            expect(world.inFlight.some((each) => each.has(id) && each.size === 1)).toBe(true);
          }
          expect(new Set(dead).size).toBe(dead.length);
          expect(unique([...world.handled, ...dead])).toEqual(others());
        },
      ),
      { numRuns: 60 },
    );
  });
});
