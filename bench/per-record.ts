/**
 * What Weir costs on top of kafkajs: its per-record path (bytes, a no-op async handler, order none, 64 in flight, commits
 * on) and its batch path, beside raw eachBatch and eachMessage, on the same topic of the same broker.
 */
import { type BrokerUnderTest, fill } from './load.ts';
import { consume, type Reading } from './measure.ts';
import { interleave, median, perSecond, type Result, table, type Verdict, verdict } from './rounds.ts';

export interface PerRecordOptions {
  readonly records: number;
  readonly bytes: number;
  readonly partitions: number;
  readonly rounds: number;
}

const PATHS = [
  ['raw-each-batch', 'kafkajs eachBatch'],
  ['raw-each-message', 'kafkajs eachMessage'],
  ['weir-record', 'Weir, per record'],
  ['weir-batch', 'Weir, batches of 500'],
] as const;

export async function perRecord(
  broker: BrokerUnderTest,
  options: PerRecordOptions,
): Promise<{ results: readonly Result[]; verdicts: readonly Verdict[]; text: string }> {
  const prefix = `bench${process.pid}`;
  const topic = 'per-record';
  await fill({ brokers: broker.brokers, topic: `${prefix}.${topic}`, ...options });
  const readings = new Map<string, Reading[]>(PATHS.map(([, name]) => [name, []]));
  const results = await interleave(
    PATHS.map(([path, name]) => ({
      name,
      async run() {
        const reading = await consume({ path, brokers: broker.brokers, prefix, topic, ...options });
        readings.get(name)!.push(reading);
        return reading.records / reading.seconds;
      },
    })),
    options.rounds,
  );
  const rate = (path: string) => results.find((each) => each.name === PATHS.find(([id]) => id === path)![1])!.median;
  const base = rate('raw-each-batch');
  // On a machine that others use, the work done for a second of processor time is the steadier number.
  const perCpu = (name: string) => median(readings.get(name)!.map((each) => each.records / each.cpuSeconds));
  const baseCpu = perCpu(PATHS[0][1]);
  const text = table([
    ['path', 'records/s', 'of eachBatch', 'least', 'most', 'records/CPU s', 'of eachBatch', 'RSS, MB'],
    ...results.map((each) => [
      each.name,
      perSecond(each.median),
      (each.median / base).toFixed(2),
      perSecond(each.least),
      perSecond(each.most),
      perSecond(perCpu(each.name)),
      (perCpu(each.name) / baseCpu).toFixed(2),
      String(Math.round(median(readings.get(each.name)!.map((reading) => reading.rssMb)))),
    ]),
  ]);
  const verdicts = [
    verdict('per-record path / raw eachBatch', rate('weir-record') / base, { least: 0.8 }),
    verdict('per-record path / raw eachMessage', rate('weir-record') / rate('raw-each-message'), { least: 1 }),
    verdict('batch path / raw eachBatch', rate('weir-batch') / base, { least: 0.95 }),
  ];
  return { results, verdicts, text };
}
