/**
 * What the demo shows while it runs: pure text from a snapshot. `renderFrame` makes the picture for a terminal (exactly
 * as wide and at most as high as it is), `renderLine` one plain line for logs and pipes. Drawing is screen.ts's business.
 */
export type Phase = 'starting' | 'publishing' | 'working' | 'settling' | 'verifying' | 'stopping';

export interface WorkerRow {
  readonly name: string;
  readonly ready: number;
  readonly starting: number;
  readonly draining: number;
  readonly wanted: number;
  readonly max: number;
  /** Records. */
  readonly lag: number;
  /** Of the oldest record, seconds; undefined when nobody knows. */
  readonly lagSeconds: number | undefined;
  /** Records finished, a second. */
  readonly perSecond: number;
  readonly reason: string;
  readonly why: string;
}

export interface Gauge {
  readonly done: number;
  readonly total: number;
  readonly perSecond: number;
}

export interface DemoState {
  readonly run: string;
  readonly elapsedMs: number;
  readonly phase: Phase;
  readonly published: Gauge;
  readonly attachments: Gauge;
  readonly bytesPerSecond: number;
  readonly etaMs: number | undefined;
  readonly workers: readonly WorkerRow[];
  readonly retried: number;
  readonly deadLetters: number;
  readonly breakers: readonly string[];
  readonly kills: number;
  /** Newest last. */
  readonly news: readonly string[];
}

export type Style = 'bold' | 'dim' | 'green' | 'yellow' | 'red' | 'cyan';
type Segment = string | { readonly text: string; readonly style: Style };
type Line = readonly Segment[];

const CODES: Readonly<Record<Style, number>> = { bold: 1, dim: 2, green: 32, yellow: 33, red: 31, cyan: 36 };
const NAME_WIDTH = 17;

export interface FrameOptions {
  readonly columns: number;
  readonly rows: number;
  readonly colour: boolean;
}

/** Lines of at most `columns` characters each, at most `rows` of them. */
export function renderFrame(state: DemoState, { columns, rows, colour }: FrameOptions): string[] {
  const lines: Line[] = [
    [styled('bold', 'weir demo'), `  ${state.run}  ${clockTime(state.elapsedMs)}  `, styled('cyan', state.phase)],
    [],
    gaugeLine('events', state.published, columns, `published`),
    gaugeLine('attachments', state.attachments, columns, `${bytes(state.bytesPerSecond)}/s${eta(state)}`),
    [],
    [styled('dim', `${'worker'.padEnd(NAME_WIDTH)} replicas  want     rate/s     lag  oldest  why`)],
    ...state.workers.map(workerLine),
    [],
    [
      `retried ${state.retried}   dead letters ${state.deadLetters}   kills ${state.kills}   breakers `,
      state.breakers.length === 0 ? styled('green', 'closed') : styled('red', state.breakers.join(', ')),
    ],
  ];
  const room = Math.max(0, rows - lines.length - 1);
  if (room > 1 && state.news.length > 0) {
    lines.push([], ...state.news.slice(-Math.min(room - 1, 8)).map((text): Line => [styled('dim', text)]));
  }
  return lines.slice(0, Math.max(1, rows)).map((line) => paint(line, columns, colour));
}

/** One line, for output that is no terminal. */
export function renderLine(state: DemoState): string {
  const workers = state.workers
    .map(({ name, ready, wanted, lag, lagSeconds, reason }) => {
      const age = lagSeconds === undefined ? '' : `/${seconds(lagSeconds)}`;
      return `${name} ${ready}/${wanted} lag ${lag}${age} ${reason}`;
    })
    .join('; ');
  const { published, attachments } = state;
  return (
    `${clockTime(state.elapsedMs)} ${state.phase}: events ${published.done}/${published.total}, ` +
    `attachments ${attachments.done}/${attachments.total} (${Math.round(attachments.perSecond)}/s${eta(state)}); ${workers}; ` +
    `retried ${state.retried}, dead ${state.deadLetters}, kills ${state.kills}` +
    (state.breakers.length > 0 ? `, breakers ${state.breakers.join(' and ')}` : '')
  );
}

function workerLine(row: WorkerRow): Line {
  const dots = '●'.repeat(row.ready) + '◐'.repeat(row.starting) + '○'.repeat(row.draining);
  const style: Style = row.ready === 0 ? 'red' : row.ready === row.wanted && row.draining === 0 ? 'green' : 'yellow';
  const oldest = row.lagSeconds === undefined ? '-' : seconds(row.lagSeconds);
  return [
    row.name.padEnd(NAME_WIDTH),
    ' ',
    styled(style, dots.padEnd(8)),
    '  ',
    `${row.wanted}`.padStart(4),
    `${row.perSecond.toFixed(row.perSecond < 10 ? 1 : 0)}`.padStart(11),
    `${row.lag}`.padStart(8),
    oldest.padStart(8),
    '  ',
    styled('cyan', row.reason),
    styled('dim', row.why === '' ? '' : `: ${row.why}`),
  ];
}

function gaugeLine(name: string, gauge: Gauge, columns: number, tail: string): Line {
  const share = gauge.total === 0 ? 1 : Math.min(1, gauge.done / gauge.total);
  const width = Math.max(8, Math.min(40, columns - 66));
  const full = Math.floor(share * width);
  return [
    name.padEnd(12),
    styled('green', '█'.repeat(full)),
    styled('dim', '░'.repeat(width - full)),
    ` ${`${Math.floor(share * 100)}`.padStart(3)} %  ${gauge.done}/${gauge.total}  ${gauge.perSecond.toFixed(0)}/s  ${tail}`,
  ];
}

function eta({ etaMs }: DemoState): string {
  return etaMs === undefined ? '' : `, ${clockTime(etaMs)} left`;
}

function styled(style: Style, text: string): Segment {
  return { text, style };
}

/** Cuts to the width first and colours after: an escape sequence must never be cut in two. */
function paint(line: Line, columns: number, colour: boolean): string {
  let left = columns;
  let out = '';
  for (const segment of line) {
    const plain = typeof segment === 'string' ? segment : segment.text;
    const shown = [...plain.replace(/\p{Cc}/gu, ' ')].slice(0, left).join('');
    left -= [...shown].length;
    if (shown === '') continue;
    out += typeof segment !== 'string' && colour ? `\u001b[${CODES[segment.style]}m${shown}\u001b[0m` : shown;
  }
  return out;
}

/** `m:ss`. */
export function clockTime(ms: number): string {
  const whole = Math.max(0, Math.round(ms / 1000));
  return `${Math.floor(whole / 60)}:${String(whole % 60).padStart(2, '0')}`;
}

function seconds(value: number): string {
  return value < 10 ? `${value.toFixed(1)} s` : `${Math.round(value)} s`;
}

/** Bytes for people: `812 B`, `20.1 kB`, `3.4 MB`. */
export function bytes(count: number): string {
  if (count < 1000) return `${Math.round(count)} B`;
  if (count < 1_000_000) return `${(count / 1000).toFixed(1)} kB`;
  if (count < 1_000_000_000) return `${(count / 1_000_000).toFixed(1)} MB`;
  return `${(count / 1_000_000_000).toFixed(2)} GB`;
}
