/**
 * Interleaved rounds: A B C, A B C, … so that whatever else the machine does falls on all of them alike. What counts is
 * the median of each, and the ratio between medians of one run; absolute numbers of a shared machine say little.
 */
export interface Contestant {
  readonly name: string;
  /** One measurement; records per second, or another number for which more is better. */
  run(round: number): Promise<number>;
}

export interface Result {
  readonly name: string;
  readonly median: number;
  readonly least: number;
  readonly most: number;
  readonly rounds: readonly number[];
}

export function median(numbers: readonly number[]): number {
  const sorted = [...numbers].sort((a, b) => a - b);
  const middle = sorted.length >> 1;
  return sorted.length % 2 === 1 ? sorted[middle]! : (sorted[middle - 1]! + sorted[middle]!) / 2;
}

/** Every second round runs backwards, so that nobody always comes after the same neighbour. */
export async function interleave(contestants: readonly Contestant[], rounds: number): Promise<Result[]> {
  const measured = new Map<string, number[]>(contestants.map(({ name }) => [name, []]));
  for (let round = 0; round < rounds; round++) {
    const order = round % 2 === 0 ? contestants : [...contestants].reverse();
    for (const contestant of order) measured.get(contestant.name)!.push(await contestant.run(round));
  }
  return contestants.map(({ name }) => {
    const all = measured.get(name)!;
    return { name, median: median(all), least: Math.min(...all), most: Math.max(...all), rounds: all };
  });
}

export function table(rows: readonly (readonly string[])[]): string {
  const widths = rows[0]!.map((_, column) => Math.max(...rows.map((row) => row[column]!.length)));
  const line = (row: readonly string[]) =>
    `| ${row.map((cell, column) => (column === 0 ? cell.padEnd(widths[column]!) : cell.padStart(widths[column]!))).join(' | ')} |`;
  const [head, ...body] = rows;
  return [line(head!), `| ${widths.map((width) => '-'.repeat(width)).join(' | ')} |`, ...body.map(line)].join('\n');
}

export const perSecond = (rate: number) => Math.round(rate).toLocaleString('en-US');

export interface Verdict {
  readonly claim: string;
  readonly measured: number;
  readonly aim: string;
  readonly met: boolean;
}

export function verdict(claim: string, measured: number, aim: { least: number } | { under: number }): Verdict {
  return 'least' in aim
    ? { claim, measured, aim: `at least ${aim.least}`, met: measured >= aim.least }
    : { claim, measured, aim: `under ${aim.under}`, met: measured < aim.under };
}
