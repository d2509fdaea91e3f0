/**
 * A small Kubernetes for one machine: keeps as many replicas of each worker as the autoscaler wants, replaces what dies,
 * and drains what is too much. Once a tick it asks one ready replica of each worker for `/scaling` (they all give the
 * same answer) and hands `signalValue` to the HPA's own arithmetic.
 *
 *   starting --/readyz--> ready --too many--> draining --exit--> gone
 *       └───────────────────┴──── exit (a crash, a kill) ──────> gone, and another one starts
 *
 * A replica that dies soon after its start is started again after a growing wait; after a few such deaths in a row the
 * supervisor gives up and says where the log is, because no amount of starting mends a wrong setting.
 */
import { EventEmitter } from 'node:events';
import { type Clock, describeError, type Random } from '@weir/core';
import { DemoFailedError } from '../errors.ts';

export interface Exit {
  readonly code: number | null;
  readonly signal: string | null;
  /** Why it could not even be started; else ''. */
  readonly detail: string;
}

export interface ManagedProcess {
  readonly pid: number | undefined;
  readonly logPath: string;
  /** Known once the process has said so. */
  readonly metricsPort: number | undefined;
  readonly exited: Promise<Exit>;
  /** SIGTERM: drain. */
  terminate(): void;
  /** SIGKILL. */
  kill(): void;
}

/** What the supervisor and the view use of `GET /scaling`. */
export interface ScalingFacts {
  readonly desiredReplicas: number;
  readonly signalValue: number;
  readonly reason: string;
  readonly why: string;
  readonly backlog: number;
  readonly lagSeconds: number | undefined;
  readonly arrivalPerSecond: number | undefined;
}

/** How a worker's HTTP server is asked; undefined when it does not answer. */
export interface Probe {
  ready(port: number): Promise<boolean>;
  scaling(port: number): Promise<ScalingFacts | undefined>;
}

/** The HPA: from the metric to a number of replicas, with its tolerance, policies and stabilisation. */
export interface Autoscaler {
  decide(sample: { nowMs: number; replicas: number; signalValue: number }): number;
}

export interface WorkerPlan {
  readonly name: string;
  readonly min: number;
  readonly max: number;
  /** Undefined for a service that does not scale. */
  readonly autoscaler: Autoscaler | undefined;
  /** Starts replica number `number` (counted from 1, never used twice). */
  start(number: number): ManagedProcess;
}

type ReplicaState = 'starting' | 'ready' | 'draining';

interface Replica {
  readonly number: number;
  readonly process: ManagedProcess;
  readonly startedAt: number;
  state: ReplicaState;
  drainingSince: number;
  /** We killed it ourselves. */
  killed: boolean;
}

interface Managed {
  readonly plan: WorkerPlan;
  replicas: Replica[];
  wanted: number;
  reason: string;
  why: string;
  facts: ScalingFacts | undefined;
  nextNumber: number;
  earlyDeaths: number;
  notBefore: number;
}

export interface WorkerView {
  readonly name: string;
  readonly wanted: number;
  readonly max: number;
  readonly starting: number;
  readonly ready: number;
  readonly draining: number;
  readonly reason: string;
  readonly why: string;
  readonly facts: ScalingFacts | undefined;
  /** Of ready replicas. */
  readonly metricsPorts: readonly number[];
}

export interface SupervisorEvents {
  /** A worker wants, or runs, another number of replicas. `at` is milliseconds since the epoch. */
  'replicas:changed': [event: { at: number; worker: string; wanted: number; running: number; reason: string }];
  'replica:died': [event: { at: number; worker: string; number: number; how: string; killed: boolean }];
}

export interface SupervisorOptions {
  readonly workers: readonly WorkerPlan[];
  readonly probe: Probe;
  readonly clock: Clock;
  readonly random: Random;
  readonly tickMs: number;
  /** After SIGTERM; then SIGKILL. */
  readonly drainMs: number;
}

/** A death within this time after the start is early. */
const EARLY_MS = 5_000;
const MOST_EARLY_DEATHS = 4;
const FIRST_WAIT_MS = 500;

export class Supervisor extends EventEmitter<SupervisorEvents> {
  readonly #options: SupervisorOptions;
  readonly #workers: readonly Managed[];
  readonly #over = new AbortController();
  #failure: DemoFailedError | undefined;
  #loop: Promise<void> | undefined;
  #stopping = false;

  constructor(options: SupervisorOptions) {
    super();
    this.#options = options;
    this.#workers = options.workers.map((plan) => ({
      plan,
      replicas: [],
      wanted: plan.min,
      reason: 'start',
      why: 'the fewest allowed, to begin with',
      facts: undefined,
      nextNumber: 1,
      earlyDeaths: 0,
      notBefore: 0,
    }));
  }

  start(): void {
    if (this.#loop) return;
    this.#loop = this.#run();
  }

  /** Drains everything, kills what has not gone in time, and resolves when no process is left. Safe twice. */
  async stop(): Promise<void> {
    this.#stopping = true;
    this.#over.abort();
    await this.#loop;
    const replicas = this.#workers.flatMap((worker) => worker.replicas);
    for (const { process } of replicas) process.terminate();
    const cancel = this.#options.clock.after(this.#options.drainMs, () => {
      for (const { process } of replicas) process.kill();
    });
    await Promise.all(replicas.map(({ process }) => process.exited));
    cancel();
  }

  /** SIGKILL for all, at once. */
  abandon(): void {
    this.#stopping = true;
    this.#over.abort();
    for (const worker of this.#workers) for (const { process } of worker.replicas) process.kill();
  }

  /** Why the supervisor has given up; undefined while it has not. */
  get failure(): DemoFailedError | undefined {
    return this.#failure;
  }

  /** Every worker has as many ready replicas as it must have at least. */
  get ready(): boolean {
    return this.#workers.every((worker) => count(worker, 'ready') >= worker.plan.min);
  }

  view(): WorkerView[] {
    return this.#workers.map((worker) => ({
      name: worker.plan.name,
      wanted: worker.wanted,
      max: worker.plan.max,
      starting: count(worker, 'starting'),
      ready: count(worker, 'ready'),
      draining: count(worker, 'draining'),
      reason: worker.reason,
      why: worker.why,
      facts: worker.facts,
      metricsPorts: worker.replicas.flatMap(({ state, process }) =>
        state === 'ready' && process.metricsPort !== undefined ? [process.metricsPort] : [],
      ),
    }));
  }

  /** Kills one random replica that is ready. @returns who it was; undefined when nobody is ready */
  killOne(): { worker: string; number: number } | undefined {
    const ready = this.#workers.flatMap((worker) =>
      worker.replicas
        .filter(({ state, killed }) => state === 'ready' && !killed)
        .map((replica) => ({ worker, replica })),
    );
    if (ready.length === 0) return undefined;
    const { worker, replica } = ready[this.#options.random.below(ready.length)]!;
    replica.killed = true;
    replica.process.kill();
    return { worker: worker.plan.name, number: replica.number };
  }

  async #run(): Promise<void> {
    const { clock, tickMs } = this.#options;
    while (!this.#stopping) {
      try {
        await this.tick();
      } catch (error) {
        this.#failure ??= new DemoFailedError(`a process could not be looked after: ${describeError(error)}`, {
          cause: error,
        });
      }
      await clock.sleep(tickMs, this.#over.signal).catch(() => undefined);
    }
  }

  /** One round: probe, ask, decide, start and drain. Public for tests; `start` calls it. */
  async tick(): Promise<void> {
    await Promise.all(
      this.#workers.map(async (worker) => {
        await this.#probe(worker);
        if (!this.#stopping) await this.#scale(worker);
      }),
    );
    if (this.#stopping || this.#failure) return;
    for (const worker of this.#workers) this.#reconcile(worker);
  }

  async #probe(worker: Managed): Promise<void> {
    await Promise.all(
      worker.replicas.map(async (replica) => {
        const port = replica.process.metricsPort;
        if (replica.state !== 'starting' || port === undefined) return;
        if ((await this.#options.probe.ready(port)) && replica.state === 'starting') {
          replica.state = 'ready';
          this.#changed(worker);
        }
      }),
    );
  }

  async #scale(worker: Managed): Promise<void> {
    const { autoscaler, min, max } = worker.plan;
    if (!autoscaler) return;
    for (const { state, process } of worker.replicas) {
      if (state !== 'ready' || process.metricsPort === undefined) continue;
      const facts = await this.#options.probe.scaling(process.metricsPort);
      if (!facts) continue;
      worker.facts = facts;
      const replicas = worker.replicas.filter((each) => each.state !== 'draining').length;
      // As the HPA: nothing is decided for no pods at all.
      if (replicas === 0) return;
      const decided = autoscaler.decide({
        nowMs: this.#options.clock.monotonic(),
        replicas,
        signalValue: facts.signalValue,
      });
      const wanted = Math.min(max, Math.max(min, decided));
      const moved = wanted !== worker.wanted || facts.reason !== worker.reason;
      worker.wanted = wanted;
      worker.reason = facts.reason;
      worker.why = facts.why;
      if (moved) this.#changed(worker);
      return;
    }
  }

  #reconcile(worker: Managed): void {
    const { clock, drainMs } = this.#options;
    const now = clock.monotonic();
    const serving = worker.replicas.filter(({ state }) => state !== 'draining');
    if (serving.length < worker.wanted && now >= worker.notBefore) {
      for (let missing = worker.wanted - serving.length; missing > 0; missing--) this.#startOne(worker);
    }
    // The newest go first, as with a ReplicaSet: the old ones have warm connections and long-proven limits.
    for (const replica of serving.slice(worker.wanted)) {
      replica.state = 'draining';
      replica.drainingSince = now;
      replica.process.terminate();
      this.#changed(worker);
    }
    for (const { state, drainingSince, process } of worker.replicas) {
      if (state === 'draining' && now - drainingSince > drainMs) process.kill();
    }
  }

  #startOne(worker: Managed): void {
    const number = worker.nextNumber++;
    const replica: Replica = {
      number,
      process: worker.plan.start(number),
      startedAt: this.#options.clock.monotonic(),
      state: 'starting',
      drainingSince: 0,
      killed: false,
    };
    worker.replicas.push(replica);
    void replica.process.exited.then((exit) => this.#gone(worker, replica, exit));
    this.#changed(worker);
  }

  #gone(worker: Managed, replica: Replica, exit: Exit): void {
    worker.replicas = worker.replicas.filter((each) => each !== replica);
    this.#changed(worker);
    if (this.#stopping || (replica.state === 'draining' && exit.code === 0)) return;
    const { clock } = this.#options;
    const how = exit.detail || (exit.signal ? `signal ${exit.signal}` : `exit code ${exit.code}`);
    const at = clock.now();
    this.emit('replica:died', { at, worker: worker.plan.name, number: replica.number, how, killed: replica.killed });
    if (replica.killed || replica.state === 'draining') return;
    if (clock.monotonic() - replica.startedAt > EARLY_MS && replica.state === 'ready') {
      worker.earlyDeaths = 0;
      return;
    }
    worker.earlyDeaths++;
    worker.notBefore = clock.monotonic() + FIRST_WAIT_MS * 2 ** (worker.earlyDeaths - 1);
    if (worker.earlyDeaths >= MOST_EARLY_DEATHS) {
      this.#failure ??= new DemoFailedError(
        `${worker.plan.name} died ${worker.earlyDeaths} times in a row at its start, the last time with ${how}; ` +
          `its log is ${replica.process.logPath}`,
      );
    }
  }

  #changed(worker: Managed): void {
    this.emit('replicas:changed', {
      at: this.#options.clock.now(),
      worker: worker.plan.name,
      wanted: worker.wanted,
      running: worker.replicas.filter(({ state }) => state !== 'draining').length,
      reason: worker.reason,
    });
  }
}

function count(worker: Managed, state: ReplicaState): number {
  return worker.replicas.filter((replica) => replica.state === state).length;
}
