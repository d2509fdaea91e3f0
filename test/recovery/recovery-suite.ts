/**
 * What goes wrong with a worker's topic, on any broker: it recovers by itself with nothing lost, or says what to do. The
 * workers are real ones under a load that does not stop for them (crew.ts).
 */
import { afterAll, afterEach, beforeAll, describe, expect, test } from 'vitest';
import { until } from '../support/until.ts';
import { Crew } from './crew.ts';

/** Where the broker is, once it is started. */
export interface Recovery {
  readonly brokers: readonly string[];
  stop(): Promise<void>;
}

/** @returns opens a crew of its own for one test; it is closed with the test */
export function recoverySuite(name: string, start: () => Promise<Recovery>): (partitions: number) => Promise<Crew> {
  let broker: Recovery;
  const crews: Crew[] = [];
  const open = async (partitions: number, workMs?: number) => {
    const crew = new Crew(broker.brokers, { partitions, ...(workMs === undefined ? {} : { workMs }) });
    crews.push(crew);
    return await crew.open();
  };
  beforeAll(async () => {
    broker = await start();
  });
  afterEach(async () => {
    for (const crew of crews.splice(0)) await crew.close();
  });
  afterAll(() => broker.stop());

  describe(`a worker on ${name}`, () => {
    test('a topic that is deleted and made again is read from its start', async () => {
      const crew = await open(3);
      await crew.hire();
      crew.load(400);
      await until('it flows', () => crew.handled.size > 900);
      await crew.rest();
      await crew.allHandled();
      const before = crew.acknowledged.size;
      await crew.remakeTopic();
      // Fewer than the old one had: offsets of then must not hide records of now.
      crew.load(200);
      await until('the new one has some', () => crew.acknowledged.size > before + 100);
      await crew.rest();
      expect(crew.acknowledged.size - before).toBeLessThan(before);
      await crew.allHandled();
      expect(await crew.failed()).toBe(0);
    }, 90_000);

    test('a topic that is deleted and made again while most of it waits is read from its start', async () => {
      // 10 at a time, 50 ms each: the worker is at a few hundred of thousands when the topic goes.
      const crew = await open(3, 50);
      await crew.hire();
      crew.load(8_000);
      await until('much waits', () => crew.acknowledged.size > 20_000);
      await crew.rest();
      expect(crew.handled.size).toBeLessThan(4_000);
      crew.forget();
      await crew.remakeTopic();
      crew.load(200);
      await until('the new one has some', () => crew.acknowledged.size > 300);
      await crew.rest();
      await crew.allHandled();
      expect(await crew.failed()).toBe(0);
    }, 90_000);

    test('a topic that is deleted for good is missed by name within seconds, with what to do', async () => {
      const crew = await open(3);
      await crew.hire();
      crew.load(100);
      await until('it flows', () => crew.handled.size > 50);
      await crew.rest();
      await crew.admin.deleteTopics({ topics: [crew.topic] });
      const missing = /do(es)? not exist|missing/;
      await until('it says so', () => crew.said(missing) !== undefined, 20_000);
      expect(crew.said(missing)).toContain(crew.topic);
      expect(crew.said(missing)).toContain('weir topics create');
    }, 60_000);
  });
  return open;
}
