/** What people read after a run: a table when all went well; seed, timeline and the command to repeat it when it did not. */
import { decodeSuspicion } from '../../packages/sdk/src/delivery/suspicion.ts';
import type { Violation } from './checker.ts';
import type { Takeover } from './extras.ts';
import type { Commit, History } from './history.ts';
import type { RunResult } from './run.ts';
import { FAULT_NAMES, type FaultName } from './schedule.ts';

const MOST_LINES = 60;
const REPEATS = 10;

export function commandOf({ options }: Pick<RunResult, 'options'>): string {
  const mutation = options.env?.CHAOS_MUTATION;
  if (mutation !== undefined) return `npm run chaos -- --mutation '${mutation}' --repeat ${REPEATS}`;
  const words = [
    `npm run chaos -- --seed ${options.seed} --seconds ${options.durationMs / 1000} --workers ${options.subjects.join(',')}`,
  ];
  if (options.faults) words.push(`--faults ${options.faults.join(',')}`);
  if (options.kafka) words.push('--kafka');
  return `${words.join(' ')} --repeat ${REPEATS}`;
}

/** The violation whose record has the shortest timeline, told; the others by rule. */
export function describeFailure(result: RunResult): string {
  const { verdict, history, options, folder } = result;
  const byRule = new Map<string, number>();
  for (const { rule } of verdict.violations) byRule.set(rule, (byRule.get(rule) ?? 0) + 1);
  const told = verdict.violations
    .slice(0, 200)
    .map((violation) => ({ violation, lines: timeline(history, violation) }))
    .sort((a, b) => rank(a) - rank(b))[0];
  if (told === undefined) return '';
  return [
    `BROKEN with seed ${options.seed}: ${[...byRule].map(([rule, count]) => `${rule} x ${count}`).join(', ')}`,
    `  ${told.violation.rule}: ${told.violation.text}`,
    ...told.lines.slice(0, MOST_LINES).map((line) => `    ${line}`),
    ...(told.lines.length > MOST_LINES ? [`    … ${told.lines.length - MOST_LINES} more`] : []),
    `  logs: ${folder}`,
    `  again: ${commandOf(result)}`,
  ].join('\n');
}
function rank({ violation, lines }: { violation: Violation; lines: readonly string[] }): number {
  return violation.id === undefined ? Number.MAX_SAFE_INTEGER : lines.length;
}

/** Everything known about a record, in order of time, with the faults between. */
export function timeline(history: History, { id }: Violation): string[] {
  if (id === undefined) return [];
  const lines: { at: number; text: string }[] = [];
  const places = new Set<string>();
  const partitions = new Set<string>();
  for (const record of history.records)
    if (record.id === id) {
      places.add(`${record.topic}/${record.partition}/${record.offset}`);
      partitions.add(`${record.topic}/${record.partition}`);
      lines.push({ at: record.at ?? 0, text: `appended at ${record.topic}/${record.partition}/${record.offset}` });
    }
  for (const each of history.consequences)
    if (each.id === id) lines.push({ at: each.at ?? Number.POSITIVE_INFINITY, text: `in the broker: ${each.kind}` });
  for (const { process, events } of history.processes)
    for (const event of events) {
      if (event.e === 'dying') {
        lines.push({ at: event.t, text: `${process} kills itself ${event.why}` });
        continue;
      }
      if ('id' in event ? event.id !== id : !partitions.has(`${event.topic}/${event.partition}`)) continue;
      const more =
        event.e === 'assigned' ? ` (committed ${event.committed})` : 'call' in event ? ` (call ${event.call})` : '';
      lines.push({
        at: event.t,
        text: `${process} ${event.e} ${event.topic}/${event.partition}${'offset' in event ? `/${event.offset}` : ''}${more}${event.e === 'failed' ? ` ${event.error}` : ''}`,
      });
    }
  const from = Math.min(...lines.map(({ at }) => at));
  const to = Math.max(...lines.filter(({ text }) => !/ (assigned|revoked) /.test(text)).map(({ at }) => at));
  for (const commit of history.commits) {
    if (!partitions.has(`${commit.topic}/${commit.partition}`)) continue;
    const ahead = commit.ahead.map((range) => `${range.from}-${range.to - 1}`).join(' ');
    const more = [
      ahead === '' ? '' : `, done ahead ${ahead}`,
      ` by ${commit.memberId} gen ${commit.generation}`,
      commit.left ? ', leaving' : '',
      suspectsOf(commit),
    ];
    lines.push({
      at: commit.at,
      text: `commit ${commit.stored ? '' : 'REFUSED '}${commit.topic}/${commit.partition} to ${commit.offset}${more.join('')}`,
    });
  }
  for (const fault of history.faults) lines.push({ at: fault.at, text: `* ${fault.text}` });
  return lines
    .filter(({ at }) => at >= from - 1_500 && at <= to + 1_500)
    .sort((a, b) => a.at - b.at)
    .map(({ at, text }) => `${((at - from) / 1000).toFixed(3).padStart(8)} s  ${text}`);
}

function suspectsOf({ suspects, offset }: Commit): string {
  const suspicion = decodeSuspicion(suspects, offset);
  if (suspicion === undefined) return '';
  const listed = suspicion.suspects.map((one) => `${one.offset}${one.inFlight ? '*' : ''} x ${one.strikes}`);
  return `, suspects to ${suspicion.until - 1} since ${suspicion.ends.map(({ writer }) => writer).join(', ')}: ${listed.join(', ')}`;
}

/** What is kept of a run when its history is let go. */
export interface Summary {
  readonly seed: number;
  readonly kafka: boolean;
  readonly seconds: number;
  readonly faults: Readonly<Partial<Record<FaultName, number>>>;
  readonly records: number;
  readonly repeats: number;
  readonly commits: number;
  readonly terms: number;
  readonly suspected: number;
  readonly broken: readonly string[];
  readonly takeovers: readonly Takeover[];
}

export function summaryOf({ options, steps, verdict, seconds }: RunResult): Summary {
  const faults: Partial<Record<FaultName, number>> = {};
  for (const { fault } of steps) faults[fault] = (faults[fault] ?? 0) + 1;
  const { records, repeats, commits, terms, suspected, takeovers, violations } = verdict;
  const broken = violations.map(({ rule }) => rule);
  return {
    seed: options.seed,
    kafka: options.kafka,
    seconds,
    faults,
    records,
    repeats,
    commits,
    terms,
    suspected,
    broken,
    takeovers,
  };
}

export function table(runs: readonly Summary[]): string {
  const sum = (of: (run: Summary) => number) => runs.reduce((total, each) => total + of(each), 0);
  const failing = runs.filter(({ broken }) => broken.length > 0);
  const rows: [string, string][] = [
    ['runs', `${runs.length} (seeds ${rangesOf(runs.map(({ seed }) => seed))})`],
    ['records', String(sum(({ records }) => records))],
    ['further calls', `${sum(({ repeats }) => repeats)} (retries in place among them)`],
    ['commits', String(sum(({ commits }) => commits))],
    ['ownerships', String(sum(({ terms }) => terms))],
    ['suspected dead', `${sum(({ suspected }) => suspected)} (dead letters because processes died)`],
    ['broken promises', String(sum(({ broken }) => broken.length))],
    ['failing seeds', failing.length === 0 ? 'none' : rangesOf(failing.map(({ seed }) => seed))],
    ['seconds', sum(({ seconds }) => seconds).toFixed(0)],
  ];
  return [...rows.map(([name, value]) => `${name.padEnd(16)} ${value}`), '', ...costs(runs)].join('\n');
}

/** What each kind of fault cost: records handled again when a partition changed hands, beside what it could have been. */
function costs(runs: readonly Summary[]): string[] {
  const names = [...FAULT_NAMES, 'none'] as const;
  const lines = names.flatMap((name) => {
    const times = name === 'none' ? 0 : runs.reduce((total, { faults }) => total + (faults[name] ?? 0), 0);
    const those = runs.flatMap(({ takeovers }) => takeovers.filter(({ fault }) => fault === name));
    if (times === 0 && those.length === 0) return [];
    const sum = (of: (each: Takeover) => number) => those.reduce((total, each) => total + of(each), 0);
    const extras = sum((each) => each.extras);
    const worst = Math.max(0, ...those.map((each) => each.extras));
    const [inFlight, sinceCommit] = [sum((each) => each.inFlight), sum((each) => each.sinceCommit)];
    return [[name, times, those.length, extras, worst, inFlight + sinceCommit, inFlight, sinceCommit]];
  });
  const head = ['last fault', 'times', 'takeovers', 'again', 'worst', 'bound', 'in flight', 'since commit'];
  return [head, ...lines].map((cells) =>
    cells.map((cell, at) => (at === 0 ? String(cell).padEnd(18) : String(cell).padStart(at > 5 ? 13 : 10))).join(''),
  );
}

/** 1000..1003 1005 */
function rangesOf(numbers: readonly number[]): string {
  const sorted = [...new Set(numbers)].sort((a, b) => a - b);
  const words: string[] = [];
  for (let at = 0; at < sorted.length; ) {
    let end = at;
    while (sorted[end + 1] === sorted[end]! + 1) end++;
    words.push(end === at ? String(sorted[at]) : `${sorted[at]}..${sorted[end]}`);
    at = end + 1;
  }
  return words.join(' ');
}
