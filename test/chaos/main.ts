/**
 * `npm run chaos -- --seed S [--minutes M | --seconds N] [--repeat K] [--kafka] [--workers a,b] [--faults a,b] [--keep]`
 * `npm run chaos -- --seeds 1000..1199 --seconds 30 [--parallel 2]`: the long runs
 * `npm run chaos -- --mutation 'the fence'`: the pinned run of a guarantee that is taken out
 *
 * Each seed has its own schedule; `--repeat` runs each schedule several times. A failure stops nothing: its report is told, and
 * kept beside the summary (.weir/chaos/), which is written anew after every run. Ends with 1 when a promise was broken.
 */
import { execFileSync } from 'node:child_process';
import { mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { parseArgs } from 'node:util';
import { brokenRun, MUTATIONS } from './mutations.ts';
import { commandOf, describeFailure, type Summary, summaryOf, table } from './report.ts';
import { type RunOptions, type RunResult, runOnce } from './run.ts';
import { FAULT_NAMES } from './schedule.ts';
import { SUBJECT_NAMES } from './subjects.ts';

const STARVED_MS = 1_000;
const MOST_AGAIN = 2;

const { values } = parseArgs({
  options: {
    seed: { type: 'string' },
    seeds: { type: 'string' },
    minutes: { type: 'string' },
    seconds: { type: 'string' },
    repeat: { type: 'string', default: '1' },
    parallel: { type: 'string', default: '1' },
    kafka: { type: 'boolean', default: false },
    workers: { type: 'string', default: SUBJECT_NAMES.join(',') },
    faults: { type: 'string' },
    keep: { type: 'boolean', default: false },
    mutation: { type: 'string' },
    quiet: { type: 'boolean', default: false },
    summary: { type: 'string' },
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

function seedsOf(): number[] {
  if (values.seeds === undefined)
    return [values.seed ? number(values.seed, 'seed') : 1 + Number(process.hrtime.bigint() % 1_000_000n)];
  return values.seeds.split(',').flatMap((part) => {
    const [from = '', to = from] = part.split('..');
    const first = number(from, 'seeds');
    return Array.from({ length: Math.max(0, number(to, 'seeds') - first + 1) }, (_, at) => first + at);
  });
}

const seconds = values.seconds
  ? number(values.seconds, 'seconds')
  : values.minutes
    ? number(values.minutes, 'minutes') * 60
    : 30;
const mutation = MUTATIONS.find(({ name }) => name === values.mutation);
if (values.mutation !== undefined && mutation === undefined)
  refuse(`--mutation: "${values.mutation}" is none of ${MUTATIONS.map(({ name }) => `"${name}"`).join(', ')}`);
const seeds = mutation ? [mutation.seed] : seedsOf();
const base: Omit<RunOptions, 'seed'> = mutation
  ? brokenRun(mutation)
  : {
      durationMs: seconds * 1_000,
      subjects: oneOf(values.workers, SUBJECT_NAMES, 'workers'),
      faults: values.faults ? oneOf(values.faults, FAULT_NAMES, 'faults') : undefined,
      kafka: values.kafka,
    };

const tasks = seeds.flatMap((seed) => Array.from({ length: number(values.repeat, 'repeat') }, () => seed));
const isLong = tasks.length > 1;
const parallel = Math.min(number(values.parallel, 'parallel'), tasks.length);
const summaryFile =
  values.summary ?? join('.weir', 'chaos', `${base.kafka ? 'kafka-' : ''}${seeds[0]}-${seeds.at(-1)}.json`);
const reports = summaryFile.replace(/\.json$/, '');
/** Seeds that were run again, and how often. */
const again = new Map<number, number>();
const startedMs = performance.now();
const done: Summary[] = [];
const failing = new Map<number, string>();
let next = 0;

function minutesLeft(): string {
  const rest = ((performance.now() - startedMs) / done.length) * (tasks.length - done.length);
  return `${Math.ceil(rest / 60_000)} min left`;
}

/**
 * A session of 2 s cannot be kept by processes that get no processor for a second: that a group did not finish proves nothing then.
 * Everything else that was broken counts on any machine.
 */
function isStarved({ verdict, latestMs }: RunResult): boolean {
  return (
    latestMs > STARVED_MS && verdict.violations.length > 0 && verdict.violations.every(({ rule }) => rule === 'stuck')
  );
}

function commit(): string {
  try {
    return execFileSync('git', ['describe', '--always', '--dirty'], { encoding: 'utf8' }).trim();
  } catch {
    return 'unknown';
  }
}

function writeSummary(): void {
  const head = { command: process.argv.slice(2).join(' '), commit: code, finished: done.length, of: tasks.length };
  writeFileSync(
    summaryFile,
    JSON.stringify({ ...head, failing: [...failing.keys()], again: Object.fromEntries(again), runs: done }, null, 1),
  );
  writeFileSync(`${reports}.txt`, `${table(done)}\n`);
}

async function work(): Promise<void> {
  for (let at = next++; at < tasks.length; at = next++) {
    const seed = tasks[at]!;
    if (!isLong)
      console.log(`seed ${seed}: ${base.durationMs / 1000} s of faults on ${base.kafka ? 'Kafka' : 'the dev broker'}`);
    let result: RunResult | undefined;
    try {
      result = await runOnce({
        ...base,
        seed,
        keep: values.keep,
        ...(isLong || values.quiet ? {} : { say: (line: string) => console.log(line) }),
      });
    } catch (error) {
      // Of the runner or the machine, not of what is tested; it is a failure all the same, and the other seeds go on.
      console.error(`seed ${seed}: the run itself failed:`, error);
      failing.set(seed, commandOf({ options: { ...base, seed } }));
      continue;
    }
    if (result === undefined) process.exit(2);
    if (isStarved(result) && (again.get(seed) ?? 0) < MOST_AGAIN) {
      again.set(seed, (again.get(seed) ?? 0) + 1);
      tasks.push(seed);
      console.log(
        `seed ${seed}: not finished, on a machine that let the runner itself wait ${result.latestMs.toFixed(0)} ms; once more at the end`,
      );
      continue;
    }
    const summary = summaryOf(result);
    done.push(summary);
    const { records, violations } = result.verdict;
    const extras = summary.takeovers.reduce((sum, each) => sum + each.extras, 0);
    const bound = summary.takeovers.reduce((sum, each) => sum + each.inFlight + each.sinceCommit, 0);
    const progress = isLong ? `[${String(done.length).padStart(3)}/${tasks.length}] ` : '';
    console.log(
      `${progress}seed ${seed}: ${records} records, ${extras} handled again by a next owner (at most ${bound}), ` +
        `${violations.length} broken promises, ${result.seconds.toFixed(0)} s${isLong ? `; ${failing.size} failing, ${minutesLeft()}` : ''}`,
    );
    if (violations.length > 0) {
      const report = describeFailure(result);
      console.log(report);
      failing.set(seed, commandOf(result));
      writeFileSync(`${reports}-seed-${seed}.txt`, `${report}\n`);
    }
    writeSummary();
  }
}

const code = commit();
mkdirSync(join(summaryFile, '..'), { recursive: true });
await Promise.all(Array.from({ length: parallel }, work));
console.log(`\n${table(done)}`);
if (failing.size > 0) {
  console.log(`\n${failing.size} of ${seeds.length} seeds broke a promise (reports: ${reports}-seed-*.txt):`);
  for (const command of failing.values()) console.log(`  ${command}`);
}
process.exit(failing.size > 0 ? 1 : 0);
