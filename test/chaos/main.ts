/**
 * `npm run chaos -- --seed S [--minutes M | --seconds N] [--seeds K] [--repeat K] [--kafka] [--workers a,b] [--faults a,b] [--keep]`
 *
 * Seeds S, S+1, … one after the other, each with its own schedule; `--repeat` runs each schedule several times. Ends with 1 when a
 * promise was broken.
 */
import { parseArgs } from 'node:util';
import { commandOf, describeFailure, table } from './report.ts';
import { type RunResult, runOnce, SUBJECT_NAMES } from './run.ts';
import { FAULT_NAMES } from './schedule.ts';

const { values } = parseArgs({
  options: {
    seed: { type: 'string', default: String(1 + (Number(process.hrtime.bigint() % 1_000_000n) | 0)) },
    seeds: { type: 'string', default: '1' },
    minutes: { type: 'string' },
    seconds: { type: 'string' },
    repeat: { type: 'string', default: '1' },
    kafka: { type: 'boolean', default: false },
    workers: { type: 'string', default: SUBJECT_NAMES.join(',') },
    faults: { type: 'string' },
    keep: { type: 'boolean', default: false },
    quiet: { type: 'boolean', default: false },
  },
});

function oneOf<T extends string>(list: string, known: readonly T[], option: string): T[] {
  return list.split(',').map((word) => {
    const found = known.find((each) => each === word);
    return found ?? refuse(`--${option}: "${word}" is none of ${known.join(', ')}`);
  });
}

function number(text: string, option: string): number {
  const value = Number(text);
  return value > 0 && value < 2 ** 32 ? value : refuse(`--${option} must be a number above 0, not "${text}"`);
}

function refuse(text: string): never {
  console.error(text);
  process.exit(2);
}

const seconds = values.seconds
  ? number(values.seconds, 'seconds')
  : values.minutes
    ? number(values.minutes, 'minutes') * 60
    : 30;
const first = number(values.seed, 'seed');
const subjects = oneOf(values.workers, SUBJECT_NAMES, 'workers');
const faults = values.faults ? oneOf(values.faults, FAULT_NAMES, 'faults') : undefined;
const results: RunResult[] = [];
let failed = 0;

for (let seed = first; seed < first + number(values.seeds, 'seeds'); seed++)
  for (let round = 0; round < number(values.repeat, 'repeat'); round++) {
    console.log(`seed ${seed}: ${seconds} s of faults on ${values.kafka ? 'Kafka' : 'the dev broker'}`);
    const result = await runOnce({
      seed,
      durationMs: seconds * 1_000,
      subjects,
      faults,
      kafka: values.kafka,
      keep: values.keep,
      ...(values.quiet ? {} : { say: (line: string) => console.log(line) }),
    });
    if (result === undefined) process.exit(2);
    results.push(result);
    const { violations, records, repeats } = result.verdict;
    console.log(
      `seed ${seed}: ${records} records, ${repeats} repeats, ${violations.length} broken promises, ${result.seconds.toFixed(0)} s`,
    );
    if (violations.length === 0) continue;
    failed++;
    console.log(describeFailure(result));
  }

console.log(`\n${table(results)}`);
if (failed > 0)
  console.log(
    `${failed} of ${results.length} runs broke a promise; the first: ${commandOf(results.find((each) => each.verdict.violations.length > 0)!)}`,
  );
process.exit(failed > 0 ? 1 : 0);
