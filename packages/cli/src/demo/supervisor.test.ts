import { seededRandom } from '@weir/core';
import { ManualClock } from '@weir/core/testing';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { type Autoscaler, type Exit, type ManagedProcess, type Probe, Supervisor } from './supervisor.ts';

/** A process that does as the test says. */
class FakeProcess implements ManagedProcess {
  readonly pid = 1;
  readonly logPath: string;
  metricsPort: number | undefined;
  readonly exited: Promise<Exit>;
  terminated = false;
  killed = false;
  /** Ends at SIGTERM, as a service does. */
  obedient = true;
  #exit: (exit: Exit) => void = () => undefined;

  constructor(port: number) {
    this.metricsPort = port;
    this.logPath = `/logs/${port}.log`;
    this.exited = new Promise((resolve) => {
      this.#exit = resolve;
    });
  }
  exit(exit: Partial<Exit>): void {
    this.#exit({ code: null, signal: null, detail: '', ...exit });
  }
  terminate(): void {
    this.terminated = true;
    if (this.obedient) this.exit({ code: 0 });
  }
  kill(): void {
    this.killed = true;
    this.exit({ signal: 'SIGKILL' });
  }
}

describe('the supervisor', () => {
  let clock: ManualClock;
  let started: FakeProcess[];
  let ready: boolean;
  let signalValue: number | undefined;
  let supervisor: Supervisor;
  let dead: string[];

  /** Wants what the metric says, at once. */
  const follows: Autoscaler = { decide: (sample) => Math.ceil(sample.signalValue) };
  const probe: Probe = {
    ready: async () => ready,
    scaling: async () =>
      signalValue === undefined
        ? undefined
        : {
            desiredReplicas: signalValue,
            signalValue,
            reason: signalValue > 1 ? 'catch-up' : 'steady',
            why: 'as told',
            backlog: 0,
            lagSeconds: undefined,
            arrivalPerSecond: undefined,
          },
  };

  function make(max = 4): Supervisor {
    const made = new Supervisor({
      workers: [
        {
          name: 'download-worker',
          min: 1,
          max,
          autoscaler: follows,
          start: () => {
            const process = new FakeProcess(9000 + started.length);
            started.push(process);
            return process;
          },
        },
      ],
      probe,
      clock,
      random: seededRandom(1),
      tickMs: 1_000,
      drainMs: 5_000,
    });
    made.on('replica:died', ({ how, killed }) => dead.push(`${how}${killed ? ' by us' : ''}`));
    return made;
  }
  const row = () => supervisor.view()[0]!;

  beforeEach(() => {
    clock = new ManualClock();
    started = [];
    dead = [];
    ready = true;
    signalValue = 1;
    supervisor = make();
  });
  afterEach(async () => {
    const stopped = supervisor.stop();
    await clock.advance(20_000);
    await stopped;
  });

  test('a worker starts with its minimum and counts once it is ready', async () => {
    ready = false;
    supervisor.start();
    await clock.advance(2_500);
    expect(row()).toMatchObject({ starting: 1, ready: 0, wanted: 1 });
    expect(supervisor.ready).toBe(false);
    ready = true;
    await clock.advance(1_000);
    expect(row()).toMatchObject({ starting: 0, ready: 1 });
    expect(supervisor.ready).toBe(true);
  });

  test('more are started when more are wanted, never above the maximum', async () => {
    supervisor.start();
    await clock.advance(2_000);
    signalValue = 9;
    await clock.advance(2_000);
    expect(row()).toMatchObject({ wanted: 4, ready: 4, reason: 'catch-up' });
    expect(started).toHaveLength(4);
  });

  test('what is too much is drained with SIGTERM, the newest first', async () => {
    signalValue = 3;
    supervisor.start();
    await clock.advance(5_000);
    expect(row().ready).toBe(3);
    signalValue = 1;
    await clock.advance(2_000);
    expect(started.map(({ terminated }) => terminated)).toEqual([false, true, true]);
    expect(started.some(({ killed }) => killed)).toBe(false);
    expect(row()).toMatchObject({ ready: 1, draining: 0 });
    expect(dead).toEqual([]);
  });

  test('a drain that takes too long ends with SIGKILL', async () => {
    signalValue = 2;
    supervisor.start();
    await clock.advance(4_000);
    started[1]!.obedient = false;
    signalValue = 1;
    await clock.advance(3_000);
    expect(row()).toMatchObject({ ready: 1, draining: 1 });
    await clock.advance(5_000);
    expect(started[1]!.killed).toBe(true);
    expect(row().draining).toBe(0);
  });

  test('who is killed is replaced at once', async () => {
    supervisor.start();
    await clock.advance(3_000);
    expect(supervisor.killOne()).toEqual({ worker: 'download-worker', number: 1 });
    await clock.advance(2_000);
    expect(started).toHaveLength(2);
    expect(row().ready).toBe(1);
    expect(dead).toEqual(['signal SIGKILL by us']);
    expect(supervisor.failure).toBeUndefined();
  });

  test('who dies after a long life is replaced, however often', async () => {
    supervisor.start();
    for (let life = 0; life < 8; life++) {
      await clock.advance(10_000);
      started.at(-1)!.exit({ code: 1 });
    }
    await clock.advance(2_000);
    expect(row().ready).toBe(1);
    expect(supervisor.failure).toBeUndefined();
  });

  test('four deaths in a row at the start are a failure that names the log', async () => {
    ready = false;
    supervisor.start();
    for (let life = 0; life < 4; life++) {
      await clock.advance(5_000);
      started.at(-1)!.exit({ code: 2 });
    }
    await clock.advance(1_000);
    expect(supervisor.failure?.message).toMatch(/died 4 times in a row.*exit code 2.*\/logs\/9003\.log/);
    const count = started.length;
    await clock.advance(60_000);
    expect(started).toHaveLength(count);
  });

  test('a metric that cannot be read changes nothing', async () => {
    signalValue = 3;
    supervisor.start();
    await clock.advance(4_000);
    signalValue = undefined;
    await clock.advance(10_000);
    expect(row()).toMatchObject({ wanted: 3, ready: 3 });
  });

  test('stop drains all, kills what stays, leaves nobody, and is safe early and twice', async () => {
    await make().stop();
    signalValue = 3;
    supervisor.start();
    await clock.advance(4_000);
    started[1]!.obedient = false;
    const stopped = supervisor.stop();
    await clock.advance(4_000);
    expect(started.map(({ terminated, killed }) => [terminated, killed])).toEqual([
      [true, false],
      [true, false],
      [true, false],
    ]);
    await clock.advance(2_000);
    await stopped;
    expect(started[1]!.killed).toBe(true);
    await supervisor.stop();
    const count = started.length;
    await clock.advance(10_000);
    expect(started).toHaveLength(count);
  });

  test('a process that cannot be started is a failure, not a crash', async () => {
    const broken = new Supervisor({
      workers: [
        {
          name: 'scaler',
          min: 1,
          max: 1,
          autoscaler: undefined,
          start: () => {
            throw new Error('nothing to start');
          },
        },
      ],
      probe,
      clock,
      random: seededRandom(1),
      tickMs: 1_000,
      drainMs: 5_000,
    });
    broken.start();
    await clock.advance(2_000);
    expect(broken.failure?.message).toContain('nothing to start');
    await broken.stop();
  });

  test('every change of replicas is told, with its reason', async () => {
    const told: string[] = [];
    supervisor.on('replicas:changed', ({ worker, wanted, running, reason }) =>
      told.push(`${worker} ${wanted} ${running} ${reason}`),
    );
    supervisor.start();
    await clock.advance(2_000);
    signalValue = 2;
    await clock.advance(3_000);
    expect(told[0]).toBe('download-worker 1 1 start');
    expect(told.at(-1)).toBe('download-worker 2 2 catch-up');
  });
});
