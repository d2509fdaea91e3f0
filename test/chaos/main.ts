/**
 * `npm run chaos -- --seed S [--minutes M | --seconds N] [--seeds K] [--repeat K] [--kafka] [--workers a,b] [--faults a,b] [--keep]`
 * `npm run chaos -- --mutation 'the fence'`: the pinned run of a guarantee that is taken out
 *
 * Seeds S, S+1, … one after the other, each with its own schedule; `--repeat` runs each schedule several times. Ends with 1 when a
 * promise was broken.
 */
import { parseArgs } from 'node:util';
import { brokenRun, MUTATIONS } from './mutations.ts';
import { commandOf, describeFailure, table } from './report.ts';
import { type RunOptions, type RunResult, runOnce, SUBJECT_NAMES } from './run.ts';
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
    mutation: { type: 'string' },
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
const mutation = MUTATIONS.find(({ name }) => name === values.mutation);
if (values.mutation !== undefined && mutation === undefined)
  refuse(`--mutation: "${values.mutation}" is none of ${MUTATIONS.map(({ name }) => `"${name}"`).join(', ')}`);
const base: RunOptions = mutation
  ? brokenRun(mutation)
  : {
      seed: number(values.seed, 'seed'),
      durationMs: seconds * 1_000,
      subjects: oneOf(values.workers, SUBJECT_NAMES, 'workers'),
      faults: values.faults ? oneOf(values.faults, FAULT_NAMES, 'faults') : undefined,
      kafka: values.kafka,
    };
const results: RunResult[] = [];
let failed = 0;

for (let seed = base.seed; seed < base.seed + number(values.seeds, 'seeds'); seed++)
  for (let round = 0; round < number(values.repeat, 'repeat'); round++) {
    console.log(`seed ${seed}: ${base.durationMs / 1000} s of faults on ${base.kafka ? 'Kafka' : 'the dev broker'}`);
    const result = await runOnce({
      ...base,
      seed,
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
