import { describe, expect, test } from 'vitest';
import { type RouteFacts, route } from './router.ts';

const facts = (over: Partial<RouteFacts> = {}): RouteFacts => ({
  attempt: 0,
  parked: 0,
  ladderMs: [300_000, 600_000, 1_200_000],
  inPlace: false,
  failingForMs: 0,
  keyed: false,
  roomToPark: true,
  ...over,
});
const transient = { kind: 'retry', class: 'transient', afterMs: undefined } as const;

describe('without an order', () => {
  test('each attempt goes to its own retry topic, then to the dead letters', () => {
    expect(route(transient, facts())).toEqual({ to: 'retry', step: 0, attempt: 1, parked: 0 });
    expect(route(transient, facts({ attempt: 2 }))).toEqual({ to: 'retry', step: 2, attempt: 3, parked: 0 });
    expect(route(transient, facts({ attempt: 3 }))).toEqual({
      to: 'dead',
      class: 'transient',
      attempts: 4,
      exhausted: true,
    });
  });

  test('`after` picks the first topic that is long enough, the last when none is, and never an earlier one', () => {
    const after = (afterMs: number, attempt = 0) => route({ ...transient, afterMs }, facts({ attempt }));
    expect(after(300_001)).toMatchObject({ step: 1 });
    expect(after(9e9)).toMatchObject({ step: 2 });
    expect(after(1, 1)).toMatchObject({ step: 1 });
  });

  test('no retry topics: the first failure is the last', () => {
    expect(route(transient, facts({ ladderMs: [] }))).toMatchObject({ to: 'dead', attempts: 1 });
  });

  test('what can never succeed is dead at once, and says so', () => {
    expect(route({ kind: 'dead', class: 'permanent' }, facts())).toEqual({
      to: 'dead',
      class: 'permanent',
      attempts: 1,
      exhausted: false,
    });
  });

  test('a refused login gets one more try', () => {
    const auth = { kind: 'retry-once', class: 'auth' } as const;
    expect(route(auth, facts())).toMatchObject({ to: 'retry', step: 0 });
    expect(route(auth, facts({ attempt: 1 }))).toMatchObject({ to: 'dead', class: 'auth', exhausted: false });
  });
});

describe('in place', () => {
  test('waits 1 s, 2 s, 4 s … 30 s, and two minutes in all', () => {
    const delays = [0, 1, 2, 3, 4, 5, 9].map((attempt) => route(transient, facts({ inPlace: true, attempt })));
    expect(delays.map((each) => (each.to === 'in-place' ? each.delayMs : each.to))).toEqual([
      1_000, 2_000, 4_000, 8_000, 16_000, 30_000, 30_000,
    ]);
    expect(route(transient, facts({ inPlace: true, attempt: 9, failingForMs: 120_000 }))).toMatchObject({ to: 'dead' });
  });
});

describe('a dependency that is down', () => {
  const down = { kind: 'dependency-down', dependency: 'hosts', key: 'a' } as const;

  test('plain: the record is held, whatever its attempt', () => {
    expect(route({ ...down, key: undefined }, facts({ attempt: 3 }))).toEqual({ to: 'hold' });
  });

  test('keyed: parked while there is room', () => {
    expect(route(down, facts({ keyed: true, attempt: 3 }))).toEqual({ to: 'park' });
  });

  test('keyed without room: the first retry topic, no attempt burnt, until the fourth time', () => {
    const full = (parked: number, attempt = 1) =>
      route(down, facts({ keyed: true, roomToPark: false, parked, attempt }));
    expect(full(0)).toEqual({ to: 'retry', step: 0, attempt: 1, parked: 1 });
    expect(full(2)).toEqual({ to: 'retry', step: 0, attempt: 1, parked: 3 });
    expect(full(3)).toEqual({ to: 'retry', step: 0, attempt: 2, parked: 4 });
    expect(full(3, 3)).toMatchObject({ to: 'dead', class: 'dependency', exhausted: true });
  });

  test('keyed and ordered: parked even without room, for nothing may pass the record', () => {
    expect(route(down, facts({ keyed: true, roomToPark: false, inPlace: true }))).toEqual({ to: 'park' });
  });
});
