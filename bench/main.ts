/**
 * npm run bench [-- per-record broker parallel memory stuck soak tuner] [--on dev|kafka] [--records N] [--rounds N] [--json FILE] [--strict]
 *
 * Runs the benches that are named (all but the soak and the tuner by default), prints their tables and whether each aim was met. With --strict an
 * aim that was missed is exit code 1. Figures that were published, with their machine, are in bench/README.md.
 */
import { writeFileSync } from 'node:fs';
import { availableParallelism, cpus, release, totalmem } from 'node:os';
import { parseArgs } from 'node:util';
import { brokers } from './broker.ts';
import { type BrokerUnderTest, startDevBroker, startRealKafka } from './load.ts';
import { memory } from './memory/resting.ts';
import { soak } from './memory/soak.ts';
import { stuck } from './memory/stuck.ts';
import { parallel } from './parallel/parallel.ts';
import { perRecord } from './per-record.ts';
import type { Verdict } from './rounds.ts';
import { tuner } from './tuner/tuner.ts';

const BENCHES = ['per-record', 'broker', 'parallel', 'memory', 'stuck', 'soak', 'tuner'];
/** They take minutes: only when named. */
const LONG = ['soak', 'tuner'];
const { values, positionals } = parseArgs({
  allowPositionals: true,
  options: {
    on: { type: 'string', default: 'kafka' },
    records: { type: 'string', default: '1000000' },
    rounds: { type: 'string', default: '5' },
    bytes: { type: 'string', default: '100' },
    partitions: { type: 'string', default: '12' },
    seconds: { type: 'string', default: '45' },
    'work-ms': { type: 'string', default: '40' },
    charts: { type: 'string' },
    model: { type: 'boolean', default: false },
    minutes: { type: 'string', default: '10' },
    csv: { type: 'string' },
    svg: { type: 'string' },
    json: { type: 'string' },
    strict: { type: 'boolean', default: false },
  },
});
const unknown = positionals.filter((each) => !BENCHES.includes(each));
if (unknown.length > 0 || !['dev', 'kafka'].includes(values.on)) {
  process.stderr.write(
    `benches: ${BENCHES.join(', ')}; --on dev or kafka (given: ${[...unknown, values.on].join(' ')})\n`,
  );
  process.exit(2);
}
const wanted = (name: string) => (positionals.length === 0 ? !LONG.includes(name) : positionals.includes(name));
const load = {
  records: Number(values.records),
  bytes: Number(values.bytes),
  partitions: Number(values.partitions),
  rounds: Number(values.rounds),
};

const machine = {
  cpu: cpus()[0]?.model ?? 'unknown',
  cores: availableParallelism(),
  memoryGb: Math.round(totalmem() / 2 ** 30),
  kernel: release(),
  node: process.version,
  date: new Date().toISOString().slice(0, 10),
};
const verdicts: Verdict[] = [];
const report: Record<string, unknown> = { machine, load };
const say = (text: string) => process.stdout.write(`${text}\n`);

say(
  `${machine.cores} x ${machine.cpu}, ${machine.memoryGb} GB, Linux ${machine.kernel}, Node ${machine.node}, ${machine.date}`,
);
say(
  `${load.records.toLocaleString('en-US')} records of ${load.bytes} bytes, ${load.partitions} partitions, median of ${load.rounds} interleaved rounds\n`,
);

let kafka: BrokerUnderTest | undefined;
try {
  if (wanted('broker') || wanted('parallel') || (wanted('per-record') && values.on === 'kafka'))
    kafka = await startRealKafka();
  if (wanted('per-record')) {
    const broker = values.on === 'kafka' ? kafka : await startDevBroker();
    if (broker) {
      const outcome = await perRecord(broker, load);
      say(`## The per-record path, on ${broker.name}\n\n${outcome.text}\n`);
      verdicts.push(...outcome.verdicts);
      report['per-record'] = { broker: broker.name, results: outcome.results };
      if (broker !== kafka) await broker.stop();
    } else say('SKIPPED per-record: no Kafka; `--on dev` measures on the development broker');
  }
  if (wanted('broker')) {
    if (kafka) {
      const outcome = await brokers(kafka, load);
      say(`## The development broker\n\n${outcome.text}\n`);
      verdicts.push(...outcome.verdicts);
      report.broker = outcome.results;
    } else say('SKIPPED broker: no Kafka to compare with');
  }
  if (wanted('parallel')) {
    if (kafka) {
      const outcome = await parallel(kafka, load);
      say(`## Beside parallel-consumer, on ${kafka.name}\n\n${outcome.text}\n`);
      verdicts.push(...outcome.verdicts);
      report.parallel = outcome.results;
    } else say('SKIPPED parallel: no Kafka; the peer is measured on a real one only');
  }
  if (wanted('memory')) {
    const outcome = await memory({ rounds: Math.min(3, load.rounds) });
    say(`## Memory\n\n${outcome.text}\n`);
    verdicts.push(...outcome.verdicts);
  }
  if (wanted('stuck')) {
    const outcome = await stuck({ records: load.records });
    say(`## Records behind a stuck handler\n\n${outcome.text}\n`);
    verdicts.push(...outcome.verdicts);
  }
  if (wanted('soak')) {
    const outcome = await soak({ minutes: Number(values.minutes), csv: values.csv, svg: values.svg });
    say(`## Soak\n\n${outcome.text}\n`);
    verdicts.push(...outcome.verdicts);
  }
  if (wanted('tuner')) {
    const outcome = await tuner({
      seconds: Number(values.seconds),
      workMs: Number(values['work-ms']),
      rounds: values.model ? 1 : Math.min(3, load.rounds),
      model: values.model,
      charts: values.charts,
    });
    say(`## A hidden capacity\n\n${outcome.text}\n`);
    verdicts.push(...outcome.verdicts);
  }
} finally {
  await kafka?.stop();
}

for (const each of verdicts)
  say(`${each.met ? 'met   ' : 'MISSED'}  ${each.claim}: ${each.measured.toFixed(2)} (aim: ${each.aim})`);
report.verdicts = verdicts;
if (values.json) writeFileSync(values.json, `${JSON.stringify(report, null, 2)}\n`);
if (values.strict && verdicts.some((each) => !each.met)) process.exitCode = 1;
