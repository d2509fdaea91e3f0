import { describe, expect, test } from 'vitest';
import { bytes, clockTime, type DemoState, renderFrame, renderLine } from './view.ts';

const ESCAPE = String.fromCharCode(27);
const COLOUR = new RegExp(`${ESCAPE}\\[\\d+m`, 'g');

const state: DemoState = {
  run: 'demo-1',
  elapsedMs: 83_400,
  phase: 'publishing',
  published: { done: 250, total: 500, perSecond: 31.4 },
  attachments: { done: 600, total: 1500, perSecond: 92 },
  bytesPerSecond: 1_910_000,
  etaMs: 21_000,
  workers: [
    {
      name: 'event-ingester',
      ready: 1,
      starting: 0,
      draining: 0,
      wanted: 1,
      max: 2,
      lag: 3,
      lagSeconds: 0.4,
      perSecond: 31.2,
      reason: 'steady',
      why: '31/s arrive: 1 worker keeps up.',
    },
    {
      name: 'download-worker',
      ready: 2,
      starting: 1,
      draining: 1,
      wanted: 3,
      max: 5,
      lag: 430,
      lagSeconds: 12.6,
      perSecond: 4.25,
      reason: 'catch-up',
      why: '430 wait while 22/s arrive:\n3 workers clear it within 6 s.',
    },
  ],
  retried: 31,
  deadLetters: 12,
  breakers: ['hosts open'],
  kills: 1,
  news: ['1:20 download-worker: 2 -> 3 (catch-up)', '1:21 kill -9 event-ingester number 1'],
};

describe('the picture', () => {
  test('shows rates, lag, replicas with the reason in words, breakers, dead letters and progress', () => {
    expect(renderFrame(state, { columns: 110, rows: 24, colour: false })).toMatchInlineSnapshot(`
      [
        "weir demo  demo-1  1:23  publishing",
        "",
        "events      ████████████████████░░░░░░░░░░░░░░░░░░░░  50 %  250/500  31/s  published",
        "attachments ████████████████░░░░░░░░░░░░░░░░░░░░░░░░  40 %  600/1500  92/s  1.9 MB/s, 0:21 left",
        "",
        "worker            replicas  want     rate/s     lag  oldest  why",
        "event-ingester    ●            1         31       3   0.4 s  steady: 31/s arrive: 1 worker keeps up.",
        "download-worker   ●●◐○         3        4.3     430    13 s  catch-up: 430 wait while 22/s arrive: 3 workers c",
        "",
        "retried 31   dead letters 12   kills 1   breakers hosts open",
        "",
        "1:20 download-worker: 2 -> 3 (catch-up)",
        "1:21 kill -9 event-ingester number 1",
      ]
    `);
  });

  test('is never wider or higher than the terminal', () => {
    for (const columns of [1, 20, 40, 79, 200]) {
      for (const rows of [1, 5, 12, 50]) {
        const lines = renderFrame(state, { columns, rows, colour: false });
        expect(lines.length).toBeLessThanOrEqual(rows);
        for (const line of lines) expect([...line].length).toBeLessThanOrEqual(columns);
      }
    }
  });

  test('in colour shows the same text, every colour ended on its line', () => {
    const options = { columns: 90, rows: 24 };
    const coloured = renderFrame(state, { ...options, colour: true });
    const plain = renderFrame(state, { ...options, colour: false });
    expect(coloured.map((line) => line.replaceAll(COLOUR, ''))).toEqual(plain);
    for (const line of coloured) {
      const ended = line.lastIndexOf(`${ESCAPE}[0m`);
      expect(ended).toBeGreaterThanOrEqual(line.lastIndexOf(ESCAPE));
    }
  });

  test('what a worker says cannot steer the terminal', () => {
    const [row] = state.workers;
    const evil = { ...state, workers: [{ ...row!, why: 'red \u001b[31m\u0007 alert\r' }] };
    for (const line of renderFrame(evil, { columns: 200, rows: 24, colour: false })) {
      expect([...line].every((character) => character.codePointAt(0)! >= 0x20)).toBe(true);
    }
  });
});

describe('the plain line', () => {
  test('says the same on one line', () => {
    expect(renderLine(state)).toMatchInlineSnapshot(
      `"1:23 publishing: events 250/500, attachments 600/1500 (92/s, 0:21 left); event-ingester 1/1 lag 3/0.4 s steady; download-worker 2/3 lag 430/13 s catch-up; retried 31, dead 12, kills 1, breakers hosts open"`,
    );
  });
});

describe('numbers for people', () => {
  test('bytes and times', () => {
    expect([0, 812, 20_100, 3_400_000, 2_550_000_000].map(bytes)).toEqual([
      '0 B',
      '812 B',
      '20.1 kB',
      '3.4 MB',
      '2.55 GB',
    ]);
    expect([0, 59_600, 61_000].map(clockTime)).toEqual(['0:00', '1:00', '1:01']);
  });
});
