/** The report of a run (`--report FILE.json`), and the closing words for people. */
import type { SourcePlan } from '../source/plan.ts';
import { PROBLEMS, type Verdict } from './verify.ts';
import { bytes } from './view.ts';

export interface ReplicaChange {
  /** Seconds since the start. */
  readonly t: number;
  readonly worker: string;
  readonly wanted: number;
  readonly running: number;
  readonly reason: string;
}

export interface Report {
  readonly ok: boolean;
  readonly events: number;
  readonly attachments: number;
  readonly bytes: number;
  readonly seconds: number;
  readonly rows: { readonly events: number; readonly attachments: number };
  readonly lost: number;
  readonly duplicates: number;
  readonly retried: number;
  readonly deadLetters: number;
  readonly kills: number;
  readonly replicas: readonly ReplicaChange[];
  /** Beyond what was asked for: each kind of damage with its first examples, and what the source meant to send. */
  readonly problems: Verdict['problems'];
  readonly failure: string | null;
  readonly seed: number;
  readonly expectedDeadLetters: number;
}

export interface RunFacts {
  readonly seed: number;
  readonly seconds: number;
  readonly retried: number;
  readonly kills: number;
  readonly replicas: readonly ReplicaChange[];
  readonly totals: SourcePlan['totals'];
  /** What stopped the run before its end, in words. */
  readonly failure: string | undefined;
  /** Undefined when the run did not come to it. */
  readonly verdict: Verdict | undefined;
}

export function makeReport({ verdict, totals, failure, ...facts }: RunFacts): Report {
  return {
    ok: failure === undefined && verdict?.ok === true,
    events: totals.events,
    attachments: totals.attachments,
    bytes: verdict?.bytes ?? 0,
    seconds: Math.round(facts.seconds * 10) / 10,
    rows: verdict?.rows ?? { events: 0, attachments: 0 },
    lost: verdict?.lost ?? totals.events + totals.attachments,
    duplicates: verdict?.duplicates ?? 0,
    retried: facts.retried,
    deadLetters: verdict?.deadLetters.found ?? 0,
    kills: facts.kills,
    replicas: facts.replicas,
    problems: verdict?.problems ?? [],
    failure: failure ?? null,
    seed: facts.seed,
    expectedDeadLetters: verdict?.deadLetters.expected ?? 0,
  };
}

export interface Whereabouts {
  readonly out: string;
  readonly tables: string;
  /** Local folder of the tables; undefined when they are in a bucket. */
  readonly tablesFolder: string | undefined;
  readonly ledger: string;
}

/** Lines for people: the verdict, what is off, where everything is and what to try. */
export function closingWords(report: Report, where: Whereabouts): string[] {
  const lines: string[] = [''];
  const most = (worker: string) =>
    Math.max(0, ...report.replicas.filter((change) => change.worker === worker).map(({ running }) => running));
  if (report.ok) {
    lines.push(
      `VERIFIED: ${report.rows.events} events and ${report.rows.attachments} attachments (${bytes(report.bytes)}), ` +
        'each exactly once, every stored byte equal to the source’s.',
    );
  } else {
    lines.push('NOT VERIFIED');
    if (report.failure !== null) lines.push(`  ${report.failure}`);
    for (const { problem, count, examples } of report.problems) {
      lines.push(`  ${count} ${PROBLEMS[problem]}, such as`);
      for (const example of examples) lines.push(`    ${example}`);
    }
  }
  lines.push(
    `  ${report.seconds} s, ${report.retried} retried, ${report.deadLetters} dead letters (${report.expectedDeadLetters} expected), ` +
      `${report.kills} kills, download workers at most ${most('download-worker')}, seed ${report.seed}`,
    '',
    `Tables   ${where.tables}/xact_events and ${where.tables}/xact_attachments`,
    `Ledger   ${where.ledger}`,
    `Logs     ${where.out}/logs`,
  );
  if (where.tablesFolder !== undefined) {
    lines.push(
      'Try      pip install deltalake duckdb && python3 -c "import duckdb; from deltalake import DeltaTable; ' +
        `t = DeltaTable('${where.tablesFolder}/xact_attachments').to_pyarrow_dataset(); ` +
        "duckdb.sql('select status, count(*), sum(bytes_downloaded) from t group by 1').show()\"",
    );
  }
  lines.push('');
  return lines;
}
