/** Three panels above one another, with one time axis: limit, throughput, p95. As SVG, by hand: three lines need no library. */
export interface Sample {
  /** Since the worker began to read. */
  readonly seconds: number;
  readonly limit: number;
  readonly perSecond: number;
  readonly p95Ms: number;
}

export interface Phase {
  readonly from: number;
  readonly to: number;
  readonly slots: number;
  readonly bestPerSecond: number;
}

const WIDTH = 900;
const PANEL = 150;
const GAP = 34;
const LEFT = 64;
const RIGHT = 20;
const TOP = 54;

interface Panel {
  readonly title: string;
  readonly value: (sample: Sample) => number;
  readonly color: string;
  /** Dashed lines to compare with: one height per phase. */
  readonly marks: readonly { readonly label: string; readonly color: string; readonly at: (phase: Phase) => number }[];
}

export function chart(options: {
  title: string;
  subtitle: string;
  samples: readonly Sample[];
  phases: readonly Phase[];
  unloadedP95Ms: number;
}): string {
  const { title, subtitle, samples, phases, unloadedP95Ms } = options;
  const panels: Panel[] = [
    {
      title: 'limit, calls in flight',
      value: (sample) => sample.limit,
      color: '#1f5fa8',
      marks: [{ label: 'hidden capacity', color: '#8a8a8a', at: (phase) => phase.slots }],
    },
    {
      title: 'throughput, calls per second',
      value: (sample) => sample.perSecond,
      color: '#2b7a3d',
      marks: [
        { label: 'best possible', color: '#8a8a8a', at: (phase) => phase.bestPerSecond },
        { label: '80 % of it', color: '#c07a1c', at: (phase) => 0.8 * phase.bestPerSecond },
      ],
    },
    {
      title: 'p95 of a call, ms',
      value: (sample) => sample.p95Ms,
      color: '#8a2f6b',
      marks: [
        { label: 'unloaded', color: '#8a8a8a', at: () => unloadedP95Ms },
        { label: '2 x unloaded', color: '#c07a1c', at: () => 2 * unloadedP95Ms },
      ],
    },
  ];
  const end = phases.at(-1)!.to;
  const height = TOP + panels.length * (PANEL + GAP) + 16;
  const x = (seconds: number) => LEFT + (seconds / end) * (WIDTH - LEFT - RIGHT);
  const parts = [
    `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 ${WIDTH} ${height}" width="${WIDTH}" height="${height}" font-family="sans-serif" font-size="12" role="img" aria-labelledby="title">`,
    `<title id="title">${escaped(title)}</title>`,
    `<rect width="${WIDTH}" height="${height}" fill="#ffffff"/>`,
    `<text x="${LEFT}" y="20" font-size="15" font-weight="bold" fill="#222">${escaped(title)}</text>`,
    `<text x="${LEFT}" y="37" fill="#555">${escaped(subtitle)}</text>`,
  ];
  for (const [index, panel] of panels.entries()) {
    const top = TOP + 14 + index * (PANEL + GAP);
    const bottom = top + PANEL;
    const most = roundedUp(
      Math.max(...samples.map(panel.value), ...phases.flatMap((phase) => panel.marks.map((mark) => mark.at(phase)))),
    );
    const y = (value: number) => bottom - (Math.min(value, most) / most) * PANEL;
    for (const share of [0, 0.5, 1]) {
      parts.push(
        `<line x1="${LEFT}" x2="${WIDTH - RIGHT}" y1="${px(y(share * most))}" y2="${px(y(share * most))}" stroke="#e4e4e4"/>`,
        `<text x="${LEFT - 6}" y="${px(y(share * most) + 4)}" text-anchor="end" fill="#555">${share * most}</text>`,
      );
    }
    for (const { from } of phases.slice(1))
      parts.push(`<line x1="${px(x(from))}" x2="${px(x(from))}" y1="${top}" y2="${bottom}" stroke="#c9c9c9"/>`);
    let legend = WIDTH - RIGHT;
    for (const mark of [...panel.marks].reverse()) {
      const path = phases.map(({ from, to }, at) => {
        const height = px(y(mark.at(phases[at]!)));
        return `${at === 0 ? 'M' : 'L'}${px(x(from))},${height} L${px(x(to))},${height}`;
      });
      parts.push(`<path d="${path.join(' ')}" fill="none" stroke="${mark.color}" stroke-dasharray="5 4"/>`);
      parts.push(
        `<text x="${legend}" y="${top - 5}" text-anchor="end" fill="${mark.color}">– – ${escaped(mark.label)}</text>`,
      );
      legend -= 40 + mark.label.length * 6.5;
    }
    const points = samples.map((sample) => `${px(x(sample.seconds))},${px(y(panel.value(sample)))}`);
    parts.push(
      `<polyline points="${points.join(' ')}" fill="none" stroke="${panel.color}" stroke-width="1.6"/>`,
      `<text x="${LEFT}" y="${top - 5}" fill="${panel.color}" font-weight="bold">${escaped(panel.title)}</text>`,
    );
  }
  const axis = TOP + 14 + (panels.length - 1) * (PANEL + GAP) + PANEL + 16;
  for (let seconds = 0; seconds <= end; seconds += 15)
    parts.push(`<text x="${px(x(seconds))}" y="${axis}" text-anchor="middle" fill="#555">${seconds} s</text>`);
  return `${parts.join('\n')}\n</svg>\n`;
}

function px(value: number): string {
  return value.toFixed(1);
}

/** 1, 2 or 5 times a power of ten, or half-way there. */
function roundedUp(value: number): number {
  const power = 10 ** Math.floor(Math.log10(value));
  return [1, 1.5, 2, 3, 4, 5, 6, 8, 10].map((times) => times * power).find((each) => each >= value) ?? value;
}

function escaped(text: string): string {
  return text.replaceAll('&', '&amp;').replaceAll('<', '&lt;');
}
