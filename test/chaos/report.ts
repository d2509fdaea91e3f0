/** What people read after a run: a table when all went well; seed, timeline and the command to repeat it when it did not. */
import type { Violation } from './checker.ts';
import type { History } from './history.ts';
import type { RunResult } from './run.ts';
import { FAULT_NAMES } from './schedule.ts';

const MOST_LINES = 60;
const REPEATS = 10;

export function commandOf({ options }: RunResult): string {
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
    lines.push({
      at: commit.at,
      text: `commit ${commit.stored ? '' : 'REFUSED '}${commit.topic}/${commit.partition} to ${commit.offset}${ahead === '' ? '' : `, done ahead ${ahead}`} by ${commit.memberId} gen ${commit.generation}`,
    });
  }
  for (const fault of history.faults) lines.push({ at: fault.at, text: `* ${fault.text}` });
  return lines
    .filter(({ at }) => at >= from - 1_500 && at <= to + 1_500)
    .sort((a, b) => a.at - b.at)
    .map(({ at, text }) => `${((at - from) / 1000).toFixed(3).padStart(8)} s  ${text}`);
}

export function table(results: readonly RunResult[]): string {
  const faults = FAULT_NAMES.map(
    (name) => [name, results.flatMap(({ steps }) => steps).filter(({ fault }) => fault === name).length] as const,
  );
  const sum = (of: (result: RunResult) => number) => results.reduce((total, each) => total + of(each), 0);
  const rows: [string, string][] = [
    ['runs', `${results.length} (seeds ${[...new Set(results.map(({ options }) => options.seed))].join(' ')})`],
    [
      'faults',
      faults
        .filter(([, count]) => count > 0)
        .map(([name, count]) => `${name} ${count}`)
        .join(', '),
    ],
    ['records', String(sum(({ verdict }) => verdict.records))],
    ['handled again', String(sum(({ verdict }) => verdict.repeats))],
    ['commits', String(sum(({ verdict }) => verdict.commits))],
    ['ownerships', String(sum(({ verdict }) => verdict.terms))],
    ['broken promises', String(sum(({ verdict }) => verdict.violations.length))],
    ['seconds', sum(({ seconds }) => seconds).toFixed(0)],
  ];
  return rows.map(([name, value]) => `${name.padEnd(16)} ${value}`).join('\n');
}
