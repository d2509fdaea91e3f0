/** The recovery suite on Apache Kafka, and what takes a real broker: to grow a topic, to lose a session, to be killed (last). */
import { describe, expect, test } from 'vitest';
import { startKafka } from '../support/kafka.ts';
import { until } from '../support/until.ts';
import { recoverySuite } from './recovery-suite.ts';

const kafka = await startKafka();

describe.skipIf(!kafka)('Apache Kafka', () => {
  const open = recoverySuite('Apache Kafka', async () => kafka!);

  test('a topic that grows from 3 to 6 partitions under load is read whole, the new ones from their start', async () => {
    const crew = await open(3);
    await crew.hire();
    await crew.hire();
    crew.load(200);
    await until('it flows', () => crew.handled.size > 100);
    await crew.admin.createPartitions({ topicPartitions: [{ topic: crew.topic, count: 6 }] });
    await crew.rest();
    // The new ones get records seconds before the workers can know of them.
    crew.load(200, 6);
    await until('all partitions get some', () => [3, 4, 5].every((each) => (crew.takenOf.get(each) ?? 0) > 20));
    await crew.rest();
    await crew.allHandled();
    expect(crew.repeats).toBe(0);
    expect(await crew.failed()).toBe(0);
  }, 60_000);

  test('a worker that is frozen past its session is replaced, and comes back', async () => {
    const crew = await open(4);
    const env = { KAFKA_SESSION_TIMEOUT_MS: '3000' };
    const frozen = await crew.hireProcess(env);
    await crew.hire(env);
    crew.load(200);
    await until('it flows', () => crew.handled.size > 200);
    frozen.signal('SIGSTOP');
    const joinsBefore = frozen.lines.filter(({ msg }) => msg.startsWith('assigned ')).length;
    const since = performance.now();
    const sent = crew.acknowledged.size;
    await until(
      'the other one does the work of both',
      () => crew.acknowledged.size > sent + 300 && crew.missing < 30,
      30_000,
    );
    await until('its session is long over', () => performance.now() - since > 5_000);
    frozen.signal('SIGCONT');
    await until(
      'it has joined again',
      () => frozen.lines.filter(({ msg }) => /^assigned [1-9]/.test(msg)).length > joinsBefore,
    );
    await crew.rest();
    await crew.allHandled();
    // What it had in flight and what it had done since its last commit; nothing of what it had queued.
    expect(crew.repeats).toBeLessThan(60);
    expect(await crew.failed()).toBe(0);
  }, 90_000);

  test.skipIf(!kafka?.restart)(
    'a broker that is killed and comes back under load loses nobody',
    async () => {
      const crew = await open(3);
      await crew.hire();
      await crew.hire();
      crew.load(200);
      await until('it flows', () => crew.handled.size > 200);
      await kafka!.restart!();
      const sent = crew.acknowledged.size;
      await until('it flows again', () => crew.acknowledged.size > sent + 200, 60_000);
      await crew.rest();
      await crew.allHandled(60_000);
      // In flight and finished since the last commit of each.
      expect(crew.repeats).toBeLessThan(120);
      expect(await crew.failed()).toBe(0);
    },
    120_000,
  );
});
