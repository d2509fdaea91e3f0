/** Flow: pause, resume, seek, and where delivery begins. */
import { expect } from 'vitest';
import { until } from '../support/until.ts';
import type { Check } from './harness.ts';

export function flowFacts(check: Check): void {
  check('a paused partition delivers nothing after the call, and goes on where it was', async (bench) => {
    await bench.createTopic(2);
    await bench.fill(20, 2);
    const member = await bench.member().start();
    await until('all records', () => member.delivered === 20);
    member.consumer.pause([{ topic: bench.topic, partition: 0 }]);
    await bench.fill(200, 2);
    await until('the other partition flows', () => member.ledgers.get(`${bench.topic}/1`)?.base === 110);
    expect(member.ledgers.get(`${bench.topic}/0`)?.next).toBe(10);
    member.consumer.resume([{ topic: bench.topic, partition: 0 }]);
    await until('the paused one flows again', () => member.ledgers.get(`${bench.topic}/0`)?.base === 110);
    expect(member.world.repeats).toBe(0);
    expect(member.world.distinct).toBe(220);
  });

  check('a seek delivers from the offset on, backwards and forwards', async (bench) => {
    await bench.createTopic(1);
    await bench.fill(100, 1);
    const member = await bench.member({ manual: true }).start();
    await until('all records', () => member.delivered === 100);
    const arrived = () => member.batches.flatMap(({ records }) => records.map(({ offset }) => offset));
    member.consumer.seek({ topic: bench.topic, partition: 0, offset: 40 });
    await until('the rest again', () => arrived().length === 160);
    expect(arrived().slice(100)).toEqual(Array.from({ length: 60 }, (_, index) => 40 + index));
    member.consumer.pause([{ topic: bench.topic, partition: 0 }]);
    await bench.fill(50, 1);
    member.consumer.seek({ topic: bench.topic, partition: 0, offset: 120 });
    member.consumer.resume([{ topic: bench.topic, partition: 0 }]);
    await until('the end', () => arrived().at(-1) === 149);
    expect(arrived().slice(160)).toEqual(Array.from({ length: 30 }, (_, index) => 120 + index));
  });

  check('a worker that says where to start is not asked twice and gets nothing from before', async (bench) => {
    await bench.createTopic(1);
    await bench.fill(100, 1);
    const member = bench.member({ manual: true });
    member.assigned = async ({ partitions }) => {
      const [{ logStart, logEnd, committed, retained }] = partitions as [(typeof partitions)[0]];
      expect({ logStart, logEnd, committed, retained }).toEqual({
        logStart: 0,
        logEnd: 100,
        committed: -1,
        retained: false,
      });
      member.ledgers.set(`${bench.topic}/0`, {
        topic: bench.topic,
        partition: 0,
        base: 70,
        next: 70,
        done: new Set(),
        committed: -1,
      });
      return [{ topic: bench.topic, partition: 0, offset: 70 }];
    };
    await member.start();
    await until('the end', () => member.ledgers.get(`${bench.topic}/0`)?.base === 100);
    expect(member.batches[0]?.records[0]?.offset).toBe(70);
    expect(member.delivered).toBe(30);
  });

  check('nothing is delivered before `assigned` resolves', async (bench) => {
    await bench.createTopic(2);
    await bench.fill(10, 2);
    const member = bench.member();
    const gate = Promise.withResolvers<void>();
    const assigned = member.assigned.bind(member);
    member.assigned = async (assignment) => {
      const positions = await assigned(assignment);
      await gate.promise;
      return positions;
    };
    await member.start();
    await until('the assignment', () => member.assignments.length === 1);
    // Half a dozen fetches would fit in here, and several heartbeats must.
    const seen = member.consumer.lastSeenMs;
    await until('heartbeats go on', () => member.consumer.lastSeenMs > seen + 600);
    expect(member.delivered).toBe(0);
    gate.resolve();
    await until('all records', () => member.delivered === 10);
  });
}
