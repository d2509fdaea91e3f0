/** Records that kill the process which handles them, on whole workers over Kafka in memory: `crash` is the death. */
import { ManualClock } from '@weir/core/testing';
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { z } from 'zod';
import { type DeadLetterReason, defineWorker, topic } from '../define.ts';
import { decodeMetadata, encodeMetadata } from '../metadata.ts';
import { MemoryKafka, testWorker } from '../testing/index.ts';
import { decodeSuspicion } from './suspicion.ts';

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

describe('an owner that turns out to be alive takes its strike back', () => {
  /** The first owner was only cut off: while `isBack`, it commits for what it owns by then. @returns its name */
  async function firstOwnerReturns(world: World, isBack: () => boolean): Promise<string> {
    await world.live();
    const admin = world.kafka.admin();
    const [left] = await admin.committed('', ['xact.items']);
    const { signal } = decodeMetadata(left!.metadata, left!.offset);
    const said = () => encodeMetadata({ ...signal!, offset: 0, sentAt: isBack() ? world.clock.now() + 1 : 0 });
    world.kafka.admin = () => ({
      ...admin,
      committed: async (group, topics) => [
        ...(await admin.committed(group, topics)),
        { topic: 'xact.items', partition: 2, offset: 0, metadata: said() },
      ],
    });
    return signal!.writer;
  }

  async function runsOnceMore(world: World, returned: string): Promise<void> {
    await world.untilItLives();
    expect(world.calls.get(25)).toBe(4);
    expect(world.starts).toBe(5);
    expect(world.deadIds()).toEqual([25]);
    expect(world.current!.deadLetters()[0]!.error).not.toContain(returned);
  }

  test('when it is back some seconds after the third death', async () => {
    await using world = new World('none', (id) => id === 25);
    let thirdDeathAt = Number.POSITIVE_INFINITY;
    const returned = await firstOwnerReturns(world, () => {
      if (world.deaths === 3) thirdDeathAt = Math.min(thirdDeathAt, world.clock.now());
      return world.clock.now() >= thirdDeathAt + 5_000;
    });
    await runsOnceMore(world, returned);
  });

  test('when it was back before that, and has left since', async () => {
    await using world = new World('none', (id) => id === 25);
    const returned = await firstOwnerReturns(world, () => world.deaths === 2);
    await runsOnceMore(world, returned);
  });

  test('and what it was held for alone starts as anything else', async () => {
    await using world = new World('none', (id, start) => id === 25 && start === 1);
    await firstOwnerReturns(world, () => true);
    expect(await world.live()).toBe(true);
    expect(unique(world.handled)).toEqual(others());
  });
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
