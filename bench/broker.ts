/** The development broker beside Apache Kafka: how fast kafkajs's eachBatch reads from each, and how soon each is up. */
import { type BrokerUnderTest, fill, startDevBroker } from './load.ts';
import { consume } from './measure.ts';
import { interleave, median, perSecond, type Result, table, type Verdict, verdict } from './rounds.ts';

export async function brokers(
  kafka: BrokerUnderTest,
  options: { records: number; bytes: number; partitions: number; rounds: number },
): Promise<{ results: readonly Result[]; verdicts: readonly Verdict[]; text: string }> {
  const starts: number[] = [];
  for (let round = 0; round < 3; round++) {
    const one = await startDevBroker();
    starts.push(one.startSeconds);
    await one.stop();
  }
  const dev = await startDevBroker();
  try {
    const prefix = `bench${process.pid}`;
    const topic = 'broker';
    const both = [kafka, dev];
    for (const each of both) await fill({ brokers: each.brokers, topic: `${prefix}.${topic}`, ...options });
    const results = await interleave(
      both.map((each) => ({
        name: each.name,
        async run() {
          const reading = await consume({ path: 'raw-each-batch', brokers: each.brokers, prefix, topic, ...options });
          return reading.records / reading.seconds;
        },
      })),
      options.rounds,
    );
    const [real, ours] = results as [Result, Result];
    const text = table([
      ['broker', 'records/s, eachBatch', 'of Kafka', 'up in, s'],
      [real.name, perSecond(real.median), '1.00', kafka.startSeconds.toFixed(2)],
      [ours.name, perSecond(ours.median), (ours.median / real.median).toFixed(2), median(starts).toFixed(3)],
    ]);
    const verdicts = [
      verdict('dev broker / Kafka, kafkajs eachBatch', ours.median / real.median, { least: 0.2 }),
      verdict('start of the dev broker / of Kafka', median(starts) / kafka.startSeconds, { under: 0.1 }),
    ];
    return { results, verdicts, text };
  } finally {
    await dev.stop();
  }
}
