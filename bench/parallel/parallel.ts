/**
 * Weir beside confluent's parallel-consumer, which is known for just this: more calls in flight than there are
 * partitions. Both read the same topics of the same broker, each in a process of its own, in interleaved rounds.
 *
 *   waiting   its published case: one partition, 10,000 records, 20 keys, 0 to 5 ms of waiting each, 100 in flight
 *   no-op     24 partitions, records of 100 bytes, nothing done with them, 64 in flight; beside the raw clients
 */
import { fileURLToPath } from 'node:url';
import { type BrokerUnderTest, fill } from '../load.ts';
import { consume, type Reading } from '../measure.ts';
import { interleave, median, perSecond, type Result, table, type Verdict, verdict } from '../rounds.ts';
import { runContestant, type WatchedReading } from './contestant.ts';
import { buildJavaPeer, type JavaPeer } from './java-peer.ts';
import { drawWaits, fillWaits } from './waits.ts';

export interface Outcome {
  readonly results: readonly Result[];
  readonly verdicts: readonly Verdict[];
  readonly text: string;
}

const WAITING = { records: 10_000, keys: 20, mostMs: 5, seed: 20_261_121 } as const;
const WAITING_CONCURRENCY = 100;
const NO_OP = { partitions: 24, bytes: 100 } as const;
const NO_OP_CONCURRENCY = 64;
const PEER = 'parallel-consumer';

let groups = 0;
const newGroup = () => `parallel-${process.pid}-${groups++}`;
/** kafkajs's idle timers; a Weir worker stops them, the raw paths do not. */
const QUIET = '--disable-warning=TimeoutNegativeWarning';
const script = (file: string) => [
  process.execPath,
  '--conditions=source',
  QUIET,
  fileURLToPath(new URL(file, import.meta.url)),
];

export interface ParallelOptions {
  /** Of the no-op case; the waiting case is always the published one. */
  readonly records: number;
  readonly rounds: number;
}

export async function parallel(broker: BrokerUnderTest, options: ParallelOptions): Promise<Outcome> {
  const java = await buildJavaPeer();
  try {
    const waiting = await waitingCase(broker, java, options.rounds);
    const noOp = await noOpCase(broker, java, options);
    return {
      results: [...waiting.results, ...noOp.results],
      verdicts: [...waiting.verdicts, ...noOp.verdicts],
      text: `${waiting.text}\n\n${noOp.text}`,
    };
  } finally {
    await java.remove();
  }
}

async function waitingCase(broker: BrokerUnderTest, java: JavaPeer, rounds: number): Promise<Outcome> {
  const prefix = `waiting${process.pid}`;
  const name = 'waits';
  const topic = `${prefix}.${name}`;
  const { records } = WAITING;
  const waits = drawWaits(WAITING);
  await fillWaits({ brokers: broker.brokers, topic, load: WAITING, waits });
  const brokers = broker.brokers.join(',');
  const concurrency = String(WAITING_CONCURRENCY);
  const readings = new Map<string, WatchedReading[]>();
  const contestant = (
    label: string,
    start: (group: string) => readonly string[],
    groupOf: (name: string) => string,
  ) => {
    const kept: WatchedReading[] = [];
    readings.set(label, kept);
    return {
      name: label,
      async run() {
        const group = newGroup();
        const watch = { brokers: broker.brokers, group: groupOf(group), topic, records };
        const reading = await runContestant(start(group), watch);
        kept.push(reading);
        return reading.records / reading.seconds;
      },
    };
  };
  const weir = (label: string, order: string) =>
    contestant(
      label,
      (group) => [...script('./weir.ts'), brokers, prefix, name, group, String(records), order, concurrency],
      (group) => `${prefix}-${group}`,
    );
  const peer = (label: string, order: string) =>
    contestant(
      label,
      (group) => [...java.command, brokers, topic, group, String(records), order, concurrency, 'wait'],
      (group) => group,
    );
  const results = await interleave(
    [
      weir('Weir, by key', 'key'),
      peer(`${PEER}, by key`, 'key'),
      weir('Weir, no order', 'none'),
      peer(`${PEER}, no order`, 'unordered'),
    ],
    rounds,
  );
  const seconds = (label: string) => median(readings.get(label)!.map((each) => each.seconds));
  const floor = (label: string) =>
    label.endsWith('by key') ? waits.floorByKeySeconds : waits.floorUnorderedSeconds(WAITING_CONCURRENCY);
  const text = table([
    [
      '10,000 records waiting 0-5 ms',
      'settled, s',
      'least',
      'most',
      'possible at best, s',
      'committed, s',
      'CPU s',
      'RSS, MB',
    ],
    ...results.map(({ name: label }) => {
      const all = readings.get(label)!;
      const each = all.map((reading) => reading.seconds);
      return [
        label,
        seconds(label).toFixed(2),
        Math.min(...each).toFixed(2),
        Math.max(...each).toFixed(2),
        floor(label).toFixed(2),
        median(all.map((reading) => reading.committedSeconds!)).toFixed(2),
        median(all.map((reading) => reading.cpuSeconds)).toFixed(2),
        String(Math.round(median(all.map((reading) => reading.rssMb)))),
      ];
    }),
  ]);
  const share = (order: string) => seconds(`Weir, ${order}`) / seconds(`${PEER}, ${order}`);
  const verdicts = [
    verdict(`time by key / ${PEER}`, share('by key'), { under: 1 }),
    verdict(`time without order / ${PEER}`, share('no order'), { under: 1 }),
  ];
  return { results, verdicts, text };
}

const NODE_PATHS = [
  ['raw-each-batch', 'kafkajs eachBatch'],
  ['raw-each-message', 'kafkajs eachMessage'],
  ['weir-record', 'Weir, per record'],
  ['weir-batch', 'Weir, batches of 500'],
] as const;

async function noOpCase(broker: BrokerUnderTest, java: JavaPeer, options: ParallelOptions): Promise<Outcome> {
  const prefix = `noop${process.pid}`;
  const name = 'records';
  const topic = `${prefix}.${name}`;
  const load = { ...NO_OP, records: options.records };
  await fill({ brokers: broker.brokers, topic, ...load });
  const brokers = broker.brokers.join(',');
  const records = String(load.records);
  const readings = new Map<string, Reading[]>();
  const contestant = (label: string, measure: () => Promise<Reading>) => {
    const kept: Reading[] = [];
    readings.set(label, kept);
    return {
      name: label,
      async run() {
        const reading = await measure();
        kept.push(reading);
        return reading.records / reading.seconds;
      },
    };
  };
  const peer = [...java.command, brokers, topic];
  const results = await interleave(
    [
      ...NODE_PATHS.map(([path, label]) =>
        contestant(label, () =>
          consume({ path, brokers: broker.brokers, prefix, topic: name, ...load, nodeArguments: [QUIET] }),
        ),
      ),
      contestant('@platformatic/kafka', () =>
        runContestant([...script('./platformatic.ts'), brokers, topic, newGroup(), records]),
      ),
      contestant(PEER, () =>
        runContestant([...peer, newGroup(), records, 'unordered', String(NO_OP_CONCURRENCY), 'no-op']),
      ),
    ],
    options.rounds,
  );
  const rate = (label: string) => results.find((each) => each.name === label)!.median;
  const perCpu = (label: string) => median(readings.get(label)!.map((each) => each.records / each.cpuSeconds));
  const base = NODE_PATHS[0][1];
  const text = table([
    [
      `${load.records.toLocaleString('en-US')} records, no-op`,
      'records/s',
      'of eachBatch',
      `of ${PEER}`,
      'least',
      'most',
      'records/CPU s',
      'RSS, MB',
    ],
    ...results.map((each) => [
      each.name,
      perSecond(each.median),
      (each.median / rate(base)).toFixed(2),
      (each.median / rate(PEER)).toFixed(2),
      perSecond(each.least),
      perSecond(each.most),
      perSecond(perCpu(each.name)),
      String(Math.round(median(readings.get(each.name)!.map((reading) => reading.rssMb)))),
    ]),
  ]);
  const perRecord = rate('Weir, per record');
  const verdicts = [
    verdict(`per-record path / ${PEER}`, perRecord / rate(PEER), { least: 5 }),
    verdict('24 partitions: per-record path / raw eachBatch', perRecord / rate(base), { least: 0.8 }),
    verdict('24 partitions: batch path / raw eachBatch', rate('Weir, batches of 500') / rate(base), { least: 0.95 }),
  ];
  return { results, verdicts, text };
}
